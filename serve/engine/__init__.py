"""Tokens from a model. Runs in a child process; knows no HTTP and no chat template."""
