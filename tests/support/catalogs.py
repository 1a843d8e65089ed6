"""Directories of models as LocalAI has them, and what is read of them."""

from __future__ import annotations

import struct
from pathlib import Path

from pyserve.models.catalog import Catalog, read_catalog
from pyserve.models.gallery import load_gallery
from pyserve.models.model_file import ModelFile

GGUF = struct.pack("<4sIQQ", b"GGUF", 3, 0, 0)
TYPE, ADAPTER_TYPE = b"general.type", b"adapter"
ADAPTER = b"".join(
    (
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1),
        struct.pack("<Q", len(TYPE)) + TYPE,
        struct.pack("<IQ", 8, len(ADAPTER_TYPE)) + ADAPTER_TYPE,
    )
)
# A model file that says most of what concerns text.
FULL = """
name: assistant
backend: llama-cpp
description: Answers briefly.
usage: |
  Ask it.
context_size: 2048
threads: 4
f16: true
mmap: false
gpu_layers: 35
known_usecases: [FLAG_CHAT, completion]
aliases: [helper, "gpt-*"]
parameters:
  model: a.gguf
  temperature: 0.2
  top_p: 0.9
  top_k: 80
  min_p: 0.1
  max_tokens: 200
  repeat_penalty: 1.1
  presence_penalty: 0.5
  frequency_penalty: -0.5
  seed: 7
  ignore_eos: true
  typical_p: 0.95
  batch_size: 256
  n_keep: 5
mirostat: 2
mirostat_tau: 4
mirostat_eta: 0.2
stopwords: ["USER:", "</s>"]
cutstrings: ['\\[.*?\\]']
extract_regex: ['<a>(.*)</a>']
trimspace: ["ASSISTANT:"]
trimsuffix: ["</s>"]
system_prompt: Be brief.
roles: {user: "USER:", assistant: "ASSISTANT:"}
cache_type_k: q8_0
flash_attention: off
numa: true
overrides: ["a.b=int:1", "a.c=str:x,y"]
options: ["parallel:2", "use_jinja:true"]
function:
  grammar:
    disable: true
"""


def write_models(directory: Path) -> Path:
    """Two models, a.gguf and b.gguf, without anything in them."""
    for name in ("a.gguf", "b.gguf"):
        (directory / name).write_bytes(GGUF)
    return directory


def catalog_of(directory: Path, **files: str) -> Catalog:
    """The catalog of a directory to which YAML files are added."""
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return read_catalog(directory, load_gallery())


def model_of(catalog: Catalog, name: str) -> ModelFile:
    (model,) = [model for model in catalog.models if model.id == name]
    return model


def notes_of(catalog: Catalog, level: str) -> list[str]:
    return [str(note) for note in catalog.notes if note.level == level]
