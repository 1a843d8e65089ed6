"""Damaged model files.

All files are in the directory of one server, and are loaded as a client would, a few at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.hostile.conftest import BASES, CHAT, Target, check_refusal, rows
from tests.support.gguf_edit import (
    ARRAY,
    STRING,
    UINT32,
    GgufEdit,
    TensorHead,
    f32,
    i32s,
    string,
    strings,
    taken_apart,
    text,
    u32,
    u32s,
)
from tests.support.server import ServerProcess, served
from tests.support.tiny.llama import N_VOCAB, write_tiny_llama

BIG = 1 << 63
WEIGHT, EMBEDDINGS = "blk.0.attn_q.weight", "token_embd.weight"
TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
MERGES = "tokenizer.ggml.merges"
N_AT_ONCE = 3

pytestmark = pytest.mark.timeout(600)  # the first test waits for all files

Change = Callable[[GgufEdit], object]


def head(**fields: object) -> Change:
    return lambda edit: [setattr(edit, name, value) for name, value in fields.items()]


def key(name: str, value: bytes | None) -> Change:
    """Another value; None: no such key."""
    return lambda edit: edit.keys.pop(name) if value is None else edit.keys.update({name: value})


def tensor(**fields: object) -> Change:
    return lambda edit: [setattr(edit.tensor(WEIGHT), name, fields[name]) for name in fields]


def _more_heads(edit: GgufEdit) -> None:
    edit.tensors.append(TensorHead(WEIGHT, [64, 64], 0, 0))


def _swap_sizes(edit: GgufEdit) -> None:
    edit.tensor(EMBEDDINGS).shape.reverse()


DAMAGED: list[tuple[str, Change]] = [
    ("magic", head(magic=b"FGGU")),
    *((f"version {version}", head(version=version)) for version in (0, 1, 99)),
    ("2^63 tensors", head(n_tensors=BIG)),
    ("2^63 keys", head(n_keys=BIG)),
    ("text of 2^63 bytes", key("k", struct.pack("<IQ", STRING, BIG))),
    ("text past the end", key("k", struct.pack("<IQ", STRING, 1 << 30))),
    ("list of lists", key("k", struct.pack("<IIQ", ARRAY, ARRAY, 1) + bytes(32))),
    ("list of 2^60", key("k", struct.pack("<IIQ", ARRAY, UINT32, 1 << 60))),
    ("type 255", key("k", struct.pack("<I", 255) + bytes(8))),
    ("a key twice", head(more_keys=text("general.name") + string("x"), n_keys=2)),
    *((f"alignment {n}", key("general.alignment", u32(n))) for n in (0, 3, 1 << 31)),
    ("5 dimensions", tensor(shape=[1] * 5)),
    *(
        (f"shape {shape}", tensor(shape=shape))
        for shape in ([0, 64], [1 << 63, 2], [(1 << 64) - 1], [1 << 32, 1 << 32], [64, 63], [])
    ),
    ("offset not aligned", tensor(offset=7)),
    ("offset past the end", tensor(offset=1 << 40)),
    ("one within another", tensor(offset=0)),
    ("two of one name", _more_heads),
    ("unknown type", tensor(kind=200)),
    ("fewer tokens than rows", key(TOKENS, strings(["a", "b"]))),
    ("rows and columns changed", _swap_sizes),
    ("token types for fewer", key(TYPES, u32s([1] * 3))),
    ("no scores", key("tokenizer.ggml.model", string("llama"))),
    ("no tokens", key(TOKENS, None)),
    ("no tokenizer", key("tokenizer.ggml.model", None)),
    ("unknown tokenizer", key("tokenizer.ggml.model", string("nope"))),
    ("tokenizer of a number", key("tokenizer.ggml.model", u32(5))),
    ("unknown splitting", key("tokenizer.ggml.pre", string("nope"))),
    ("token type 99", key(TYPES, i32s([99] * N_VOCAB))),
    ("token ids out of range", key("tokenizer.ggml.bos_token_id", u32(1 << 31))),
    ("no merges", key(MERGES, None)),
    *((f"merge {text!r}", key(MERGES, strings([text]))) for text in ("", " ", "\xff", "abc")),
    ("a token of 10 MB", key(TOKENS, strings(["x" * 10**7, *map(str, range(N_VOCAB - 1))]))),
    ("tokens that are all the same", key(TOKENS, strings(["x"] * N_VOCAB))),
    *((f"{n} layers", key("llama.block_count", u32(n))) for n in (0, 3, 10**6, (1 << 32) - 1)),
    *(
        (f"{n} heads", key("llama.attention.head_count", u32(n)))
        for n in (0, 7, 10**6, (1 << 32) - 1)
    ),
    *((f"{n} wide", key("llama.embedding_length", u32(n))) for n in (0, 63, (1 << 32) - 1)),
    *((f"{n} turned", key("llama.rope.dimension_count", u32(n))) for n in (15, 1 << 31)),
    *((f"context of {n}", key("llama.context_length", u32(n))) for n in (0, (1 << 32) - 1)),
    ("base of NaN", key("llama.rope.freq_base", f32(float("nan")))),
    ("scale of infinity", key("llama.rope.scale_linear", f32(float("inf")))),
    ("no architecture", key("general.architecture", None)),
    ("unknown architecture", key("general.architecture", string("nope"))),
    ("architecture of other keys", key("general.architecture", string("gemma3"))),
]
# Odd, but the loader has an answer: whatever it is, nothing breaks.
ODD: list[tuple[str, Change]] = [
    ("no token types", key(TYPES, None)),
    ("no splitting", key("tokenizer.ggml.pre", None)),
    ("key heads that do not divide", key("llama.attention.head_count_kv", u32(3))),
    ("context of 1", key("llama.context_length", u32(1))),
    ("epsilon of 0", key("llama.attention.layer_norm_rms_epsilon", f32(0))),
    ("base of 0", key("llama.rope.freq_base", f32(0))),
]


@pytest.fixture(scope="module")
def names() -> dict[str, str]:
    """The id of the model of each row."""
    return {row[0]: f"m{i}" for i, row in enumerate([*DAMAGED, *ODD])}


@pytest.fixture(scope="module")
def server(
    names: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    models = tmp_path_factory.mktemp("models")
    tiny = write_tiny_llama(models / "tiny.gguf").read_bytes()
    for name, change in [*DAMAGED, *ODD]:
        edit = taken_apart(tiny)
        change(edit)
        (models / f"{names[name]}.gguf").write_bytes(edit.to_bytes())
    args = ["--models-dir", str(models), "--preload", "tiny", "--pin", "tiny", "--threads", "1"]
    args += ["--prefix-cache-mib", "8", "--parallel", "2", "--load-timeout-s", "20"]
    with served(*args) as server:
        yield server


@pytest.fixture(scope="module")
def replies(server: ServerProcess, names: dict[str, str]) -> dict[str, list[httpx.Response]]:
    """What loading the model of each row gave, and a chat with it; it is unloaded again."""

    def use(model: str) -> list[httpx.Response]:
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            load = client.post("/models/load", json={"model": model})
            chat = client.post(CHAT, json={**BASES[CHAT], "model": model})
            client.post("/models/unload", json={"model": model, "force": True})
            return [load, chat]

    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        return dict(zip(names, pool.map(use, names.values()), strict=True))


@pytest.fixture
def target(server: ServerProcess, replies: object) -> Iterator[Target]:
    target = Target(server)
    yield target
    target.check()
    target.close()


@pytest.mark.parametrize("name", rows([(row[0], row[0]) for row in DAMAGED]))
def test_damaged_files_are_refused(target: Target, replies: dict, name: str) -> None:
    for reply in replies[name]:
        if reply.status_code == 404:  # so damaged that it is not even listed
            check_refusal(reply, 404, "model_not_found")
        else:
            check_refusal(reply, 503, "model_load_failed")


@pytest.mark.parametrize("name", rows([(row[0], row[0]) for row in ODD]))
def test_odd_files_are_refused_or_served(target: Target, replies: dict, name: str) -> None:
    for reply in replies[name]:
        if reply.status_code == 500:
            check_refusal(reply, 500, "numeric_error")
        elif reply.status_code != 200:
            check_refusal(reply, reply.status_code)
            assert reply.status_code in (400, 503)


def test_the_server_has_the_processes_that_it_had(server: ServerProcess, replies: object) -> None:
    assert len(server.find("pyserve.engine.main")) == 1
    assert server.output().count("CRITICAL") == 0
