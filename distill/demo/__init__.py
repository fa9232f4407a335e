"""The recipe of the bundled model: its vocabulary, its corpus, its training."""
