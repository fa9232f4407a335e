"""OpenAI's chat completions: their bodies, their stream of chunks, and word to those that run."""
