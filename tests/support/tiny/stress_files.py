"""Writes what native/tests/engine_stress.cc runs on into the working directory: `make asan`.

A model with two LoRA adapters, and one with recurrent states beside attention.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.lora import make_lora, write_lora
from tests.support.tiny.memories import write_tiny

if __name__ == "__main__":
    model = write_tiny_llama(Path("tiny.gguf"))
    for seed in (1, 2):
        write_lora(Path(f"lora-{seed}.gguf"), make_lora(model, seed=seed))
    write_tiny(Path("jamba.gguf"), "jamba")
