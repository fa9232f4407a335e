"""GGUF models on llama.cpp. Loaded in child processes only."""
