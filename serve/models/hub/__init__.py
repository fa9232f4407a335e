"""Models of the Hugging Face hub: their names, files and downloads, and the cache that all its tools share."""
