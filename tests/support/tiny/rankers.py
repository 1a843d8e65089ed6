"""Tiny random models that rank texts, and what they compute, with NumPy.

bert: an encoder whose first state goes through a head of two layers. mean: the same of the mean
of all states. qwen3: a decoder with the logits of two labels, and a template of both texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.support.tiny.memories import BERT_CTX, N_EMBD, N_HEAD, Writer, add_bert, add_qwen3

TEMPLATE = "<|im_start|>{query}\n<Document>: {document}<|im_end|>\n"

Matrix = NDArray[np.float32]


def write_tiny_ranker(path: Path, kind: str = "bert", *, labels: Sequence[str] = ()) -> Path:
    """Write the model and return its path. labels: what `bert` tells apart, in place of ranking."""
    is_encoder = kind != "qwen3"
    writer = Writer(path, "bert" if is_encoder else kind, BERT_CTX if is_encoder else 1024)
    if is_encoder:
        add_bert(writer, gguf.PoolingType.RANK)
        writer.gguf.add_add_bos_token(True)
        writer.gguf.add_add_eos_token(True)
        writer.matrix("cls.weight", N_EMBD, N_EMBD)
        writer.random("cls.bias", N_EMBD, scale=0.1)
    else:
        add_qwen3(writer)
        writer.gguf.add_pooling_type(gguf.PoolingType.RANK)
        writer.gguf.add_string("tokenizer.chat_template.rerank", TEMPLATE)
        labels = ["yes", "no"]
    if kind == "mean":
        writer.gguf.add_uint32("bert.classifier.pooling_type", gguf.PoolingType.MEAN)
    if labels:
        writer.gguf.add_classifier_output_labels(labels)
    writer.matrix("cls.output.weight", len(labels) or 1, N_EMBD, scale=2.0)
    if is_encoder:
        writer.random("cls.output.bias", len(labels) or 1, scale=0.1)
    writer.close()
    return path


class Reference:
    """What a tiny model of this kind computes of tokens, from the weights in its file."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self.weights = {each.name: np.array(each.data) for each in reader.tensors}
        self._is_mean = "bert.classifier.pooling_type" in reader.fields

    def ranks(self, tokens: Sequence[int]) -> Matrix:
        """The numbers of the head of an encoder."""
        states = self._states(tokens)
        pooled = states.mean(axis=0) if self._is_mean else states[0]
        return self._linear("cls.output", np.tanh(self._linear("cls", pooled)))

    def _states(self, tokens: Sequence[int]) -> Matrix:
        weights = self.weights
        x = weights["token_embd.weight"][list(tokens)] + weights["token_types.weight"][0]
        x = self._norm("token_embd_norm", x + weights["position_embd.weight"][: len(tokens)])
        for layer in range(2):
            block = f"blk.{layer}"
            x = self._norm(f"{block}.attn_output_norm", x + self._attention(block, x))
            up = self._linear(f"{block}.ffn_up", x)
            gelu = up / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (up + 0.044715 * up**3)))
            x = self._norm(
                f"{block}.layer_output_norm", x + self._linear(f"{block}.ffn_down", gelu)
            )
        return x

    def _attention(self, block: str, x: Matrix) -> Matrix:
        q, k, v = (
            self._linear(f"{block}.attn_{name}", x).reshape(len(x), N_HEAD, -1).swapaxes(0, 1)
            for name in "qkv"
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])
        odds = np.exp(scores - scores.max(axis=2, keepdims=True))
        mixed = odds / odds.sum(axis=2, keepdims=True) @ v
        return self._linear(f"{block}.attn_output", mixed.swapaxes(0, 1).reshape(len(x), -1))

    def _linear(self, name: str, x: Matrix) -> Matrix:
        y: Matrix = x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return y

    def _norm(self, name: str, x: Matrix) -> Matrix:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        y: Matrix = scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return y
