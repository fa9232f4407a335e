"""The answer's form: what clients say of it, tools among it, as one grammar; and calls read back from the text."""
