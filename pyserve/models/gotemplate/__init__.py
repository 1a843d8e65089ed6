"""The part of Go's text/template that prompt templates of LocalAI use, interpreted within bounds."""
