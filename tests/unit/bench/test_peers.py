"""What the adapters of peers add to them, without the peers."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.gguf_head import Head
from bench.peers.ik_llama import IkLlamaServer
from bench.peers.llama_cpp_python import LlamaCppPython
from bench.peers.mains import serve_llama_cpp_python as llama_cpp_main
from bench.peers.mains import serve_vllm_cpu as vllm_main
from bench.peers.mains.serve_mistralrs import event_of
from bench.peers.mistralrs import Mistralrs
from bench.peers.peer import Settings
from bench.peers.venv import member_of, requirements_without
from bench.peers.vllm_cpu import VllmCpu

SETTINGS = Settings(Path("/models/a.gguf"), 9000, 2, 4, 512, 2048)


class FakeLlama:
    def generate(self, _tokens: list[int], n: int) -> Iterator[int]:
        yield from range(n)


class FakeService:
    def submit_request(self, request: Any) -> str:
        request.on_done = request.results.append
        return "submitted"


class StreamingApp:
    """Answers like the servers: chunks, then [DONE]; `work` runs in the request's context."""

    def __init__(self, work: Any) -> None:
        self.state = object()
        self._work = work

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        await asyncio.to_thread(self._work)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b'data: {"choices": []}\n\n'})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def bodies(work: Any) -> list[bytes]:
    sent: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))

    app = llama_cpp_main.UsageBeforeDone(StreamingApp(work))
    asyncio.run(app({}, None, send))
    return sent[1:]


def test_the_plain_server_counts_what_it_generates() -> None:
    class Llama(FakeLlama):
        pass

    llama_cpp_main.count_generated(Llama)
    chunk, last = bodies(lambda: list(Llama().generate([1, 2, 3], 5)))
    assert b"usage" not in chunk
    assert b'"usage": {"prompt_tokens": 3, "completion_tokens": 5}' in last
    assert last.endswith(b"\n\ndata: [DONE]\n\n")


def test_the_batching_server_tells_the_usage_of_its_result() -> None:
    class Service(FakeService):
        pass

    llama_cpp_main.keep_usage(Service)
    result = SimpleNamespace(usage=SimpleNamespace(prompt_tokens=7, completion_tokens=2))
    request = SimpleNamespace(results=[])

    def work() -> None:
        assert Service().submit_request(request) == "submitted"
        request.on_done(result)

    assert b'"usage": {"prompt_tokens": 7, "completion_tokens": 2}' in bodies(work)[-1]
    assert request.results == [result]


def test_a_stream_without_counts_is_left_as_it_is() -> None:
    assert bodies(lambda: None)[-1] == b"data: [DONE]\n\n"


def test_the_servers_of_llama_cpp_python_get_the_cells_they_can_use() -> None:
    plain = LlamaCppPython().command(SETTINGS)
    batching = LlamaCppPython("b", is_batching=True).command(SETTINGS)
    assert plain.flags == ["--threads", "2", "--ctx", "512"]
    assert batching.flags == ["--threads", "2", "--parallel", "4", "--ctx", "2048"]
    assert "--server" in batching.argv
    assert "--server" not in plain.argv


def test_a_package_is_served_by_its_main_from_its_environment() -> None:
    command = Mistralrs().command(SETTINGS)
    assert command.argv[0].endswith("venv-mistralrs/bin/python")
    assert command.argv[1].endswith("mains/serve_mistralrs.py")
    assert command.flags == command.argv[-2:] == ["--threads", "2"]


def test_ik_llama_repacks_weights_only_when_asked() -> None:
    plain = IkLlamaServer().command(SETTINGS)
    repacked = IkLlamaServer("ik-llama-server-rtr", is_repacked=True).command(SETTINGS)
    assert plain.argv[:3] == ["build/bench/ik-llama/bin/llama-server", "-m", "/models/a.gguf"]
    assert plain.flags[:6] == ["--threads", "2", "-np", "4", "-c", "2048"]
    assert repacked.flags == [*plain.flags, "-rtr"]


def test_vllm_is_served_by_a_main_of_ours_from_its_environment() -> None:
    command = VllmCpu().command(SETTINGS)
    assert command.argv[1:4] == ["-m", "bench.peers.mains.serve_vllm_cpu", "/models/a.gguf"]
    assert command.argv[5].endswith("venv-vllm-cpu/bin/python")
    flags = ["--threads", "2", "--parallel", "4", "--ctx", "512", "--kv", "2048"]
    assert command.flags == command.argv[-8:] == flags
    assert VllmCpu().version() == "0.32.0, made-up weights in BF16"


def test_vllm_makes_its_weights_up_in_bf16() -> None:
    args = SimpleNamespace(python="/p", port=9, ctx=512, parallel=4)
    argv = vllm_main.server_argv(args, Path("folder"), 1000)
    assert argv[0] == "/p"
    for pair in ("--load-format dummy", "--dtype bfloat16", "--max-num-seqs 4", "--port 9"):
        assert pair in " ".join(argv)


def test_the_kv_cache_of_vllm_has_room_for_the_tokens() -> None:
    metadata = {
        "general.architecture": "llama",
        "llama.block_count": 16,
        "llama.embedding_length": 2048,
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8,
    }
    assert vllm_main.kv_bytes(Head(metadata, frozenset()), 100) == 2 * 16 * 8 * 64 * 2 * 100


def test_a_package_does_without_some_that_it_asks_for() -> None:
    asked = ["torch==2.13.0+cpu; a", "torchvision; b", "torchaudio", "six>=1", "TorchCodec>=0.14"]
    left_out = ("torchaudio", "torchcodec", "torchvision")
    assert requirements_without(asked, left_out) == ["torch==2.13.0+cpu; a", "six>=1"]


def test_chunks_of_mistralrs_become_events() -> None:
    choice = SimpleNamespace(delta=SimpleNamespace(content="a"))
    usage = SimpleNamespace(prompt_tokens=3, completion_tokens=1)
    running = event_of(SimpleNamespace(choices=[choice], usage=None))
    assert running == {"choices": [{"index": 0, "delta": {"content": "a"}}]}
    last = event_of(SimpleNamespace(choices=[], usage=usage))
    assert last == {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}


def test_a_file_is_read_from_a_source_archive(tmp_path: Path) -> None:
    archive = tmp_path / "package-1.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in (("package-1/a/server.py", b"1"), ("package-1/server.py", b"2")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert member_of(archive, "a/server.py") == b"1"
    with pytest.raises(LookupError, match=r"package-1\.tar\.gz has no b\.py"):
        member_of(archive, "b.py")
