"""The models that are loaded, and who makes room for whom."""
