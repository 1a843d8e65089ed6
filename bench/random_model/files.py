"""Writes models of random weights: their speed is that of the real ones, their answers are not.

    python -m bench.random_model.files llama3.2-1b:Q4_K_M
    python -m bench.random_model.files qwen3-30b-a3b/8:Q4_K_M --out FILE.gguf

A model is named GEOMETRY[/LAYERS]:QUANTIZATION. Without --out it is kept for later runs, below
build/bench/models. Its tokenizer is that of a GGUF file, --vocabulary, or of the default model.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import BinaryIO, Final

from bench.gallery import gallery_file
from bench.gguf_head import read_head
from bench.random_model.geometry import GEOMETRIES, Geometry
from bench.random_model.mixtures import KINDS, MIXTURES, Mixture, type_of
from bench.random_model.roles import Role
from bench.random_model.tensors import Spec, tensors_of
from bench.random_model.vocabulary import Vocabulary, resized
from bench.random_model.weights import write_random, write_repeated
from pyserve.gguf.tensor_types import n_tensor_bytes
from pyserve.gguf.writer import Metadata, Scalar, TensorData, write_gguf

CACHE: Final = Path("build/bench/models")
REVISION: Final = 1  # of what is written; another one is another file
SEED: Final = 7
CTX_TOKENS: Final = 32768
RMS_EPSILON: Final = 1e-5
# The rows of a comparison of random models, one for each kind of use.
ROWS: Final = (
    *("llama3.2-1b:Q4_K_M", "llama3.2-1b:Q8_0", "llama3.2-1b:Q4_0"),
    *("llama2-7b:Q4_0", "qwen3-4b:Q4_K_M"),
)
_CONSTANT: Final = {Role.NORM: 1.0, Role.DECAY: -1.0}
_NAME: Final = re.compile(r"(?P<geometry>[\w.-]+)(/(?P<layers>[1-9]\d*))?:(?P<mixture>\w+)")


@dataclass(frozen=True)
class RandomModel:
    """name: as it was asked for."""

    name: str
    geometry: Geometry
    mixture: Mixture

    @property
    def file_name(self) -> str:
        stem = self.name.replace("/", "-layers-").replace(":", ".")
        return f"random-{stem}.r{REVISION}.gguf"


def is_random_name(text: str) -> bool:
    """Whether it is of the form of a random model's name."""
    return _NAME.fullmatch(text) is not None


def parse_name(text: str) -> RandomModel:
    """`GEOMETRY[/LAYERS]:QUANTIZATION`. Raises ValueError."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise ValueError(f"a random model is GEOMETRY[/LAYERS]:QUANTIZATION, not {text!r}")
    if match["geometry"] not in GEOMETRIES:
        raise ValueError(f"no geometry {match['geometry']!r}; there are {' '.join(GEOMETRIES)}")
    if match["mixture"] not in MIXTURES:
        raise ValueError(f"no quantization {match['mixture']!r}; there are {' '.join(MIXTURES)}")
    geometry = GEOMETRIES[match["geometry"]]
    if match["layers"]:
        geometry = dataclasses.replace(geometry, n_layers=int(match["layers"]))
    return RandomModel(text, geometry, MIXTURES[match["mixture"]])


def cached(model: RandomModel, vocabulary: Path | None = None, cache: Path = CACHE) -> Path:
    """Its file, which is written if there is none. vocabulary: None = that of the default model."""
    path = cache / model.file_name
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"writing {path}", file=sys.stderr, flush=True)
        write(model, vocabulary or gallery_file(), path)
    return path


def write(model: RandomModel, vocabulary: Path, path: Path) -> None:
    """Write it, whole or not at all; the same bytes every time."""
    words = resized(read_head(vocabulary).metadata, model.geometry.n_vocab)
    rng = random.Random(SEED)
    tensors = [_tensor(spec, model, rng) for spec in tensors_of(model.geometry)]
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as stream:
            write_gguf(stream, metadata_of(model, words), tensors)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def _tensor(spec: Spec, model: RandomModel, rng: random.Random) -> TensorData:
    kind = KINDS[type_of(spec, model.geometry, model.mixture)]
    n_values = prod(spec.shape)
    fill = partial(_fill, role=spec.role, kind=kind, n_values=n_values, rng=rng)
    return TensorData(spec.name, spec.shape, kind, n_tensor_bytes(kind, n_values), fill)


def _fill(stream: BinaryIO, *, role: Role, kind: int, n_values: int, rng: random.Random) -> None:
    if role in _CONSTANT:
        write_repeated(stream, _CONSTANT[role], n_values)
    else:
        write_random(stream, kind, n_values, rng)


def metadata_of(model: RandomModel, vocabulary: Vocabulary) -> Metadata:
    """What llama.cpp reads before the tensors."""
    g = model.geometry
    own: dict[str, Scalar | Sequence[Scalar]] = {
        "block_count": g.n_layers,
        "context_length": CTX_TOKENS,
        "embedding_length": g.n_embd,
        "feed_forward_length": g.n_ff,
        "vocab_size": g.n_vocab,
        "attention.head_count": g.n_head,
        "attention.head_count_kv": _kv_heads(g),
        "attention.layer_norm_rms_epsilon": RMS_EPSILON,
        "rope.freq_base": g.rope_base,
    }
    if g.head_dim:
        own["attention.key_length"] = own["attention.value_length"] = g.head_dim
        own["rope.dimension_count"] = g.n_rotated or g.head_dim
    if g.recurrence:
        own |= g.recurrence.keys()
    if g.architecture == "qwen35":
        own["rope.dimension_sections"] = [11, 11, 10, 0]
    if g.experts:
        own["expert_count"] = g.experts.n
        own["expert_used_count"] = g.experts.n_used
        own["expert_feed_forward_length"] = g.experts.n_ff
        if g.experts.n_ff_shared:
            own["expert_shared_feed_forward_length"] = g.experts.n_ff_shared
    if g.n_window:
        own["attention.sliding_window"] = g.n_window
    return {
        "general.architecture": g.architecture,
        "general.name": f"random {model.name}",
        "general.file_type": model.mixture.file_type,
        "general.quantization_version": 2,
        **{f"{g.architecture}.{key}": value for key, value in own.items()},
        **vocabulary,
    }


def _kv_heads(g: Geometry) -> int | list[int]:
    """Of every layer, where llama.cpp tells by them which are recurrent."""
    if g.architecture not in ("lfm2", "granitehybrid"):
        return g.n_head_kv
    return [0 if g.is_recurrent(layer) else g.n_head_kv for layer in range(g.n_layers)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="+", help="GEOMETRY[/LAYERS]:QUANTIZATION")
    parser.add_argument("--out", type=Path, help="write one model there")
    parser.add_argument("--vocabulary", type=Path, help="GGUF file of byte-level BPE")
    args = parser.parse_args(argv)
    try:
        models = [parse_name(name) for name in args.name]
        if args.out:
            [model] = models
            write(model, args.vocabulary or gallery_file(), args.out)
            return 0
        for model in models:
            print(cached(model, args.vocabulary or gallery_file()))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
