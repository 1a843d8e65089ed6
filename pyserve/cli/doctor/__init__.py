"""`pyserve doctor`: what this machine has, and what to change about it."""
