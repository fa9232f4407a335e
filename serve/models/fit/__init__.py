"""What a model takes, what this machine has, and how the one goes into the other."""
