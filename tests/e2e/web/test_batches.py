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

from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until

N_LINES = 16
# A token takes so long: where a batch is over before it is killed, it is tried again with a slower.
SLOWER_MS = (150, 500, 1500)
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


def interrupted(start: Any, slow_ms: int) -> tuple[str, bytes] | None:
    """A batch, and its output when its worker and then its server were killed; None: it is over."""
    server = start()
    with client_of(server) as client:
        batch_id = begun(client, lines(f"a b #slow={slow_ms}"))

        def n_done() -> int:
            counts = client.batches.retrieve(batch_id).request_counts
            return counts.completed if counts else 0

        wait_until(n_done, SOON_S, "some are done")
        server.worker().kill()
        wait_until(lambda: server.health() == httpx.codes.OK, SOON_S, "another worker")
        n_before = n_done()
        wait_until(lambda: n_done() > min(n_before, N_LINES - 1), SOON_S, "it goes on")
    (output,) = (server.directory / "state").glob(f"**/{batch_id}.output")
    for process in server.remember():
        process.kill()
    server.wait_gone()
    before = output.read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    assert before
    return (batch_id, before) if len(ids(before)) < N_LINES else None


def test_the_next_worker_and_the_next_server_go_on_with_a_batch(slow):
    found = next(filter(None, (interrupted(slow, slow_ms) for slow_ms in SLOWER_MS)), None)
    assert found is not None
    batch_id, before = found
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


def killed_call(call: list[str], target: Path) -> bytes:
    """What a command has written, which was killed when it had written something."""
    command = subprocess.Popen(call, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: target.exists() and ids_so_far(target), SOON_S, "some are done")
    finally:
        command.kill()
        command.wait()
    before = target.read_bytes()
    return before[: before.rfind(b"\n") + 1]


def test_the_command_goes_on_where_it_was_killed(slow, tmp_path: Path):
    server = slow()
    for slow_ms in SLOWER_MS:
        source, target = tmp_path / f"{slow_ms}.jsonl", tmp_path / f"{slow_ms}.out"
        source.write_bytes(lines(f"a b #slow={slow_ms}"))
        call = [*COMMAND, str(source), str(target), "--url", server.url, "--concurrency", "4"]
        before = killed_call(call, target)
        if len(ids(before)) < N_LINES:
            break
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
