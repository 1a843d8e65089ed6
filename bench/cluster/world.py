"""Fronts, replicas and users in simulated time. Equal seeds give equal runs."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from bench.cluster.replica import Machine, Replica
from bench.cluster.traffic import Chat, Turn
from pyserve.cluster.fleet import Fleet
from pyserve.engine.model_info import EngineStats
from pyserve.engine.prefixes.sketch import Digest

Event = Callable[[], None]
POLL_S = 1.0
STATS_BYTES = len(msgspec.msgpack.encode(EngineStats()))


@dataclass
class Record:
    """What happened.

    turns: whose prompts were computed. told_bytes: stats and digests, from all
    replicas to all fronts.
    """

    turns: list[Turn] = field(default_factory=list)
    decision_s: list[float] = field(default_factory=list)
    crowding: list[tuple[float, float]] = field(default_factory=list)
    told_bytes: int = 0
    n_moved: int = 0


class World:
    """routing: "fleet", "no digests", "random"."""

    def __init__(
        self, n_replicas: int, n_fronts: int, *, routing: str, seed: int, machine: Machine
    ) -> None:
        self.now = 0.0
        self.record = Record()
        self.chance = random.Random(seed)
        self._routing = routing
        self._machine = machine
        self._events: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._replica_names = itertools.count()
        self.replicas: dict[str, Replica] = {}
        self._due: dict[str, float] = {}
        self._fleets = [Fleet() for _ in range(n_fronts)]
        self._digests: list[dict[str, bytes]] = [{} for _ in range(n_fronts)]
        self._numbers = itertools.count()
        self.add(n_replicas)
        for front in range(n_fronts):
            self.at(POLL_S * front / n_fronts, partial(self._poll, front))

    def at(self, when: float, event: Event) -> None:
        """Have it happen then."""
        heapq.heappush(self._events, (when, next(self._order), event))

    def run(self, until: float) -> Record:
        """Go on until then."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until
        return self.record

    def add(self, n_replicas: int) -> None:
        """Replicas come, empty."""
        for number in itertools.islice(self._replica_names, n_replicas):
            replica = Replica(f"replica-{number}", self._machine)
            replica.now = self.now
            self.replicas[replica.name] = replica
        self._tell_names()

    def kill(self, names: Iterable[str]) -> None:
        """Replicas die; their requests are sent again."""
        lost = [turn for name in names for turn in self.replicas.pop(name).lose_all()]
        self._tell_names()
        for turn in lost:
            self.record.n_moved += 1
            self._send(turn)

    def begin(self, chat: Chat) -> None:
        """A user asks now, and goes on until the chat is over."""
        turn = chat.turn(self.now)
        turn.number = next(self._numbers)
        turn.front = self.chance.randrange(len(self._fleets))
        self._send(turn)

    def watch(self, every_s: float) -> None:
        """Record how uneven the replicas are, again and again."""
        counts = [replica.n_requests for replica in self.replicas.values()]
        if sum(counts):
            self.record.crowding.append((self.now, max(counts) * len(counts) / sum(counts)))
        self.at(self.now + every_s, partial(self.watch, every_s))

    def _tell_names(self) -> None:
        for fleet in self._fleets:
            fleet.keep(self.replicas)

    def _send(self, turn: Turn) -> None:
        fleet = self._fleets[turn.front]
        begin = time.thread_time()
        if self._routing == "random":
            name = self.chance.choice(list(self.replicas))
        else:
            name = fleet.rank(turn.keys, self.now)[0]
        self.record.decision_s.append(time.thread_time() - begin)
        fleet.routed(turn.number, name, turn.keys, self.now)
        turn.replica = name
        replica = self.replicas[name]
        self._settle(replica)
        replica.submit(turn, self.now)
        self._schedule(replica)

    def _settle(self, replica: Replica) -> None:
        ended = replica.advance(self.now)
        for turn in replica.started:
            self._fleets[turn.front].started(turn.number)
        self.record.turns += replica.started
        replica.started.clear()
        for turn in ended:
            self._fleets[turn.front].completed(turn.number)
            if turn.chat.n_left:
                self.at(self.now + turn.chat.pause_s(), partial(self.begin, turn.chat))

    def _schedule(self, replica: Replica) -> None:
        due = replica.next_at
        self._due[replica.name] = due
        if due < float("inf"):
            self.at(due, partial(self._happen, replica, due))

    def _happen(self, replica: Replica, due: float) -> None:
        if self._due[replica.name] == due and self.replicas.get(replica.name) is replica:
            self._settle(replica)
            self._schedule(replica)

    def _poll(self, front: int) -> None:
        """The front asks all replicas for their counters, and for digests that changed."""
        fleet, digests = self._fleets[front], self._digests[front]
        for replica in self.replicas.values():
            fleet.told(replica.name, replica.load, self.now)
            self.record.told_bytes += STATS_BYTES
            if self._routing == "fleet":
                data = replica.held.digest()
                if data != digests.get(replica.name, b""):
                    digests[replica.name] = data
                    fleet.holds(replica.name, Digest(data))
                    self.record.told_bytes += len(data)
        self.at(self.now + POLL_S, partial(self._poll, front))
