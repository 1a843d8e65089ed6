"""What one front knows of the replicas: what they told, and what it has sent to them itself.

Nothing here leaves the process or waits. Times are seconds of one clock, given by the caller.
Thread: one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pyserve.cluster.choose import Candidate, Weights, affinity, is_hot, limit, rank, salt_of
from pyserve.cluster.routes import Routes
from pyserve.engine.prefixes.keys import BLOCK_TOKENS, PrefixKeys
from pyserve.engine.prefixes.sketch import Digest

# Up to so many replicas are all looked at; of more the nearest to the chat, and those that a prefix
# was sent to.
MAX_LOOKED_AT = 32
N_NEAREST = 16
N_KNOWN = 16
NEWS_SHARE = 0.1
# Of 8 cores with a model of 8 billion parameters, until a replica tells its own.
PROMPT_PER_S, STEP_S = 200.0, 0.05


class Load(NamedTuple):
    """What a replica tells of itself. prompt_per_s: tokens; step_s: for a token of an answer.

    0: it has not computed enough to know; then it is thought to be as fast as the others.
    """

    n_running: int = 0
    n_waiting: int = 0
    prompt_per_s: float = 0.0
    step_s: float = 0.0


class _Speeds:
    """Of the fleet: what replicas told lately, on average."""

    def __init__(self) -> None:
        self.prompt_per_s = 0.0
        self.step_s = 0.0

    def note(self, load: Load) -> None:
        if load.prompt_per_s > 0:
            self.prompt_per_s = _mixed(self.prompt_per_s, load.prompt_per_s)
        if load.step_s > 0:
            self.step_s = _mixed(self.step_s, load.step_s)


def _mixed(usual: float, new: float) -> float:
    return usual + NEWS_SHARE * (new - usual) if usual else new


class _Seat:
    """A replica. n_own: this front's requests there; n_others: all others, as last told."""

    def __init__(self, name: str, speeds: _Speeds) -> None:
        self.name = name
        self._speeds = speeds
        self.salt = salt_of(name)
        self.load = Load()
        self.digest = Digest()
        self.n_own = 0
        self.n_others = 0
        self.n_ahead = 0  # tokens of prompts of this front's requests that have no answer yet
        self._backlog = 0.0
        self._backlog_at = 0.0

    @property
    def n_requests(self) -> int:
        return self.n_own + self.n_others

    @property
    def prompt_per_s(self) -> float:
        return self.load.prompt_per_s or self._speeds.prompt_per_s or PROMPT_PER_S

    def backlog_at(self, now: float) -> float:
        """Tokens of prompts that are to be computed there, less what it should have computed."""
        computed = (now - self._backlog_at) * self.prompt_per_s
        return min(max(self._backlog - computed, 0.0), self.n_ahead)

    def sent(self, n_tokens: int, now: float) -> None:
        self._backlog = self.backlog_at(now) + n_tokens
        self._backlog_at = now
        self.n_ahead += n_tokens

    def told(self, load: Load, now: float) -> None:
        self.sent(0, now)  # by its speed until now
        self.load = load

    def candidate(self, n_hit_blocks: int, now: float) -> Candidate:
        n_waiting = min(self.load.n_waiting, self.n_requests)
        return Candidate(
            self.name,
            self.salt,
            n_hit_blocks,
            self.n_requests - n_waiting,
            n_waiting,
            self.backlog_at(now),
            self.prompt_per_s,
            self.load.step_s or self._speeds.step_s or STEP_S,
        )


@dataclass
class _Sent:
    """n_ahead: tokens of its prompt that are to be computed."""

    seat: _Seat
    chain: tuple[int, ...]
    n_ahead: int


class Fleet:
    """The replicas of one model."""

    def __init__(self, weights: Weights | None = None) -> None:
        self._weights = weights or Weights()
        self._seats: dict[str, _Seat] = {}
        self._sent: dict[int, _Sent] = {}
        self._uses: dict[int, int] = {}
        self._routes = Routes()
        self._speeds = _Speeds()
        self._n_requests = 0

    @property
    def n_requests(self) -> dict[str, int]:
        """How many requests each replica is believed to have."""
        return {name: seat.n_requests for name, seat in self._seats.items()}

    def keep(self, names: Iterable[str]) -> None:
        """These replicas are there, no others."""
        wanted = dict.fromkeys(names)
        for name in [name for name in self._seats if name not in wanted]:
            self.remove(name)
        for name in wanted:
            if name not in self._seats:
                self._seats[name] = _Seat(name, self._speeds)

    def remove(self, name: str) -> None:
        """The replica is gone, with all that it held."""
        seat = self._seats.pop(name, None)
        if seat is not None:
            self._n_requests -= seat.n_requests
            self._routes.forget(name)

    def told(self, name: str, load: Load, now: float) -> None:
        """What a replica tells of itself, of this front's requests too."""
        seat = self._seats.get(name)
        if seat is None:
            return
        seat.told(load, now)
        self._speeds.note(load)
        n_others = max(load.n_running + load.n_waiting - seat.n_own, 0)
        self._n_requests += n_others - seat.n_others
        seat.n_others = n_others

    def holds(self, name: str, digest: Digest) -> None:
        """What a replica tells of the prefixes that it holds."""
        seat = self._seats.get(name)
        if seat is not None:
            seat.digest = digest

    def forget(self, name: str) -> None:
        """The replica holds nothing any more: its engine was started again."""
        self.holds(name, Digest())
        self._routes.forget(name)

    def rank(self, keys: PrefixKeys, now: float) -> list[str]:
        """Names of replicas, best first; of a large fleet only some. Changes nothing."""
        hits = self._routes.hits(keys.chain, now)
        hot = is_hot(keys.chain, self._uses)
        n_most = limit(self._n_requests, len(self._seats), self._weights, hot=hot)
        candidates = []
        for seat in self._looked_at(keys, hits, n_most):
            n_hit = max(hits.get(seat.name, 0), seat.digest.n_held(keys.chain))
            candidates.append(seat.candidate(n_hit, now))
        ranked = rank(keys, candidates, n_most, self._uses, self._weights)
        return [candidate.name for candidate in ranked]

    def routed(self, request_id: int, name: str, keys: PrefixKeys, now: float) -> None:
        """The request went to this replica."""
        seat = self._seats.get(name)
        if seat is None:
            return
        self.completed(request_id)
        n_hit = max(self._routes.hits(keys.chain, now).get(name, 0), seat.digest.n_held(keys.chain))
        n_ahead = (keys.n_blocks - n_hit) * BLOCK_TOKENS
        seat.sent(n_ahead, now)
        seat.n_own += 1
        self._n_requests += 1
        self._routes.add(name, keys.chain, now)
        for block in keys.chain:
            self._uses[block] = self._uses.get(block, 0) + 1
        self._sent[request_id] = _Sent(seat, keys.chain, n_ahead)

    def started(self, request_id: int) -> None:
        """The request's answer has begun. Unknown ones are ignored."""
        sent = self._sent.get(request_id)
        if sent is not None:
            sent.seat.n_ahead -= sent.n_ahead
            sent.n_ahead = 0

    def completed(self, request_id: int) -> None:
        """The request has ended, in whichever way. Unknown ones are ignored."""
        self.started(request_id)
        sent = self._sent.pop(request_id, None)
        if sent is None:
            return
        sent.seat.n_own -= 1
        if self._seats.get(sent.seat.name) is sent.seat:
            self._n_requests -= 1
        for block in sent.chain:
            left = self._uses[block] - 1
            if left:
                self._uses[block] = left
            else:
                del self._uses[block]

    def _looked_at(self, keys: PrefixKeys, hits: dict[str, int], n_most: int) -> list[_Seat]:
        seats = list(self._seats.values())
        if len(seats) <= MAX_LOOKED_AT:
            return seats
        anchor = keys.anchor
        near = [(affinity(anchor, seat.salt), seat.name) for seat in seats]
        known = heapq.nlargest(N_KNOWN, hits, key=lambda name: hits[name])
        for n_nearest in (N_NEAREST, len(seats)):
            nearest = [name for _, name in heapq.nlargest(n_nearest, near)]
            chosen = [self._seats[name] for name in dict.fromkeys([*nearest, *known])]
            if any(seat.n_requests < n_most for seat in chosen):
                break
        return chosen
