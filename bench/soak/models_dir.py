"""A models directory as a user of LocalAI might have it: three models, each in its own way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pyserve.gguf.head import read_metadata
from tests.support.tiny.lora import TinyLora, write_lora
from tests.support.tiny.memories import write_tiny

LORA_RANK = 4

MODELS = ("assistant", "gemma", "rwkv")
NAMES = {
    "assistant": ("assistant", "gpt-4o", "gpt-3.5-turbo", "helper", "small.gguf"),
    "gemma": ("gemma", "writer", "gemma-3-270m"),
    "rwkv": ("rwkv", "rnn", "RWKV-7-tiny"),
    "pirate": ("pirate", "assistant-pirate"),
}  # of each model: its id, then names that stand for it; pirate is the assistant with an adapter
ASSISTANT = """\
name: assistant
description: a small model for chats
aliases: ["gpt-*", helper, any]
context_size: 1024
stopwords: ["<|im_end|>"]
system_prompt: You are brief.
known_usecases: [chat, completion, edit]
lora_adapters: ["pirate=adapter.gguf"]
lora_scales: [0]
parameters:
  model: small.gguf
  temperature: 0.3
  top_k: 40
  max_tokens: 24
template:
  chat: turns
  chat_message: |-
    <|im_start|>{{.RoleName}}
    {{.Content}}<|im_end|>
  completion: "{{.Input}}"
  edit: change
"""
GEMMA = """\
- name: gemma
  context_size: %d
  trimspace: ["Answer:"]
  parameters: {model: gemma.gguf, max_tokens: 16, seed: 5}
  template:
    join_chat_messages_by_character: ""
    chat_message: "<start_of_turn>{{if eq .RoleName \\"assistant\\"}}model{{else}}user{{end}}
      {{.Content}}<end_of_turn>\\n"
    chat: "{{.Input}}<start_of_turn>model\\n"
- {name: writer, alias: gemma}
- {name: gemma-3-270m, alias: gemma}
"""
RWKV = """\
name: rwkv
aliases: [rnn, "RWKV-?-tiny"]
context_size: 1536
roles: {user: "User:", assistant: "Assistant:", system: "Note:"}
cutstrings: ["[0-9]+"]
parameters: {model: rwkv.gguf, max_tokens: 16}
"""
TEMPLATES = {
    "turns.tmpl": "{{.Input}}\n<|im_start|>assistant\n",
    "change.tmpl": "Change the text. {{.Instruction}}\nText: {{.Input}}\nChanged:",
    "rwkv.gguf.tmpl": "{{.Input}}\n\nAssistant:",
}


def write_models_dir(directory: Path, small: Path, gemma: Path) -> None:
    """Fill an empty directory; the two model files are linked to."""
    (directory / "small.gguf").symlink_to(small.absolute())
    (directory / "gemma.gguf").symlink_to(gemma.absolute())
    write_tiny(directory / "rwkv.gguf", "rwkv7", n_ctx=1536)
    write_lora(directory / "adapter.gguf", _adapter(small))
    for name, text in TEMPLATES.items():
        (directory / name).write_text(text)
    (directory / "assistant.yaml").write_text(ASSISTANT)
    (directory / "rwkv.yaml").write_text(RWKV)
    write_gemma(directory, turn=0)


def _adapter(model: Path) -> TinyLora:
    """Random, and weak enough that answers stay text. It changes one matrix of the first layer."""
    n = int(read_metadata(model, ["llama.embedding_length"])["llama.embedding_length"])
    rng = np.random.default_rng(1)
    a = rng.standard_normal((LORA_RANK, n), dtype=np.float32) / np.float32(n**0.5)
    b = rng.standard_normal((n, LORA_RANK), dtype=np.float32) * np.float32(0.05)
    return TinyLora(pairs={"blk.0.attn_q.weight": (a, b)})


def write_gemma(directory: Path, turn: int) -> None:
    """A change that needs another engine, for every turn."""
    path = directory / "gemma.yaml"
    path.with_suffix(".new").write_text(GEMMA % (768 + 256 * (turn % 2)))
    path.with_suffix(".new").rename(path)
