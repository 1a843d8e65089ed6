"""`pyserve run`: a chat with a model in the terminal."""
