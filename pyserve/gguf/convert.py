"""Converts LLaMA models of the formats before GGUF; the weights stay as they are, bit for bit."""

from __future__ import annotations

import mmap
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from pyserve.errors import InvalidRequestError, ModelLoadError
from pyserve.gguf.old_formats import (
    FLOATS,
    LASTING,
    LASTING_VERSION,
    GgmlFile,
    OldTensor,
    read_ggml,
)
from pyserve.gguf.tensor_types import type_name
from pyserve.gguf.writer import Metadata, TensorData, write_gguf

N_CTX: Final = 2048  # of the LLaMA models of that time; the files do not say it
RMS_EPS: Final = 5e-6  # between those of the first and the second LLaMA
UNKNOWN, CONTROL, NORMAL, BYTE = 2, 3, 1, 6  # GGUF's kinds of tokens
N_CONTROL, N_BYTES = 3, 256
_NAMES: Final = {
    "tok_embeddings": "token_embd",
    "norm": "output_norm",
    "output": "output",
    "attention.wq": "attn_q",
    "attention.wk": "attn_k",
    "attention.wv": "attn_v",
    "attention.wo": "attn_output",
    "attention_norm": "attn_norm",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
    "ffn_norm": "ffn_norm",
}


def convert_file(source: Path, target: Path, *, is_forced: bool = False) -> GgmlFile:
    """Write the old file `source` as GGUF; the new file appears by one rename.

    is_forced: replace an existing file. Returns what the old file was.
    Raises InvalidRequestError, or ModelLoadError when the format or its weights cannot be kept.
    """
    if target.exists() and (not is_forced or target.samefile(source)):
        raise InvalidRequestError(f"{target} exists; --force replaces it, but never the input")
    old = read_ggml(source)
    _check_shape(old)
    _check_kept(old)
    part = target.with_name(f".{target.name}.part")
    try:
        with (
            source.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
            part.open("wb") as output,
        ):
            tensors = [_tensor(tensor, data) for tensor in old.tensors]
            write_gguf(output, _metadata(source.stem, old), tensors)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return old


def _check_shape(old: GgmlFile) -> None:
    shapes = {tensor.name: tensor.shape for tensor in old.tensors}
    has_heads = old.n_head > 0 and old.n_embd % old.n_head == 0
    if not has_heads or shapes.get("tok_embeddings.weight") != (old.n_embd, old.n_vocab):
        raise ModelLoadError("the file contradicts itself about its sizes: it is damaged")


def _check_kept(old: GgmlFile) -> None:
    """Refuses quantized blocks of older versions, which have another layout."""
    kept = LASTING if (old.format, old.version) == ("GGJT", LASTING_VERSION) else FLOATS
    for tensor in old.tensors:
        if tensor.kind not in kept:
            name = old.format if old.format == "GGML" else f"{old.format} version {old.version}"
            raise ModelLoadError(
                f"weights of type {type_name(tensor.kind)} in {name} have a layout that nothing "
                "reads any more: get the model as GGUF, or convert the original (F16) file"
            )


def _metadata(name: str, old: GgmlFile) -> Metadata:
    n_ff = next((t.shape[1] for t in old.tensors if t.name.endswith("feed_forward.w1.weight")), 0)
    n_kv = next((t.shape[1] for t in old.tensors if t.name.endswith("attention.wk.weight")), 0)
    n_head_kv = n_kv * old.n_head // old.n_embd if old.n_embd else 0
    return {
        "general.architecture": "llama",
        "general.name": name,
        "llama.context_length": N_CTX,
        "llama.embedding_length": old.n_embd,
        "llama.block_count": old.n_layer,
        "llama.feed_forward_length": n_ff,
        "llama.rope.dimension_count": old.n_rot,
        "llama.attention.head_count": old.n_head,
        "llama.attention.head_count_kv": n_head_kv or old.n_head,
        "llama.attention.layer_norm_rms_epsilon": RMS_EPS,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [_text(i, text) for i, (text, _) in enumerate(old.tokens)],
        "tokenizer.ggml.scores": [float(score) for _, score in old.tokens],
        "tokenizer.ggml.token_type": [_kind(i) for i in range(len(old.tokens))],
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def _kind(token: int) -> int:
    if token == 0:
        return UNKNOWN
    if token < N_CONTROL:
        return CONTROL
    return BYTE if token < N_CONTROL + N_BYTES else NORMAL


def _text(token: int, text: bytes) -> bytes:
    """A token's text as SentencePiece writes it: control tokens, bytes, a mark for spaces."""
    if token < N_CONTROL:
        return (b"<unk>", b"<s>", b"</s>")[token]
    if token < N_CONTROL + N_BYTES:
        return f"<0x{token - N_CONTROL:02X}>".encode()
    return text.replace(b" ", "\N{LOWER ONE EIGHTH BLOCK}".encode())


def _tensor(tensor: OldTensor, data: mmap.mmap) -> TensorData:
    return TensorData(
        name=_new_name(tensor.name),
        shape=tensor.shape,
        kind=tensor.kind,
        n_bytes=tensor.end - tensor.begin,
        write=partial(_copy, data, tensor.begin, tensor.end),
    )


def _copy(data: mmap.mmap, begin: int, end: int, stream: BinaryIO) -> None:
    with memoryview(data) as view, view[begin:end] as part:
        stream.write(part)


def _new_name(name: str) -> str:
    """The GGUF name of a tensor. Raises ModelLoadError for one that LLaMA models do not have."""
    stem = name.removesuffix(".weight")
    prefix = ""
    if stem.startswith("layers."):
        _layers, layer, stem = stem.split(".", 2)
        prefix = f"blk.{layer}."
    if stem not in _NAMES:
        raise ModelLoadError(f"the file has a tensor {name!r}: it is no LLaMA model")
    return f"{prefix}{_NAMES[stem]}.weight"
