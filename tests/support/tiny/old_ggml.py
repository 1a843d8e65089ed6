"""Writes a tiny random LLaMA model in the formats before GGUF, and the same one as GGUF."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

N_VOCAB, N_EMBD, N_HEAD, N_LAYER, N_FF = 300, 64, 4, 2, 128
MAGICS = {"GGML": b"lmgg", "GGMF": b"fmgg", "GGJT": b"tjgg"}
KINDS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8}
NAMES = {
    "tok_embeddings": "token_embd",
    "norm": "output_norm",
    "output": "output",
    "attention_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "attention.wq": "attn_q",
    "attention.wk": "attn_k",
    "attention.wv": "attn_v",
    "attention.wo": "attn_output",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
}

Array = NDArray[Any]


def tensors() -> dict[str, Array]:
    """By their old names; rows of outputs."""
    rng = np.random.default_rng(0)

    def matrix(n_out: int, n_in: int, scale: float = 1.0) -> Array:
        return rng.standard_normal((n_out, n_in), dtype=np.float32) * np.float32(scale / n_in**0.5)

    ones = np.ones(N_EMBD, dtype=np.float32)
    found = {
        "tok_embeddings.weight": matrix(N_VOCAB, N_EMBD, N_EMBD**0.5),
        "norm.weight": ones,
        "output.weight": matrix(N_VOCAB, N_EMBD, 3.0),
    }
    for layer in range(N_LAYER):
        block = f"layers.{layer}"
        for name in ("wq", "wk", "wv", "wo"):
            found[f"{block}.attention.{name}.weight"] = matrix(N_EMBD, N_EMBD, 2.0)
        found[f"{block}.attention_norm.weight"] = ones
        found[f"{block}.feed_forward.w1.weight"] = matrix(N_FF, N_EMBD)
        found[f"{block}.feed_forward.w2.weight"] = matrix(N_EMBD, N_FF)
        found[f"{block}.feed_forward.w3.weight"] = matrix(N_FF, N_EMBD)
        found[f"{block}.ffn_norm.weight"] = ones
    return found


def words() -> list[bytes]:
    """Control tokens, the bytes, then letters and words."""
    letters = [bytes([letter]) for letter in b" abcdefghijklmnopqrstuvwxyz"]
    more = [b" cat", b"the", b" hello"]
    all_words = [b"", b"", b"", *(bytes([byte]) for byte in range(256)), *letters, *more]
    return all_words + [f"<extra{i}>".encode() for i in range(N_VOCAB - len(all_words))]


def write_old(path: Path, kind: str = "F32", name: str = "GGJT", version: int = 3) -> Path:
    """Write the model in an old format and return its path. kind: of the matrices."""
    with path.open("wb") as stream:
        stream.write(MAGICS[name] + (b"" if name == "GGML" else struct.pack("<I", version)))
        shape = (N_VOCAB, N_EMBD, 32, N_HEAD, N_LAYER, N_EMBD // N_HEAD, KINDS[kind])
        stream.write(struct.pack("<7I", *shape))
        for token, word in enumerate(words()):
            score = b"" if name == "GGML" else struct.pack("<f", -float(token))
            stream.write(struct.pack("<I", len(word)) + word + score)
        for tensor_name, values in tensors().items():
            its_kind = kind if values.ndim > 1 else "F32"
            dims = values.shape[::-1]
            head = (values.ndim, len(tensor_name), KINDS[its_kind], *dims)
            stream.write(struct.pack(f"<{len(head)}I", *head) + tensor_name.encode())
            if name == "GGJT":
                stream.write(bytes(-stream.tell() % 32))
            stream.write(packed(values, its_kind))
    return path


def packed(values: Array, kind: str) -> bytes:
    """The bytes of a tensor."""
    if kind in ("F32", "F16"):
        return values.astype(np.float32 if kind == "F32" else np.float16).tobytes()
    return gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind]).tobytes()


def write_new(path: Path, kind: str = "F32") -> Path:
    """Write the same model as GGUF, with the reference writer."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(N_LAYER)
    writer.add_feed_forward_length(N_FF)
    writer.add_rope_dimension_count(N_EMBD // N_HEAD)
    writer.add_head_count(N_HEAD)
    writer.add_head_count_kv(N_HEAD)
    writer.add_layer_norm_rms_eps(5e-6)
    writer.add_tokenizer_model("llama")
    normal = [word.decode("latin-1").replace(" ", "\N{LOWER ONE EIGHTH BLOCK}") for word in words()]
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *normal[259:]]
    writer.add_token_list(texts)
    writer.add_token_scores([-float(token) for token in range(N_VOCAB)])
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (N_VOCAB - 259)])
    for name, values in tensors().items():
        new = name.removesuffix(".weight")
        prefix = ""
        if new.startswith("layers."):
            _, layer, new = new.split(".", 2)
            prefix = f"blk.{layer}."
        its_kind = kind if values.ndim > 1 else "F32"
        data = gguf.quants.quantize(values, gguf.GGMLQuantizationType[its_kind])
        raw = None if its_kind in ("F32", "F16") else gguf.GGMLQuantizationType[its_kind]
        writer.add_tensor(f"{prefix}{NAMES[new]}.weight", data, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
