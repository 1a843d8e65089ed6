"""Tells the format of a chat template without the model that it belongs to.

The engine runs templates, within bounds of time and memory; so it gets a model of no size.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from pyserve.engine.config import EngineConfig
from pyserve.engine.protocol import TemplateOptions
from pyserve.errors import PyserveError
from pyserve.gguf.writer import TensorData, write_gguf
from pyserve.openai.tools.formats import AnswerFormat
from pyserve.openai.tools.recognition import recognized

_N = 32  # of everything that has a size
_F32 = 0
_UNKNOWN, _CONTROL, _BYTE = 2, 3, 6
_SPECIAL = ("<unk>", "<s>", "</s>")
_SHAPES = {
    "blk.0.attn_norm.weight": (_N,),
    "blk.0.attn_q.weight": (_N, _N),
    "blk.0.attn_k.weight": (_N, _N),
    "blk.0.attn_v.weight": (_N, _N),
    "blk.0.attn_output.weight": (_N, _N),
    "blk.0.ffn_norm.weight": (_N,),
    "blk.0.ffn_gate.weight": (_N, _N),
    "blk.0.ffn_up.weight": (_N, _N),
    "blk.0.ffn_down.weight": (_N, _N),
    "output_norm.weight": (_N,),
}


def answer_format(source: str) -> AnswerFormat | None:
    """The format of the answers of models with this template; None where no engine can run it."""
    try:
        from pyserve.engine.native import LocalEngine  # noqa: PLC0415  # loads the native module
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.gguf"
        _write_model(path, source)
        try:
            engine = LocalEngine(
                EngineConfig(model_id="", model_path=str(path), n_ctx=_N, n_seq_max=1)
            )
        except PyserveError:
            return None
        try:

            def render(messages: Any, tools: Any, variables: Any) -> str:
                return engine.render(messages, TemplateOptions(tools=tools, variables=variables))

            return recognized(source, render)
        finally:
            engine.close()


def _write_model(path: Path, source: str) -> None:
    tokens = [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    shapes = {"token_embd.weight": (_N, len(tokens)), **_SHAPES}
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "llama.context_length": _N,
        "llama.embedding_length": _N,
        "llama.block_count": 1,
        "llama.feed_forward_length": _N,
        "llama.attention.head_count": 1,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": _N,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": source,
    }
    with path.open("wb") as stream:
        write_gguf(stream, metadata, [_zeros(name, shape) for name, shape in shapes.items()])


def _zeros(name: str, shape: tuple[int, ...]) -> TensorData:
    n_bytes = 4 * math.prod(shape)
    return TensorData(name, shape, _F32, n_bytes, lambda stream: _write(stream, n_bytes))


def _write(stream: Any, n_bytes: int) -> None:
    stream.write(bytes(n_bytes))
