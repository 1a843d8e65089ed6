"""Stored responses over several front workers, and what is left of them after an end."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

import httpx
import openai
import psutil
import pytest

from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until

HELD = "a b c #hold=1"


@pytest.fixture
def two_workers(make_server):
    return lambda: make_server(
        ["--engine", "fake", "--workers", "2", "--graceful-timeout-s", "5"]
    ).start()


@contextlib.contextmanager
def client_of(server: ServerProcess):
    """The official client, with a new connection for every request: any worker answers."""
    transport = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
    with (
        httpx.Client(transport=transport, timeout=SOON_S) as http,
        openai.OpenAI(
            base_url=f"{server.url}/v1", api_key="none", max_retries=0, http_client=http
        ) as client,
    ):
        yield client


def ended(client: openai.OpenAI, response_id: str) -> Any:
    wait_until(
        lambda: client.responses.retrieve(response_id).status not in ("queued", "in_progress"),
        SOON_S,
        "the response has ended",
    )
    return client.responses.retrieve(response_id)


def test_any_worker_knows_what_another_has_stored(two_workers):
    with client_of(two_workers()) as client:
        previous = None
        for n in range(8):
            answer = client.responses.create(
                model="m", input=f"turn {n}", previous_response_id=previous
            )
            assert client.responses.retrieve(answer.id).output_text == f"turn {n}"
            previous = answer.id
        running = client.responses.create(model="m", input="a b c", background=True)
        for _ in range(4):
            events = list(client.responses.retrieve(running.id, stream=True))
            assert events[-1].type == "response.completed"
            assert [event.sequence_number for event in events] == list(range(len(events)))
        assert ended(client, running.id).output_text == "a b c"


def test_they_survive_a_restart(two_workers):
    server = two_workers()
    with client_of(server) as client:
        first = client.responses.create(model="m", input="one")
        conversation = client.conversations.create(items=[{"role": "user", "content": "x"}])
        running = client.responses.create(model="m", input=HELD, background=True)
    server.signal(signal.SIGTERM)
    server.wait()
    server.wait_gone()
    with client_of(two_workers()) as client:
        failed = ended(client, running.id)
        assert (failed.status, failed.error.code) == ("failed", "server_error")
        assert "shutting down" in failed.error.message
        assert client.responses.retrieve(first.id).output_text == "one"
        client.responses.create(model="m", input="y", conversation=conversation.id)
        assert len(list(client.conversations.items.list(conversation.id))) == 3
        second = client.responses.create(model="m", input="z", previous_response_id=first.id)
        assert second.previous_response_id == first.id


def test_any_worker_cancels(two_workers):
    with client_of(two_workers()) as client:
        for _ in range(4):
            running = client.responses.create(model="m", input=HELD, background=True)
            assert client.responses.cancel(running.id).status == "cancelled"
            assert client.responses.cancel(running.id).status == "cancelled"


def test_a_killed_worker_leaves_failed_responses(two_workers):
    server = two_workers()
    with client_of(server) as client:
        running = client.responses.create(model="m", input=HELD, background=True)
        for process in server.master().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait_healthy()
        failed = ended(client, running.id)
        assert (failed.status, failed.error.code) == ("failed", "server_error")
