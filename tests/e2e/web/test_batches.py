"""Batches whose processes are killed: no line is lost, and none is answered twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.server import ServerProcess, wait_until

SOON_S = 60.0
N_LINES = 16
COMMAND = [sys.executable, "-c", "from pyserve.cli import main; main()", "batch"]


def lines(text: str, n: int = N_LINES, model: str = "m", **fields: Any) -> bytes:
    url = "/v1/chat/completions"
    bodies = [
        {"model": model, "messages": [{"role": "user", "content": f"{text} {k}"}], **fields}
        for k in range(n)
    ]
    rows = [
        {"custom_id": f"l{k}", "method": "POST", "url": url, "body": body}
        for k, body in enumerate(bodies)
    ]
    return b"\n".join(json.dumps(row).encode() for row in rows)


def ids(content: bytes) -> list[str]:
    return [json.loads(line)["custom_id"] for line in content.splitlines()]


def begun(client: openai.OpenAI, content: bytes) -> str:
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    return batch.id


def ended(client: openai.OpenAI, batch_id: str) -> Any:
    def is_over() -> bool:
        return client.batches.retrieve(batch_id).status in ("completed", "failed", "expired")

    wait_until(is_over, SOON_S, "the batch is over")
    return client.batches.retrieve(batch_id)


@pytest.mark.model
def test_a_batch_of_the_official_client(client):
    batch_id = begun(client, lines("Say", 6, "smollm2-135m-instruct", max_tokens=6))
    batch = ended(client, batch_id)
    assert batch.request_counts.to_dict() == {"total": 6, "completed": 6, "failed": 0}
    content = client.files.content(batch.output_file_id).read()
    assert sorted(ids(content)) == [f"l{k}" for k in range(6)]
    answers = [json.loads(line)["response"]["body"] for line in content.splitlines()]
    assert all(0 < answer["usage"]["completion_tokens"] <= 6 for answer in answers)
    assert client.files.delete(batch.output_file_id).deleted


@pytest.fixture
def slow(make_server) -> Any:
    """Servers over the same store, one after the other; a few lines run at once."""
    return lambda: make_server(["--engine", "fake", "--parallel", "4"]).start()


def client_of(server: ServerProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_the_next_worker_and_the_next_server_go_on_with_a_batch(slow):
    server = slow()
    with client_of(server) as client:
        batch_id = begun(client, lines("a b #slow=150"))

        def n_done() -> int:
            counts = client.batches.retrieve(batch_id).request_counts
            return counts.completed if counts else 0

        wait_until(n_done, SOON_S, "some are done")
        server.worker().kill()
        wait_until(lambda: server.health() == httpx.codes.OK, SOON_S, "another worker")
        n_before = n_done()
        wait_until(lambda: n_done() > n_before, SOON_S, "it goes on")
    (output,) = (server.directory / "state").glob(f"**/{batch_id}.output")
    for process in server.remember():
        process.kill()
    server.wait_gone()
    before = output.read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    assert 0 < len(ids(before)) < N_LINES
    with client_of(slow()) as client:
        batch = ended(client, batch_id)
        assert batch.request_counts.to_dict() == {
            "total": N_LINES,
            "completed": N_LINES,
            "failed": 0,
        }
        content = client.files.content(batch.output_file_id).read()
    assert content.startswith(before)
    assert sorted(ids(content)) == sorted(f"l{k}" for k in range(N_LINES))


def test_the_command_goes_on_where_it_was_killed(slow, tmp_path: Path):
    server = slow()
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(lines("a b #slow=150"))
    call = [*COMMAND, str(source), str(target), "--url", server.url, "--concurrency", "4"]
    first = subprocess.Popen(call, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: target.exists() and ids_so_far(target), SOON_S, "some are done")
    finally:
        first.kill()
        first.wait()
    before = target.read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    assert 0 < len(ids(before)) < N_LINES
    second = subprocess.run(call, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert f"{N_LINES} answered, 0 not; {N_LINES - len(ids(before))} of them now" in second.stdout
    content = target.read_bytes()
    assert content.startswith(before)
    assert sorted(ids(content)) == sorted(f"l{k}" for k in range(N_LINES))


def ids_so_far(path: Path) -> list[str]:
    content = path.read_bytes()
    return ids(content[: content.rfind(b"\n") + 1])
