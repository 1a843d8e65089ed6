"""Writes a tiny random LLaMA model: loads in milliseconds, same bytes for the same arguments.

The vocabulary is byte-level BPE: ids 0-255 are the bytes, then three control tokens, then tokens
made by merges, so that any text can be written and generated text may break off inside a UTF-8
character. The weights are random: greedy output is reproducible, meaningless and rarely ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

END_OF_TEXT = 256
IM_START = 257
IM_END = 258
N_SPECIAL = 3
N_VOCAB = 320
FIM_TOKENS = {"fim_pre": 317, "fim_suf": 318, "fim_mid": 319}

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_N_EMBD, _N_HEAD, _N_HEAD_KV, _N_FF, _N_LAYER = 64, 4, 2, 128, 2
_HEAD_DIM = _N_EMBD // _N_HEAD
_WORDS = (
    " the and ing er on at en test assistant user system black cat jumped out of window "
    "long time ago galaxy far away say this is hello world"
)


def write_tiny_llama(
    path: Path,
    *,
    n_ctx: int = 256,
    n_vocab: int = N_VOCAB,
    chat_template: bool | str = True,
    seed: int = 0,
    nan_token: int | None = None,
    infill: bool = False,
    pooling: int | None = None,
    causal: bool = True,
    tied: bool = False,
    add_vocabulary: Callable[[gguf.GGUFWriter, int], None] | None = None,
    controls: Sequence[str] = (),
) -> Path:
    """Write the model to `path` and return it.

    n_ctx: trained context in tokens. n_vocab: at least 260 (bytes, control tokens, one merge,
    without which the vocabulary does not load); what the merges do not fill becomes unused tokens.
    chat_template: its source; True: CHAT_TEMPLATE.
    add_vocabulary: adds another one with `n_vocab` tokens. controls: more control tokens, which
      come after `n_vocab`.
    infill: with fill-in-the-middle tokens, FIM_TOKENS.
    causal: tokens see those before them only. tied: the embeddings are the output matrix, too.
    pooling: of embeddings, as in the file: 1 mean, 2 first token, 3 last token.
    nan_token: a token whose embedding is NaN, so that prompts with it cannot be computed.
    """
    writer = gguf.GGUFWriter(path, "llama")
    _add_metadata(writer, n_ctx, n_vocab + len(controls))
    if controls:
        add_tokenizer(writer, n_vocab, controls=controls)
    else:
        (add_vocabulary or add_tokenizer)(writer, n_vocab)
    n_vocab += len(controls)
    if not causal:
        writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(gguf.PoolingType(pooling))
    if infill:
        for name, token in FIM_TOKENS.items():
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    if chat_template:
        source = CHAT_TEMPLATE if chat_template is True else chat_template
        writer.add_chat_template(source)
    _add_tensors(writer, n_vocab, np.random.default_rng(seed), nan_token)
    if tied:
        del writer.tensors[0]["output.weight"]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_metadata(writer: gguf.GGUFWriter, n_ctx: int, n_vocab: int) -> None:
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(n_vocab)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(_N_EMBD)
    writer.add_block_count(_N_LAYER)
    writer.add_feed_forward_length(_N_FF)
    writer.add_head_count(_N_HEAD)
    writer.add_head_count_kv(_N_HEAD_KV)
    writer.add_rope_dimension_count(_HEAD_DIM)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)


def add_tokenizer(
    writer: gguf.GGUFWriter,
    n_vocab: int = N_VOCAB,
    pre: str = "gpt-2",
    controls: Sequence[str] = (),
) -> None:
    """The vocabulary of the tiny models; `pre` is the name of its pre-tokenizer.

    controls: more control tokens, after the `n_vocab` others.
    """
    merges = _merges()[: n_vocab - 256 - N_SPECIAL]
    tokens = [*byte_symbols(), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    types = [gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * N_SPECIAL
    tokens += ["".join(merge) for merge in merges]
    types += [gguf.TokenType.NORMAL] * len(merges)
    n_unused = n_vocab - len(tokens)
    tokens += [f"<|unused_{index}|>" for index in range(n_unused)]
    types += [gguf.TokenType.UNUSED] * n_unused
    tokens += controls
    types += [gguf.TokenType.CONTROL] * len(controls)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(END_OF_TEXT)
    writer.add_eos_token_id(IM_END)
    writer.add_add_bos_token(False)


def byte_symbols() -> list[str]:
    """The printable character that stands for each byte in byte-level BPE (as in GPT-2)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    shifted = iter(range(256, 512))
    return [chr(byte if byte in printable else next(shifted)) for byte in range(256)]


def _merges() -> list[tuple[str, str]]:
    """Pairs that build each word of the list (with its space) from the left, each pair once."""
    symbols = byte_symbols()
    merges: dict[tuple[str, str], None] = {}
    for word in _WORDS.split():
        pieces = [symbols[byte] for byte in f" {word}".encode()]
        left = pieces[0]
        for right in pieces[1:]:
            merges[left, right] = None
            left += right
    return list(merges)


def _add_tensors(
    writer: gguf.GGUFWriter, n_vocab: int, rng: np.random.Generator, nan_token: int | None
) -> None:
    def add(name: str, n_out: int, n_in: int, scale: float = 1.0) -> None:
        values = rng.standard_normal((n_out, n_in), dtype=np.float32)
        if name == "token_embd.weight" and nan_token is not None:
            values[nan_token] = np.nan
        writer.add_tensor(name, values * np.float32(scale / n_in**0.5))

    def add_norm(name: str) -> None:
        ones: NDArray[np.float32] = np.ones(_N_EMBD, dtype=np.float32)
        writer.add_tensor(name, ones)

    n_kv = _HEAD_DIM * _N_HEAD_KV
    add("token_embd.weight", n_vocab, _N_EMBD, scale=_N_EMBD**0.5)
    for layer in range(_N_LAYER):
        block = f"blk.{layer}"
        add_norm(f"{block}.attn_norm.weight")
        add(f"{block}.attn_q.weight", _N_EMBD, _N_EMBD, scale=2.0)
        add(f"{block}.attn_k.weight", n_kv, _N_EMBD, scale=2.0)
        add(f"{block}.attn_v.weight", n_kv, _N_EMBD)
        add(f"{block}.attn_output.weight", _N_EMBD, _N_EMBD)
        add_norm(f"{block}.ffn_norm.weight")
        add(f"{block}.ffn_gate.weight", _N_FF, _N_EMBD)
        add(f"{block}.ffn_up.weight", _N_FF, _N_EMBD)
        add(f"{block}.ffn_down.weight", _N_EMBD, _N_FF)
    add_norm("output_norm.weight")
    add("output.weight", n_vocab, _N_EMBD, scale=3.0)
