"""Runs of distill as the page shows them: read from their folders, begun and stopped as processes of their own."""
