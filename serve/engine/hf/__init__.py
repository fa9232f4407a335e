"""Hugging Face folders on torch and transformers. Loaded in child processes only, but for weights.py."""
