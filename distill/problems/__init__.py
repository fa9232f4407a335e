"""Verifiable task families: generate(seed) gives a problem, verify(text, problem) a verdict."""
