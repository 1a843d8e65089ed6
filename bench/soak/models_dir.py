"""A models directory as a user of LocalAI might have it: three models, each in its own way."""

from __future__ import annotations

from pathlib import Path

from tests.support.tiny_memories import write_tiny

NAMES = {
    "assistant": ("assistant", "gpt-4o", "gpt-3.5-turbo", "helper", "small.gguf"),
    "gemma": ("gemma", "writer", "gemma-3-270m"),
    "rwkv": ("rwkv", "rnn", "RWKV-7-tiny"),
}  # of each model: its id, then names that stand for it
ASSISTANT = """\
name: assistant
description: a small model for chats
aliases: ["gpt-*", helper, any]
context_size: 1024
stopwords: ["<|im_end|>"]
system_prompt: You are brief.
known_usecases: [chat, completion, edit]
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
    for name, text in TEMPLATES.items():
        (directory / name).write_text(text)
    (directory / "assistant.yaml").write_text(ASSISTANT)
    (directory / "rwkv.yaml").write_text(RWKV)
    write_gemma(directory, turn=0)


def write_gemma(directory: Path, turn: int) -> None:
    """A change that needs another engine, for every turn."""
    path = directory / "gemma.yaml"
    path.with_suffix(".new").write_text(GEMMA % (768 + 256 * (turn % 2)))
    path.with_suffix(".new").rename(path)
