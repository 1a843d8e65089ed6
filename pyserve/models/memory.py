"""Predicts the memory of a model from its GGUF head.

The same sums as the engine's own (`native/src/llama/context/memory_plan.cc`), which knows the model
exactly and has the last word. Pure but for reading the file.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pyserve.engine.config import EngineConfig
from pyserve.engine.overrides import override_values
from pyserve.errors import ModelLoadError
from pyserve.gguf.check import MAX_LAYERS
from pyserve.gguf.head import check_gguf
from pyserve.gguf.kind import split_name
from pyserve.gguf.reader import AnyValue, LongArray, reading

DEFAULT_CTX = 8192  # at least, where the model was trained for as many
MIN_CACHE_BYTES = 2**30  # that a KV cache may take beside smaller weights
CTX_STEP = 1024
MAX_SEQUENCES = 256
MIN_OUTPUTS = 64
FLOAT_BYTES = 4
MOST_BYTES = 2**60
# Bytes per value of a KV cache; quantized ones have a scale for each 32 values.
CACHE_BYTES = {
    "f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32,
    "q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32,
}  # fmt: skip
# Architectures whose files say the window but not which layers have it: all but every n-th.
WINDOW_PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4}
TOKENS = "tokenizer.ggml.tokens"


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes. kv: caches and states. compute: what one step needs beside, an estimate."""

    weights: int
    kv: int
    compute: int

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.compute


def roomy_context(config: EngineConfig, n_bytes: int) -> int:
    """The context of a model for which none is chosen: what it was trained for, if there is room.

    A larger one than `DEFAULT_CTX` takes as much memory as the weights or `MIN_CACHE_BYTES`, and
    leaves the model within `n_bytes` with all that it needs. 0: the file does not say what it was
    trained for. Raises ModelLoadError for a damaged file.
    """
    metadata = _read_metadata(config)
    shape = ModelShape(metadata)
    n_trained = shape.number("context_length")
    if n_trained <= DEFAULT_CTX:
        return n_trained
    if config.n_kv:  # all cells are there, whatever one request may use of them
        return min(n_trained, max(config.n_kv, DEFAULT_CTX))
    n_weights = weight_bytes(Path(config.model_path))
    n_states = shape.kv_bytes(config, 0)

    def has_room(n_ctx: int) -> bool:
        need = memory_need(metadata, n_weights, msgspec.structs.replace(config, n_ctx=n_ctx))
        return need.kv - n_states <= max(n_weights, MIN_CACHE_BYTES) and need.total <= n_bytes

    if has_room(n_trained):
        return n_trained
    steps = range(DEFAULT_CTX // CTX_STEP + 1, -(-n_trained // CTX_STEP))
    n_more = bisect.bisect_left(steps, True, key=lambda step: not has_room(step * CTX_STEP))
    return DEFAULT_CTX + n_more * CTX_STEP


def predict_memory(config: EngineConfig) -> MemoryNeed:
    """Predicts an engine's memory. Raises ModelLoadError for a damaged file."""
    n_adapter_bytes = sum(Path(adapter.path).stat().st_size for adapter in config.adapters)
    metadata = _read_metadata(config)
    return memory_need(metadata, weight_bytes(Path(config.model_path)) + n_adapter_bytes, config)


def _read_metadata(config: EngineConfig) -> dict[str, AnyValue]:
    """What an engine is told of a model; the vocabulary may be missing."""
    path = Path(config.model_path)
    check_gguf(path)
    with reading(path) as reader:
        metadata = reader.metadata(until=TOKENS)
    if not ModelShape(metadata).number("block_count"):  # some files have the vocabulary first
        with reading(path) as reader:
            metadata = reader.metadata()
    return metadata | override_values(config.overrides)


def predicted_bytes(config: EngineConfig) -> int:
    """The total of `predict_memory`, and of its draft model; 0 when a file does not tell.

    At most `MOST_BYTES`, more than any machine has, whatever the file claims.
    """
    try:
        total = predict_memory(config).total
        if config.draft_model_path:
            total += predict_memory(
                msgspec.structs.replace(config, model_path=config.draft_model_path, overrides=())
            ).total
        return min(max(total, 0), MOST_BYTES)
    except (ModelLoadError, OSError, ValueError):
        return 0


def weight_bytes(path: Path) -> int:
    """The size of a model file, with all parts of a split one."""
    part = split_name(path.name)
    if part is None:
        return path.stat().st_size
    stem, _, n_parts = part
    names = (f"{stem}-{i:05}-of-{n_parts:05}{path.suffix}" for i in range(1, n_parts + 1))
    parts = (path.with_name(name) for name in names)
    return sum(each.stat().st_size for each in parts if each.is_file())


def memory_need(
    metadata: Mapping[str, AnyValue], n_weight_bytes: int, config: EngineConfig
) -> MemoryNeed:
    """The memory of a model. metadata: of its file, at least up to the vocabulary."""
    shape = ModelShape(metadata)
    n_ctx = config.n_ctx or min(shape.number("context_length", DEFAULT_CTX), DEFAULT_CTX)
    n_kv = config.n_kv or n_ctx
    return MemoryNeed(
        n_weight_bytes, shape.kv_bytes(config, n_kv), shape.compute_bytes(config, n_kv)
    )


class ModelShape:
    """The sizes of a model, by its metadata. Missing values count as 0."""

    def __init__(self, metadata: Mapping[str, AnyValue]) -> None:
        self._metadata = metadata
        self._architecture = str(metadata.get("general.architecture", ""))

    def number(self, name: str, default: int = 0) -> int:
        """A number of the architecture; of one per layer, the largest."""
        value = self._metadata.get(f"{self._architecture}.{name}", default)
        if isinstance(value, list):
            numbers = [number for number in value if isinstance(number, int)]
            return max(numbers, default=default)
        return value if isinstance(value, int) else default

    def kv_bytes(self, config: EngineConfig, n_kv: int) -> int:
        """Bytes of the KV caches, and of the states of recurrent layers."""
        n_head = max(self.number("attention.head_count"), 1)
        head_size = self.number("embedding_length") // n_head
        values_k = self.number("attention.key_length", head_size)
        values_v = self.number("attention.value_length", head_size)
        cell_bytes = values_k * CACHE_BYTES.get(config.cache_type_k, 2.0)
        cell_bytes += values_v * CACHE_BYTES.get(config.cache_type_v, 2.0)
        window = self.number("attention.sliding_window") * 2 * config.n_seq_max + config.n_batch
        n_cells = 0
        for layer in range(min(self.number("block_count"), MAX_LAYERS)):
            n_heads = self._of_layer("attention.head_count_kv", layer, n_head)
            n_cells += n_heads * (min(window, n_kv) if self._has_window(layer) else n_kv)
        return int(n_cells * cell_bytes) * self._attends + self._state_bytes(config)

    def compute_bytes(self, config: EngineConfig, n_kv: int) -> int:
        """Bytes of a step's buffers: activations of the batch, attention mask, scores, logits."""
        n_widths = 3 * self.number("embedding_length") + self.number("feed_forward_length")
        n_outputs = max(min(2 * config.n_seq_max + n_kv // 128, MAX_SEQUENCES), MIN_OUTPUTS)
        n_values = config.n_batch * n_widths + n_outputs * self._n_vocab()
        if config.flash_attn == "off":
            n_values += self.number("attention.head_count") * config.n_batch * n_kv
        return n_values * FLOAT_BYTES + config.n_batch * n_kv * self._attends * 2

    @property
    def _attends(self) -> bool:
        """Whether any layer has a KV cache."""
        return self.number("attention.head_count") > 0

    def _of_layer(self, name: str, layer: int, default: int) -> int:
        value = self._metadata.get(f"{self._architecture}.{name}", default)
        if isinstance(value, list):
            value = value[layer] if layer < len(value) else default
        return value if isinstance(value, int) else default

    def _has_window(self, layer: int) -> bool:
        if not self.number("attention.sliding_window"):
            return False
        pattern = self._metadata.get(f"{self._architecture}.attention.sliding_window_pattern")
        if isinstance(pattern, list):
            return layer < len(pattern) and bool(pattern[layer])
        period = pattern if isinstance(pattern, int) else WINDOW_PATTERNS.get(self._architecture, 1)
        return period > 1 and layer % period < period - 1

    def _state_bytes(self, config: EngineConfig) -> int:
        """Bytes of recurrent states: one for each running request, and as many kept ones."""
        n_inner = self.number("ssm.inner_size")
        n_state = self.number("ssm.state_size")
        n_conv = max(self.number("ssm.conv_kernel") - 1, 0)
        n_values = n_conv * (n_inner + 2 * self.number("ssm.group_count") * n_state)
        n_values += n_inner * n_state
        if head_size := self.number("wkv.head_size"):
            n_values += self.number("embedding_length") * (2 + head_size)
        return self._n_recurrent() * n_values * FLOAT_BYTES * 2 * config.n_seq_max

    def _n_recurrent(self) -> int:
        heads = self._metadata.get(f"{self._architecture}.attention.head_count_kv")
        if isinstance(heads, list):
            return sum(not n_heads for n_heads in heads)
        return self.number("block_count")

    def _n_vocab(self) -> int:
        tokens = self._metadata.get(TOKENS)
        if isinstance(tokens, LongArray):
            return tokens.n
        return len(tokens) if isinstance(tokens, list) else self.number("vocab_size")
