"""Messages -> prompt segments: which template, within which bounds, and where texts may lie in it."""
