"""Training on an endless stream of generated examples: its vocabulary, its corpora, its loop."""
