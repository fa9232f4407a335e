"""The recipe of the bundled model: its data, its training, its checks."""
