"""What turns messages into tokens. Importing this package loads nothing heavy."""
