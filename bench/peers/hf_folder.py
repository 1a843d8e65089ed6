"""A folder as Hugging Face's libraries read it, with the geometry and tokenizer of a GGUF file.

Without weights: an engine that makes its own has the file's speed in its own type.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from bench.gguf_head import Head, read_head

_CONTROL: Final = 3  # token types
_ADDED: Final = (_CONTROL, 4)
_DIGITS: Final = {"type": "Digits", "individual_digits": True}
_BYTES: Final = {
    **{"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
}

Config = dict[str, Any]


def write_folder(model: Path, folder: Path) -> None:
    """Write the configuration and tokenizer of a GGUF file.

    Raises ValueError for an architecture that is not known here or a tokenizer not of BPE.
    """
    head = read_head(model)
    files = {
        "config.json": config_of(head),
        "tokenizer.json": tokenizer_of(head.metadata),
        "tokenizer_config.json": tokenizer_config_of(head.metadata),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def config_of(head: Head) -> Config:
    """The model's, in BF16."""
    architecture = str(head.metadata["general.architecture"])
    if architecture not in _FAMILIES:
        raise ValueError(f"no configuration for {architecture}; for {' '.join(_FAMILIES)}")
    of = {
        key.removeprefix(f"{architecture}."): value
        for key, value in head.metadata.items()
        if key.startswith(f"{architecture}.")
    }
    n_head, theta = of["attention.head_count"], of["rope.freq_base"]
    common: Config = {
        "hidden_size": of["embedding_length"],
        "intermediate_size": of["feed_forward_length"],
        "num_hidden_layers": of["block_count"],
        "num_attention_heads": n_head,
        "num_key_value_heads": of["attention.head_count_kv"],
        "head_dim": of.get("attention.key_length", of["embedding_length"] // n_head),
        "vocab_size": len(head.metadata["tokenizer.ggml.tokens"]),
        "max_position_embeddings": of["context_length"],
        "rms_norm_eps": of["attention.layer_norm_rms_epsilon"],
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "tie_word_embeddings": "output.weight" not in head.tensors,
        "hidden_act": "silu",
        "dtype": "bfloat16",
        "bos_token_id": head.metadata["tokenizer.ggml.bos_token_id"],
        "eos_token_id": head.metadata["tokenizer.ggml.eos_token_id"],
    }
    return {**common, **_FAMILIES[architecture](of)}


def _named(model_type: str, name: str) -> Config:
    return {"model_type": model_type, "architectures": [f"{name}ForCausalLM"]}


def _experts(of: Mapping[str, Any]) -> Config:
    return {"num_experts": of["expert_count"], "num_experts_per_tok": of["expert_used_count"]}


_FAMILIES: Final[Mapping[str, Callable[[Mapping[str, Any]], Config]]] = {
    "llama": lambda _: _named("llama", "Llama"),
    "qwen3": lambda _: _named("qwen3", "Qwen3"),
    "qwen3moe": lambda of: {
        **_named("qwen3_moe", "Qwen3Moe"),
        **_experts(of),
        "moe_intermediate_size": of["expert_feed_forward_length"],
        "norm_topk_prob": True,
    },
    "olmoe": lambda of: {**_named("olmoe", "Olmoe"), **_experts(of)},
}


def tokenizer_of(metadata: Mapping[str, Any]) -> Config:
    """In the format of `tokenizers`. Digits are apart, other pieces are those of GPT-2."""
    if metadata["tokenizer.ggml.model"] != "gpt2":
        raise ValueError(f"the tokenizer is {metadata['tokenizer.ggml.model']}, not BPE")
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    added = [
        {
            **{"id": index, "content": token, "special": kind == _CONTROL, "normalized": False},
            **{"single_word": False, "lstrip": False, "rstrip": False},
        }
        for index, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in _ADDED
    ]
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [_DIGITS, _BYTES]},
        "decoder": _BYTES,
        "model": {
            "type": "BPE",
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": metadata["tokenizer.ggml.merges"],
        },
    }


def tokenizer_config_of(metadata: Mapping[str, Any]) -> Config:
    """With the chat template, if the file has one."""
    tokens = metadata["tokenizer.ggml.tokens"]
    found: Config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for name in ("bos", "eos"):
        found[f"{name}_token"] = tokens[metadata[f"tokenizer.ggml.{name}_token_id"]]
    if "tokenizer.chat_template" in metadata:
        found["chat_template"] = metadata["tokenizer.chat_template"]
    return found
