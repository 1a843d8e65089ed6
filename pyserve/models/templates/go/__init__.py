"""Interpreter of the part of Go's text/template that LocalAI's prompts need, within bounds."""
