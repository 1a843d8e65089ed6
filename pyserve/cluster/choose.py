"""Which replica computes a request: a function of numbers, without clocks, chance or state.

The cost of a replica is in seconds: of the prompt that it must compute, of the prompts before it,
of a place in its batch, and of how much slower a fuller batch is. Replicas that cost about the same
are ordered by rendezvous hashing, so that fronts that know nothing of each other agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

from pyserve.engine.prefixes.keys import BLOCK_TOKENS, PrefixKeys

N_HOT = 2
_MASK = (1 << 64) - 1
_MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93  # odd, their bits spread evenly


class Weights(NamedTuple):
    """What is assumed of requests, and how far costs decide.

    prompt_weight: what a second of computing the request's prompt costs: others wait for it, too.
    answer_tokens: of a usual answer. slowdown: how much longer a step takes for each request more
      in the batch, in steps of a batch of one.
    equal_share, equal_s: replicas whose cost is within this share and so many seconds of the best
      cost the same.
    crowd_share, crowd_min: no replica gets more requests than this share of all replicas' mean, and
      than so many, while another has fewer: below that cost alone decides. hot_share, hot_min: the
      same of prompts that are `is_hot`; where one is computed, the others soon are.
    """

    prompt_weight: float = 2.0
    answer_tokens: int = 64
    slowdown: float = 0.25
    equal_share: float = 0.1
    equal_s: float = 0.05
    crowd_share: float = 2.0
    crowd_min: int = 8
    hot_share: float = 1.2
    hot_min: int = 4


class Candidate(NamedTuple):
    """A replica as a request sees it.

    salt: `salt_of` its name. n_hit_blocks: of the request's chain, which it need not compute.
    n_running, n_waiting: requests that it has; those that wait have no place in the batch yet.
    backlog_tokens: of prompts that are to be computed first. prompt_per_s: tokens. step_s: how long
    a step of one request takes.
    """

    name: str
    salt: int
    n_hit_blocks: int
    n_running: int
    n_waiting: int
    backlog_tokens: float
    prompt_per_s: float
    step_s: float

    @property
    def n_requests(self) -> int:
        return self.n_running + self.n_waiting


def salt_of(name: str) -> int:
    """A number of the name, equal in all processes."""
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def affinity(anchor: int, salt: int) -> int:
    """How near a chat is to a replica: of any two replicas each is nearer to half of all chats.

    A replica that is gone leaves its chats to all others evenly, and moves no other chat.
    """
    mixed = (anchor ^ salt) * _MIX_1 & _MASK
    mixed = (mixed ^ mixed >> 32) * _MIX_2 & _MASK
    return mixed ^ mixed >> 32


def shares(chain: Sequence[int], uses: dict[int, int]) -> list[float]:
    """How many blocks' worth of computing all from block i on are, for i = 0 ... len(chain).

    uses: how many running requests have a block. A block that several have is computed for all of
    them: each bears a share of it. So a prefix that many want comes to many replicas.
    """
    worth = []
    for block in chain:
        n = uses.get(block, 0)
        if not n:
            break  # nobody has what comes after it, either
        worth.append(1 / (1 + n))
    worth += [1.0] * (len(chain) - len(worth))
    return list(accumulate(reversed(worth), initial=0.0))[::-1]


def cost(candidate: Candidate, keys: PrefixKeys, worth: Sequence[float], weights: Weights) -> float:
    """Seconds, of the request itself and of those whose steps it makes longer.

    worth: `shares` of the chain.
    """
    answer_s = weights.answer_tokens * candidate.step_s
    beyond = keys.n_blocks - len(keys.chain)
    n_blocks = worth[min(candidate.n_hit_blocks, len(keys.chain))] + beyond
    own_tokens = weights.prompt_weight * n_blocks * BLOCK_TOKENS
    prompt_s = (own_tokens + candidate.backlog_tokens) / candidate.prompt_per_s
    slower_s = weights.slowdown * candidate.n_running * answer_s
    if not candidate.n_waiting:
        return prompt_s + slower_s
    place_s = (candidate.n_waiting + 1) * answer_s / max(candidate.n_running, 1)
    return prompt_s + slower_s + place_s


def is_hot(chain: Sequence[int], uses: dict[int, int]) -> bool:
    """Whether several running requests have most of the prompt in common with this one."""
    return bool(chain) and uses.get(chain[len(chain) * 3 // 4], 0) >= N_HOT


def limit(n_requests: int, n_replicas: int, weights: Weights, *, hot: bool = False) -> int:
    """Most requests that one replica should have when there is one more than `n_requests`."""
    share, least = weights.crowd_share, weights.crowd_min
    if hot:
        share, least = weights.hot_share, weights.hot_min
    return max(least, int(share * (n_requests + 1) / max(n_replicas, 1)))


def rank(
    keys: PrefixKeys,
    candidates: Iterable[Candidate],
    n_most: int,
    uses: dict[int, int],
    weights: Weights,
) -> list[Candidate]:
    """The replicas, best first. n_most: `limit` of all replicas; uses: as of `shares`."""
    worth = shares(keys.chain, uses)
    free: list[tuple[float, Candidate]] = []
    crowded: list[tuple[float, Candidate]] = []
    for candidate in candidates:
        side = free if candidate.n_requests < n_most else crowded
        side.append((cost(candidate, keys, worth, weights), candidate))
    return _in_order(free, keys.anchor, weights) + _in_order(crowded, keys.anchor, weights)


def _in_order(
    costed: list[tuple[float, Candidate]], anchor: int, weights: Weights
) -> list[Candidate]:
    if not costed:
        return []
    best = min(costed)[0]
    most = best * (1 + weights.equal_share) + weights.equal_s

    def order(each: tuple[float, Candidate]) -> tuple[float, int]:
        seconds, candidate = each
        return (0.0 if seconds <= most else seconds, -affinity(anchor, candidate.salt))

    return [candidate for _, candidate in sorted(costed, key=order)]
