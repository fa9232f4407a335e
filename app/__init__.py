"""What a person touches: the command line, its commands and the page."""
