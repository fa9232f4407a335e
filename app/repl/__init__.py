"""A conversation in the terminal, kept where the page keeps its own: `r1chat chat`."""
