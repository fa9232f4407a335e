"""Traces in, students out; a teacher is reached over HTTP only."""
