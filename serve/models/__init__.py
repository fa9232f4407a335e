"""Which model file to load, what it holds, and who is resident."""
