"""`Router`: which replica of a model a front sends a request to. Thin: `fleet.py` decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from pyserve.cluster.fleet import Fleet, Load
from pyserve.cluster.member import Member, News
from pyserve.engine.model_info import EngineStats
from pyserve.engine.prefixes.keys import PrefixKeys
from pyserve.engine.streams.stream import RequestStream

# A speed is known after so many tokens.
N_KNOWN_PROMPT, N_KNOWN_DECODE = 1024, 256


class Router:
    """What a front knows of the replicas, and of its own requests. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fleet = Fleet()
        self._news: dict[str, News] = {}
        self._open: dict[int, RequestStream] = {}

    def rank(self, keys: PrefixKeys, members: Sequence[Member]) -> list[Member]:
        """These replicas, best first."""
        named = {member.replica_id: member for member in members}
        now = time.monotonic()
        with self._lock:
            self._look(named, now)
            ranked = self._fleet.rank(keys, now)
        best = [named.pop(name) for name in ranked if name in named]
        return best + sorted(named.values(), key=lambda member: member.n_requests)

    def sent(self, stream: RequestStream, keys: PrefixKeys, member: Member) -> None:
        """The request is that replica's now."""
        with self._lock:
            self._open[id(stream)] = stream
            self._fleet.routed(id(stream), member.replica_id, keys, time.monotonic())

    def _look(self, named: dict[str, Member], now: float) -> None:
        """See who is there, what they tell, and how far requests are."""
        for number, stream in list(self._open.items()):
            if stream.is_over:
                del self._open[number]
                self._fleet.completed(number)
            elif stream.has_started:
                self._fleet.started(number)
        if named.keys() != self._news.keys():
            self._fleet.keep(named)
            self._news = {name: self._news.get(name, News()) for name in named}
        for name, member in named.items():
            news, known = member.news, self._news[name]
            if news is not known:
                self._fleet.told(name, _load(news.stats), now)
                if news.n_engines != known.n_engines:
                    self._fleet.forget(name)
                if news.version != known.version:
                    self._fleet.holds(name, news.held)
                self._news[name] = news


def _load(stats: EngineStats) -> Load:
    prompt_per_s = step_s = 0.0
    if stats.n_prompt_tokens >= N_KNOWN_PROMPT and stats.prompt_ms > 0:
        prompt_per_s = 1000 * stats.n_prompt_tokens / stats.prompt_ms
    if stats.n_decode_tokens >= N_KNOWN_DECODE:
        step_s = stats.decode_ms / stats.n_decode_tokens / 1000
    return Load(stats.n_running, stats.n_waiting, prompt_per_s, step_s)
