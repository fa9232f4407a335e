"""GGUF files: read without trust, written, quantised, made up."""
