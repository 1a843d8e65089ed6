"""`pyserve cache`: what is on disk, deleting it, and prompts to compute before they are asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from pyserve.cli.cache import cache
from pyserve.cli.warmer import check_warm
from pyserve.cli.warming import read_prompts
from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, file in (("aa", "/models/one.gguf"), ("bb", "/models/two.gguf")):
        folder = tmp_path / "prefixes" / name
        folder.mkdir(parents=True)
        about = {"file": file, "cache_type_k": "f16", "cache_type_v": "q8_0", "kernels": "avx2"}
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        (folder / f"{name * 20}.prefix").write_bytes(b"x" * 2000)
        (folder / ".tmp-1-1").write_bytes(b"x")
    (tmp_path / "prefixes" / "aa" / "notes.txt").write_text("mine", encoding="utf-8")
    return tmp_path / "prefixes"


def run(*args: str | Path) -> str:
    result = CliRunner().invoke(cache, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_what_is_there_is_listed(root: Path) -> None:
    rows = json.loads(run("ls", "--json", "--prefix-cache-dir", root))
    assert {(row["file"], row["files"], row["bytes"]) for row in rows} == {
        ("/models/one.gguf", 1, 2000),
        ("/models/two.gguf", 1, 2000),
    }
    text = run("ls", "--prefix-cache-dir", root)
    assert "one.gguf  f16/q8_0  avx2  1 files" in text


def test_a_model_or_all_are_deleted_and_nobody_elses_files(root: Path) -> None:
    assert "2.0 kB" in run("clear", "one.gguf", "--prefix-cache-dir", root)
    assert not list((root / "aa").glob("*.prefix"))
    assert list((root / "bb").glob("*.prefix"))
    run("clear", "--prefix-cache-dir", root)
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["notes.txt"]


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    assert "0 B" in run("ls", "--prefix-cache-dir", tmp_path / "none")
    run("clear", "--prefix-cache-dir", tmp_path / "none")


def test_a_damaged_description_is_no_error(root: Path) -> None:
    for text in ("{", "[]", '{"file": 1}'):
        (root / "aa" / "about.json").write_text(text, encoding="utf-8")
        assert "4.0 kB" in run("ls", "--prefix-cache-dir", root)


def test_prompts_are_chats_completions_or_texts(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('"a"\n\n{"prompt": "b"}\n{"messages": [], "model": "m"}\n', encoding="utf-8")
    prompts = read_prompts(file, "default")
    assert [(prompt.line, prompt.path) for prompt in prompts] == [
        (1, "/v1/completions"),
        (3, "/v1/completions"),
        (4, "/v1/chat/completions"),
    ]
    assert prompts[0].body["model"] == "default"
    assert prompts[2].body["model"] == "m"
    assert prompts[2].body["max_tokens"] == 0


@pytest.mark.parametrize("line", ["{bad", "3", "{}", '{"prompt": "a", "messages": []}'])
def test_a_line_that_is_no_prompt_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(f'"fine"\n{line}\n', encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="line 2"):
        read_prompts(file)


def test_warming_at_the_start_needs_a_file_and_a_key_in_clear(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        check_warm(ServeConfig(warm=file))
    file.write_text('"a"\n', encoding="utf-8")
    check_warm(ServeConfig(warm=file, api_key=["k"], api_key_file=tmp_path / "keys"))
    with pytest.raises(InvalidRequestError, match="no key"):
        check_warm(ServeConfig(warm=file, api_key_file=tmp_path / "keys"))
    with pytest.raises(InvalidRequestError, match="address"):
        check_warm(ServeConfig(warm=file, host=f"unix:{tmp_path}/socket"))


class _Handler(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, str | None, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers["Authorization"], body))
        is_bad = body.get("prompt") == "bad"
        answer = {"usage": {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 2}}}
        text = json.dumps({"error": {"message": "no"}} if is_bad else answer).encode()
        self.send_response(400 if is_bad else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    _Handler.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_each_prompt_is_sent_for_each_key_and_failures_are_told(
    tmp_path: Path, server: str
) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"messages": [{"role": "user", "content": "a"}]}\n"bad"\n', encoding="utf-8")
    args = ["warm", str(file), "--url", server, "--api-key", "k1", "--api-key", "k2"]
    result = CliRunner().invoke(cache, args)
    assert result.exit_code == 1
    assert result.output.count("line 1: 7 tokens, 2 were there") == 2
    assert result.output.count("line 2: 400") == 2
    assert [key for _, key, _ in _Handler.seen] == ["Bearer k1"] * 2 + ["Bearer k2"] * 2
