"""Models in a program of one's own: `pyserve.LLM`, over the server's own application."""
