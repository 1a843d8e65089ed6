"""The part of Go's text/template that prompts of LocalAI need, interpreted within bounds."""
