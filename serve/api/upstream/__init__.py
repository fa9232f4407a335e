"""Models of other servers behind our routes."""
