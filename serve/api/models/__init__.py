"""What is served: which models there are, what they take, and those of this machine at work."""
