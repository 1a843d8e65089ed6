"""Models of random weights: their tensors, the types of them, the file, and what reads it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from bench.gguf_head import read_head
from bench.models import resolve
from bench.random_model.files import ROWS, RandomModel, cached, is_random_name, parse_name, write
from bench.random_model.geometry import GEOMETRIES, Experts, Geometry
from bench.random_model.mixtures import KINDS, MIXTURES, type_of
from bench.random_model.roles import Role
from bench.random_model.tensors import Spec, tensors_of
from bench.random_model.vocabulary import resized
from tests.support.tiny.llama import write_tiny_llama

TINY = Geometry("llama", 8, 256, 512, 4, 2, 64, 300, 1e4)
N_PARAMETERS = {
    "llama3.2-1b": 1.24e9,
    "llama3.2-3b": 3.21e9,
    "llama2-7b": 6.74e9,
    "qwen3-0.6b": 0.60e9,
    "qwen3-4b": 4.02e9,
    "qwen3-8b": 8.19e9,
    "qwen3-30b-a3b": 30.5e9,
    "olmoe-1b-7b": 6.92e9,
    "gpt-oss-20b": 20.9e9,
    "lfm2-1.2b": 1.17e9,
    "granite-4-h-tiny": 6.94e9,
    "granite-4-h-micro": 3.19e9,
    "qwen3.5-2b": 1.88e9,  # without its vision
    "rwkv7-1.5b": 1.53e9,
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("vocabulary") / "tiny.gguf")


def random_model(mixture: str, **changes: Any) -> RandomModel:
    return RandomModel("tiny:x", dataclasses.replace(TINY, **changes), MIXTURES[mixture])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_geometry_has_the_parameters_of_its_model(name: str) -> None:
    n_parameters = sum(math.prod(spec.shape) for spec in tensors_of(GEOMETRIES[name]))
    assert n_parameters == pytest.approx(N_PARAMETERS[name], rel=0.01)


def test_a_name_has_a_geometry_layers_and_a_quantization() -> None:
    model = parse_name("qwen3-30b-a3b/8:Q4_K_M")
    assert (model.geometry.n_layers, model.mixture) == (8, MIXTURES["Q4_K_M"])
    assert model.file_name.startswith("random-qwen3-30b-a3b-layers-8.Q4_K_M.")
    assert all(is_random_name(name) and parse_name(name) for name in ROWS)
    assert not is_random_name("models/a.gguf")
    assert not is_random_name("SmolLM2-135M-Instruct.Q4_1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("llama9:Q4_0", "no geometry 'llama9'; there are llama3.2-1b"),
        ("llama2-7b:Q9", "no quantization 'Q9'"),
        ("llama2-7b", r"GEOMETRY\[/LAYERS\]:QUANTIZATION"),
        ("llama2-7b/0:Q4_0", "GEOMETRY"),
    ],
)
def test_a_name_that_does_not_exist_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_name(name)


def test_q4_k_m_has_more_bits_where_llama_cpp_has_them() -> None:
    def layers_with(role: Role, kind: str) -> list[int]:
        specs = [Spec("", (256, 256), role, layer) for layer in range(16)]
        mixture, geometry = MIXTURES["Q4_K_M"], GEOMETRIES["llama3.2-1b"]
        return [s.layer for s in specs if type_of(s, geometry, mixture) == kind]

    assert layers_with(Role.ATTN_V, "Q6_K") == [0, 1, 4, 7, 10, 13, 14, 15]
    assert layers_with(Role.FFN_DOWN, "Q6_K") == [0, 1, 4, 7, 10, 13, 14, 15]
    assert layers_with(Role.MATRIX, "Q4_K") == list(range(16))


@pytest.mark.parametrize(
    ("geometry", "mixture", "name", "kind"),
    [
        ("llama3.2-1b", "Q4_K_M", "token_embd.weight", "Q6_K"),
        ("llama3.2-1b", "Q8_0", "token_embd.weight", "Q8_0"),
        ("llama2-7b", "Q4_0", "token_embd.weight", "Q4_0"),
        ("llama2-7b", "Q4_0", "output.weight", "Q6_K"),
        ("llama2-7b", "F16", "output.weight", "F16"),
        ("gpt-oss-20b", "MXFP4", "blk.3.ffn_down_exps.weight", "MXFP4"),
        ("gpt-oss-20b", "MXFP4", "blk.3.attn_q.weight", "Q8_0"),
        ("gpt-oss-20b", "MXFP4", "blk.3.ffn_gate_inp.weight", "F32"),
        ("gpt-oss-20b", "Q4_K_M", "blk.3.attn_q.weight", "Q5_0"),  # 2,880 wide
        ("gpt-oss-20b", "Q4_K_M", "output.weight", "Q8_0"),
        ("qwen3-4b", "IQ4_XS", "blk.0.attn_v.weight", "Q5_K"),
        ("llama2-7b", "Q2_K", "blk.9.attn_v.weight", "Q3_K"),
    ],
)
def test_tensors_have_the_types_of_a_quantized_file(
    geometry: str, mixture: str, name: str, kind: str
) -> None:
    [spec] = [spec for spec in tensors_of(GEOMETRIES[geometry]) if spec.name == name]
    assert type_of(spec, GEOMETRIES[geometry], MIXTURES[mixture]) == kind


@pytest.mark.parametrize("mixture", MIXTURES)
def test_weights_are_small_and_around_zero(mixture: str, vocabulary: Path, tmp_path: Path) -> None:
    write(random_model(mixture), vocabulary, tmp_path / "a.gguf")
    for tensor in gguf.GGUFReader(tmp_path / "a.gguf").tensors:
        if "norm" not in tensor.name:
            weights = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            assert 0.005 < weights.std() < 0.05, tensor.name
            assert abs(weights.mean()) < 0.005, tensor.name


def test_a_file_has_the_tensors_of_its_geometry(vocabulary: Path, tmp_path: Path) -> None:
    model = random_model("MXFP4", architecture="qwen3moe", experts=Experts(4, 2, 128))
    write(model, vocabulary, tmp_path / "a.gguf")
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    found = {tensor.name: tuple(int(n) for n in tensor.shape) for tensor in reader.tensors}
    assert found == {spec.name: spec.shape for spec in tensors_of(model.geometry)}
    kinds = {tensor.name: int(tensor.tensor_type) for tensor in reader.tensors}
    assert kinds["blk.0.ffn_up_exps.weight"] == KINDS["MXFP4"]
    assert reader.fields["qwen3moe.expert_count"].contents() == 4
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]


def test_a_file_is_the_same_every_time(vocabulary: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(random_model("Q4_K_M"), vocabulary, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_is_written_once(vocabulary: Path, tmp_path: Path) -> None:
    model = random_model("Q4_0")
    path = cached(model, vocabulary, tmp_path / "cache")
    assert path.parent == tmp_path / "cache"
    written_ns = path.stat().st_mtime_ns
    assert cached(model, tmp_path / "none", tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == written_ns


def test_a_vocabulary_is_cut_or_filled_up(vocabulary: Path) -> None:
    metadata = read_head(vocabulary).metadata
    smaller: dict[str, Any] = dict(resized(metadata, 270))
    assert len(smaller["tokenizer.ggml.tokens"]) == 270
    assert len(smaller["tokenizer.ggml.merges"]) == 270 - 259
    larger: dict[str, Any] = dict(resized(metadata, 400))
    tokens = larger["tokenizer.ggml.tokens"]
    assert len(set(tokens)) == len(larger["tokenizer.ggml.token_type"]) == 400
    assert larger["tokenizer.ggml.merges"] == metadata["tokenizer.ggml.merges"]


def test_another_kind_of_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="of llama, not of byte-level BPE"):
        resized({"tokenizer.ggml.model": "llama"}, 10)


def test_models_are_found_by_name(vocabulary: Path) -> None:
    [model] = resolve([str(vocabulary)])
    assert (model.path, model.is_random) == (vocabulary, False)
    with pytest.raises(ValueError, match="no geometry"):
        resolve(["llama9:Q4_0"])
