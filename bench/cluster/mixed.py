"""Mixed traffic over a cluster whose nodes die and are replaced: nothing may be lost.

The clients' answers are judged: those of the fake engine by each word, those of a real one by their
form, and deterministic ones by what the same engine said before anything happened.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx

from bench.cluster.nodes import RayNodes, wait_until
from bench.load.workloads import Text
from bench.soak import judges
from bench.soak.exchange import Judge, Outcome, Result, Shot, exchange, http_request
from bench.soak.mix import STREAM
from bench.soak.mix import Mix as SoakMix

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
N_CLIENTS = 12
N_REPLICAS = 2
ROUND_S = 120.0  # in each a node dies, at a quarter of it, and another one comes, at a half
REFERENCE_TOKENS = 160
N_REFERENCES = 6
MAX_WORDS = 120
PATIENCE_S = 120.0
TOOL_NAME = "get_weather"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}},
    "required": ["city"],
}
TOOL = {"type": "function", "function": {"name": TOOL_NAME, "parameters": CITY}}
TOOLS = {"tools": [TOOL], "tool_choice": "required"}


class Mix(Protocol):
    """Makes requests. One thread."""

    def next(self) -> Shot: ...


class FakeMix:
    """For the fake engine, which repeats what it is told: every word of an answer is known."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._n_made = 0

    def next(self) -> Shot:
        make: list[Callable[[], Shot]] = [
            self.stream,
            self.chat,
            self.completion,
            self.embeddings,
            self.tools,
            self.schema,
            self.deadline,
            self.leaver,
        ]
        return self._rng.choices(make, [40, 15, 10, 5, 8, 5, 7, 10])[0]()

    def stream(self) -> Shot:
        prompt, answer = self._words()
        body = _messages(prompt) | STREAM
        return _post("stream", CHAT, body, streams(answer))

    def chat(self) -> Shot:
        prompt, answer = self._words()
        return _post("chat", CHAT, _messages(prompt), answers(answer))

    def completion(self) -> Shot:
        prompt, answer = self._words()
        body = {"prompt": prompt, "max_tokens": MAX_WORDS}
        if self._rng.random() < 0.5:  # noqa: PLR2004  # a coin
            return _post("completion", COMPLETIONS, body, answers(answer))
        return _post("completion", COMPLETIONS, body | STREAM, streams(answer))

    def embeddings(self) -> Shot:
        n_inputs = self._rng.randint(1, 4)
        body = {"input": [f"a b {n}" for n in range(n_inputs)]}
        return _post("embeddings", EMBEDDINGS, body, judges.vectors(n_inputs))

    def tools(self) -> Shot:
        self._n_made += 1
        arguments = {"city": f"c{self._n_made}"}
        call = json.dumps({"name": TOOL_NAME, "arguments": arguments})
        body = _messages(call) | {"tools": [TOOL]}
        return _post("tools", CHAT, body, calls(arguments))

    def schema(self) -> Shot:
        self._n_made += 1
        answer = json.dumps({"city": f"c{self._n_made}"})
        body = _messages(answer) | _schema(CITY)
        return _post("schema", CHAT, body, answers(answer))

    def deadline(self) -> Shot:
        """That is not reached."""
        prompt, answer = self._words()
        data = json.dumps(_messages(prompt) | STREAM).encode()
        timeout = f"X-Request-Timeout: {PATIENCE_S:.0f}\r\n"
        return Shot("deadline", http_request("POST", CHAT, data, timeout), streams(answer))

    def leaver(self) -> Shot:
        shot = replace(self.stream(), kind="leaver")
        if self._rng.random() < 0.5:  # noqa: PLR2004  # a coin
            return replace(shot, leave_s=self._rng.uniform(0.001, 2))
        return replace(shot, leave_bytes=self._rng.randrange(4000))

    def _words(self) -> tuple[str, str]:
        """A prompt whose answer takes up to five seconds, and the answer."""
        self._n_made += 1
        n_words = self._rng.randint(5, MAX_WORDS)
        prompt = f"#slow={self._rng.randint(5, 40)} #words={n_words} a b c {self._n_made}"
        return prompt, " ".join((prompt.split(" ") * n_words)[:n_words])


class RealMix:
    """For a real engine: the traffic of a soak, and deterministic streams with known answers.

    references: bodies of deterministic requests, with what they are answered.
    """

    def __init__(self, seed: int, references: list[tuple[dict[str, Any], str]]) -> None:
        self._rng = random.Random(seed)
        self._soak = SoakMix(Text(), seed)
        self._references = references

    def next(self) -> Shot:
        make: list[Callable[[], Shot]] = [
            self._soak.next,
            self.known,
            self.tools,
            self.deadline,
        ]
        return self._rng.choices(make, [55, 30, 5, 10])[0]()

    def known(self) -> Shot:
        body, answer = self._rng.choice(self._references)
        return _post("deterministic", CHAT, body | STREAM, streams(answer))

    def tools(self) -> Shot:
        body = _messages("What is the weather in Paris?") | {"max_tokens": 64} | TOOLS
        return _post("tools", CHAT, body, calls(None))

    def deadline(self) -> Shot:
        """That ends the answer, or ends while no replica is there."""
        body = _messages("Tell me a long story.") | {"max_tokens": 400, "ignore_eos": True} | STREAM
        data = http_request(
            "POST", CHAT, json.dumps(body).encode(), "X-Request-Timeout: 2; whole\r\n"
        )
        return Shot("deadline", data, ends_in_time, expected=frozenset({200, 503}))


def references(url: str) -> list[tuple[dict[str, Any], str]]:
    """Deterministic requests with their answers now."""
    found = []
    for n in range(N_REFERENCES):
        body = _messages(f"Tell me a long story about the number {n}.") | {
            "deterministic": True,
            "seed": n,
            "temperature": n % 2,
            "max_tokens": REFERENCE_TOKENS,
            "ignore_eos": True,
        }
        answer = httpx.post(f"{url}{CHAT}", json=body, timeout=PATIENCE_S).json()
        found.append((body, answer["choices"][0]["message"]["content"]))
    return found


def answers(text: str) -> Judge:
    """A whole answer with this text."""

    def judge(body: bytes) -> int:
        n_tokens = judges.plain(body)
        (choice,) = json.loads(body)["choices"]
        _compare(choice["message"]["content"] if "message" in choice else choice["text"], text)
        return n_tokens

    return judge


def streams(text: str) -> Judge:
    """A whole stream with this text."""

    def judge(body: bytes) -> int:
        n_tokens = judges.streamed(body)
        said = ""
        for event in body.decode().split("\n\n"):
            if event.startswith("data: {"):
                for choice in json.loads(event[6:])["choices"]:
                    part = choice["delta"].get("content") if "delta" in choice else choice["text"]
                    said += part or ""
        _compare(said, text)
        return n_tokens

    return judge


def calls(arguments: dict[str, Any] | None) -> Judge:
    """A call of the tool; arguments: those that it is to have, None: whatever they are."""

    def judge(body: bytes) -> int:
        answer = json.loads(body)
        (call, *_) = answer["choices"][0]["message"]["tool_calls"]
        if call["function"]["name"] != TOOL_NAME:
            raise ValueError(f"it calls {call['function']['name']!r}")
        found = json.loads(call["function"]["arguments"])
        if arguments is not None and found != arguments:
            raise ValueError(f"the arguments are {found}, not {arguments}")
        return int(answer["usage"]["completion_tokens"])

    return judge


def ends_in_time(body: bytes) -> int:
    """A stream that its deadline cut off, or the error of one that it kept from beginning."""
    if body.startswith(b"{"):
        code = json.loads(body)["error"]["code"]
        if code != "deadline_exceeded":
            raise ValueError(f"503 {code}")
        return 0
    return judges.streamed(body)


def _compare(said: str, wanted: str) -> None:
    if said != wanted:
        n_same = next(
            (n for n, (a, b) in enumerate(zip(said, wanted, strict=False)) if a != b),
            min(len(said), len(wanted)),
        )
        raise ValueError(
            f"{len(said)} characters for {len(wanted)}, other ones after {n_same}: "
            f"{said[n_same : n_same + 40]!r} for {wanted[n_same : n_same + 40]!r}"
        )


def _messages(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def _schema(schema: object) -> dict[str, Any]:
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    }


def _post(kind: str, path: str, body: dict[str, Any], judge: Judge) -> Shot:
    return Shot(kind, http_request("POST", path, json.dumps(body).encode()), judge)


@dataclass
class Tally:
    """What became of all requests. lost: what went wrong with those that did not end well."""

    n: Counter[str] = field(default_factory=Counter)
    left: int = 0
    lost: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def note(self, result: Result) -> None:
        self.longest_s = max(self.longest_s, result.seconds)
        if result.outcome is Outcome.LEFT:
            self.left += 1
        elif result.outcome is Outcome.DONE:
            self.n[result.kind] += 1
        else:
            self.lost.append(f"{result.kind}: {result.outcome}: {result.why}")


async def drive(port: int, mix: Mix, is_over: Callable[[], bool]) -> Tally:
    """Clients that ask one request after the other until `is_over`."""
    tally = Tally()

    async def client() -> None:
        while not is_over():
            tally.note(await exchange(port, mix.next()))

    await asyncio.gather(*(client() for _ in range(N_CLIENTS)))
    return tally


def lose_and_replace(nodes: RayNodes, round_s: float, n_cpus: int) -> dict[str, float]:
    """One round: a node with a replica dies, another one comes. When what happened, in seconds."""
    began_s = time.monotonic()

    def now_s() -> float:
        return round(time.monotonic() - began_s, 1)

    time.sleep(round_s / 4)
    node = next(node for node in nodes.workers if nodes.engines(node))
    nodes.remove(node)
    events = {"node_lost_at_s": now_s()}
    time.sleep(max(round_s / 2 - now_s(), 0.0))
    nodes.add(n_cpus)
    events["node_added_at_s"] = now_s()
    wait_until(lambda: len(nodes.engines()) == N_REPLICAS, "the replica is replaced", PATIENCE_S)
    events["replaced_at_s"] = now_s()
    time.sleep(max(round_s - now_s(), 0.0))
    return events


def run(nodes: RayNodes, url: str, mix: Mix, *, seconds: float, n_cpus: int) -> dict[str, Any]:
    """Traffic of `mix` for so long, in rounds; REQUIRES two nodes with a replica each.

    Returns the figures: "lost" is to be empty, and "in_work" 0.
    """
    port = httpx.URL(url).port
    assert port is not None
    n_rounds = max(round(seconds / ROUND_S), 1)
    over = threading.Event()
    rounds = []
    with ThreadPoolExecutor(1) as pool:
        driving = pool.submit(lambda: asyncio.run(drive(port, mix, over.is_set)))
        try:
            for _ in range(n_rounds):  # in the main thread, as Ray wants it
                rounds.append(lose_and_replace(nodes, seconds / n_rounds, n_cpus))
        finally:
            over.set()
            tally = driving.result()
    wait_until(lambda: in_work(url) == 0, "nothing is left in the engines", PATIENCE_S)
    return {
        "seconds": seconds,
        "answered": dict(sorted(tally.n.items())),
        "left": tally.left,
        "lost": tally.lost[:20],
        "n_lost": len(tally.lost),
        "longest_request_s": round(tally.longest_s, 1),
        "revived": _n_revived(url),
        "rounds": rounds,
    }


def in_work(url: str, headers: Mapping[str, str] | None = None) -> float:
    """Requests in all replicas, of all fronts. headers: with a key, where one is needed."""
    page = httpx.get(f"{url}/metrics", headers=headers, timeout=PATIENCE_S).text
    return _sum(page, "llamacpp:requests_processing") + _sum(page, "llamacpp:requests_deferred")


def _n_revived(url: str) -> float:
    return _sum(
        httpx.get(f"{url}/metrics", timeout=PATIENCE_S).text, "pyserve_requests_revived_total"
    )


def _sum(page: str, name: str) -> float:
    """Of the series of that name."""
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in page.splitlines()
        if line.split("{")[0].split(" ")[0] == name
    )
