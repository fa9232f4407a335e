"""The serving benchmark: the same load on our server and on others, over HTTP, by turns."""
