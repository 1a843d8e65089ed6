from __future__ import annotations

import contextlib
import random
import struct
from pathlib import Path

import gguf
import pytest

from pyserve.errors import ModelLoadError
from pyserve.gguf.check import HEAD, check_model_file
from pyserve.gguf.check_vocabulary import MERGES, SCORES, TOKEN_TYPES, TOKENS
from tests.support.tiny.llama import write_tiny_llama

U32, U64 = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.UINT64
STRING, ARRAY = gguf.GGUFValueType.STRING, gguf.GGUFValueType.ARRAY
BIG = 1 << 63


def text(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: str, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


def model(
    *keys: bytes, tensors: tuple[bytes, ...] = (), n_keys: int | None = None, n_data: int = 4096
) -> bytes:
    head = HEAD.pack(b"GGUF", 3, len(tensors), len(keys) if n_keys is None else n_keys)
    return head + b"".join(keys) + b"".join(tensors) + bytes(n_data)


def strings(name: str, *texts: str) -> bytes:
    head = struct.pack("<IQ", STRING, len(texts))
    return key(name, ARRAY, head + b"".join(text(value) for value in texts))


def tokens(*texts: str) -> bytes:
    return strings(TOKENS, *texts)


def token_id(name: str, value: int) -> bytes:
    return key(f"tokenizer.ggml.{name}_token_id", U32, struct.pack("<I", value))


LAYERS = key("llama.block_count", U32, struct.pack("<I", 2))
GOOD = tensor("good", [32, 4])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> bytes:
    path = write_tiny_llama(tmp_path_factory.mktemp("gguf") / "tiny.gguf")
    return Path(path).read_bytes()


def complaint(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelLoadError) as refused:
        check_model_file(path)
    return refused.value.message


def test_a_good_file_passes(tmp_path, tiny):
    path = tmp_path / "good.gguf"
    path.write_bytes(tiny)
    check_model_file(path)
    path.write_bytes(model(LAYERS, tensors=(GOOD, tensor("next", [32], offset=512))))
    check_model_file(path)
    path.write_bytes(model(tokens("a", "", "", "b"), strings(MERGES, "a b", "\u0120 b")))
    check_model_file(path)
    path.write_bytes(model(token_id("bos", 1), token_id("eos", 2**32 - 1), tokens("a", "b")))
    check_model_file(path)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "head"),
        (b"GGUF\x03", "head"),
        (b"FGGU" + bytes(64), "version"),
        (HEAD.pack(b"GGUF", 1, 0, 0), "version"),
        (HEAD.pack(b"GGUF", 3, BIG, 0), "n_tensors"),
        (HEAD.pack(b"GGUF", 3, 0, BIG), "n_kv"),
        (HEAD.pack(b"GGUF", 3, 0, 3) + bytes(64), "key 0 has no name"),
        (model(key("k", STRING, struct.pack("<Q", BIG))), "'k'"),
        (model(key("k", STRING, struct.pack("<Q", 1 << 20))), "'k'"),
        (model(key("k", 255, bytes(8))), "type 255"),
        (model(key("k", ARRAY, struct.pack("<IQ", ARRAY, 1) + bytes(32))), "array of type 9"),
        (model(key("k", ARRAY, struct.pack("<IQ", U32, 1 << 60))), "past the end"),
        (model(key("k", ARRAY, struct.pack("<IQ", STRING, 1 << 60))), "strings"),
        (model(key("k", ARRAY, struct.pack("<IQQ", STRING, 1, BIG))), "past the end"),
        (model(key(TOKENS, ARRAY, struct.pack("<IQ", STRING, 2) + text("a")), n_data=0), "past"),
        (model(LAYERS, LAYERS), "twice"),
        (model(key("general.alignment", U32, struct.pack("<I", 0))), "general.alignment"),
        (model(key("general.alignment", U32, struct.pack("<I", 3))), "general.alignment"),
        (model(key("general.alignment", U32, struct.pack("<I", 1 << 31))), "general.alignment"),
        (model(key("llama.block_count", U32, bytes(4))), "llama.block_count is 0"),
        (model(key("llama.block_count", U32, struct.pack("<I", 10**6))), "block_count is 1000000"),
        (model(key("llama.context_length", U64, struct.pack("<Q", BIG))), "context_length"),
        (model(key("llama.rope.freq_base", 6, struct.pack("<f", float("nan")))), "freq_base"),
        (model(tensors=(tensor("t", [1] * 5),)), "5 dimensions"),
        (model(tensors=(tensor("t", [0, 4]),)), "shape"),
        (model(tensors=(tensor("t", [BIG, 4]),)), "shape"),
        (model(tensors=(tensor("t", [1 << 40, 1 << 40]),)), "shape"),
        (model(tensors=(tensor("t", [32], offset=7),)), "begins at 7"),
        (model(tensors=(tensor("t", [32], offset=1 << 40),)), "ends at"),
        (model(tensors=(tensor("t", [1 << 20]),)), "ends at"),
        (model(tensors=(tensor("t", [33], kind=2),)), "rows of 33"),
        (model(tensors=(GOOD, tensor("t", [32], offset=32))), "within another"),
        (model(tensors=(GOOD, tensor("good", [32], offset=512))), "same name"),
        (
            model(tokens("a", "b"), key(SCORES, ARRAY, struct.pack("<IQf", 6, 1, 0.0))),
            "1 entries for 2 tokens",
        ),
        (model(tokens("a", "b", "c", "b")), "tokens 1 and 3 are the same, 'b'"),
        (model(tokens("a", "b\0x", "b")), "tokens 1 and 2 are the same"),
        (model(tokens("a", "b" * 100_000)), "token 1 has more than 65536 bytes"),
        (model(key(TOKENS, ARRAY, struct.pack("<IQI", U32, 1, 0))), "array of type 4"),
        (model(tokens("a"), key(TOKEN_TYPES, ARRAY, struct.pack("<IQi", 5, 1, 99))), "types [99]"),
        (
            model(tokens("a"), key(TOKEN_TYPES, ARRAY, struct.pack("<IQI", 4, 1, 1))),
            "array of type 4",
        ),
        (model(key("tokenizer.ggml.model", STRING, text("llama")), tokens("a")), "scores is not"),
        (model(strings(MERGES, "a b", "ab")), "merges 1 is no pair, b'ab'"),
        (model(strings(MERGES, " b")), "merges 0"),
        (model(strings(MERGES, "")), "merges 0"),
        (model(key(MERGES, ARRAY, struct.pack("<IQI", U32, 1, 0))), "array of type 4"),
        (model(tokens("a", "b"), token_id("bos", 2)), "bos_token_id is 2 of 2 tokens"),
        (model(token_id("eos", BIG >> 32), tokens("a")), "eos_token_id is 2147483648 of 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, data, field):
    assert field in complaint(tmp_path, data)


@pytest.mark.parametrize("seed", range(300))
def test_a_mutated_file_passes_or_is_refused(tmp_path, tiny, seed):
    chance = random.Random(seed)
    data = bytearray(tiny)
    n_head = tiny.index(b"output_norm.weight") + 64
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(4, n_head)
        if chance.random() < 0.5:
            data[at] ^= 1 << chance.randrange(8)
        else:
            data[at : at + 8] = struct.pack("<Q", chance.choice([0, 1, BIG, 2**64 - 1, 2**32]))
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    path = tmp_path / "mutated.gguf"
    path.write_bytes(data)
    with contextlib.suppress(ModelLoadError):
        check_model_file(path)


@pytest.mark.parametrize("part", range(20))
def test_a_cut_off_file_is_refused(tmp_path, tiny, part):
    complaint(tmp_path, tiny[: len(tiny) * part // 20])


@pytest.mark.parametrize("what", ["directory", "nothing"])
def test_what_is_no_file_is_refused(tmp_path, what):
    path = tmp_path / what
    if what == "directory":
        path.mkdir()
    with pytest.raises(ModelLoadError):
        check_model_file(path)
