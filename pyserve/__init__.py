"""pyserve: GGUF language models on CPUs behind the OpenAI text API."""

__version__ = "0.1.0"
