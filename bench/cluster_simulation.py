"""How prefixes and loads spread over replicas: python -m bench.cluster_simulation

Simulated time, equal for equal seeds but for the CPU times that decisions take, which are measured.
chats: few replicas, against one replica that is as large, and against chance. hot: one prefix that
everybody wants. fleet: many machines, of which some die and some come.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from bench.cluster.replica import Machine
from bench.cluster.traffic import Chat, Habits, Turn
from bench.cluster.world import STATS_BYTES, Record, World

SETTLED_S = 2.0  # a hot prefix is spread by then
# Of a large fleet: when some die or come, and the end.
CHANGE_S, END_S = 120.0, 180.0
FLEET_HABITS = Habits(n_systems=32, answer_tokens=100.0, think_s=5.0)
CASES = (
    ("die", "fleet"),
    ("come", "fleet"),
    ("none", "no digests"),
    ("none", "random"),
)
ROUTINGS = ("fleet", "no digests", "random")


def hit_share(turns: Sequence[Turn]) -> float:
    """Of all blocks of prompts, those that had been computed."""
    return sum(turn.n_hit_blocks for turn in turns) / max(sum(t.keys.n_blocks for t in turns), 1)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of all values does not exceed."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else 0.0


def chats(n_replicas: int, routing: str, seed: int, machine: Machine) -> Record:
    """32 chats of 6 turns, each turn at one of 2 fronts."""
    world = World(n_replicas, 2, routing=routing, seed=seed, machine=machine)
    habits = Habits()
    for number in range(32):
        chat = Chat(habits, random.Random(f"{seed} {number}"))
        world.at(number * 0.7, partial(world.begin, chat))
    return world.run(3600)


def compare_chats(seeds: Sequence[int]) -> dict[str, Any]:
    """Cached-token shares of 3 replicas as shares of the one replica's."""
    row: dict[str, Any] = {"case": "chats", "replicas": 3, "chats": 32, "fronts": 2}
    one = Machine(prompt_per_s=600, step_s=0.05 / 3, parallel=48, cache_tokens=3 * 131_072)
    single = [hit_share(chats(1, "fleet", seed, one).turns) for seed in seeds]
    row["one replica"] = round(statistics.mean(single), 4)
    for routing in ROUTINGS:
        records = [chats(3, routing, seed, Machine()) for seed in seeds]
        shares = [hit_share(r.turns) / best for r, best in zip(records, single, strict=True)]
        first = [turn.first_token_at - turn.asked_at for r in records for turn in r.turns]
        row[routing] = {
            "of one replica's": round(statistics.mean(shares), 4),
            "least": round(min(shares), 4),
            "first token p50 s": round(quantile(first, 0.5), 2),
            "first token p95 s": round(quantile(first, 0.95), 2),
        }
    return row


def hot(n_replicas: int, n_clients: int, *, is_same: bool, routing: str, seed: int) -> Record:
    """Clients that all begin with the same 32 blocks, one question after another; 2 fronts.

    is_same: also the questions are alike.
    """
    world = World(n_replicas, 2, routing=routing, seed=seed, machine=Machine())
    habits = Habits(n_turns=10_000, system_blocks=32, n_systems=1, question_blocks=0.0, think_s=0.2)
    for number in range(n_clients):
        chat = _Asker(habits, random.Random(f"{seed} {number}"))
        chat.is_same = is_same
        world.at(number * 0.01, partial(world.begin, chat))
    world.watch(0.1)
    return world.run(120)


class _Asker(Chat):
    """Asks each question in a chat of its own."""

    is_same = False

    def turn(self, now: float) -> Turn:
        self._said = self._said[: self.habits.system_blocks]
        self.anchor = 1 if self.is_same else self.chance.getrandbits(64)
        return super().turn(now)


def compare_hot(seed: int) -> list[dict[str, Any]]:
    """The most crowded replica's requests over the mean, from two seconds on."""
    rows = []
    for n_replicas, n_clients, is_same in ((3, 24, False), (3, 24, True), (16, 128, False)):
        for routing in ROUTINGS:
            record = hot(n_replicas, n_clients, is_same=is_same, routing=routing, seed=seed)
            crowding = [ratio for when, ratio in record.crowding if when >= SETTLED_S]
            rows.append(
                {
                    "case": "hot" + (", same questions" if is_same else ""),
                    "replicas": n_replicas,
                    "clients": n_clients,
                    "routing": routing,
                    "max/mean p50": round(quantile(crowding, 0.5), 3),
                    "max/mean p95": round(quantile(crowding, 0.95), 3),
                    "max/mean most": round(max(crowding), 3),
                    "requests": len(record.turns),
                }
            )
    return rows


def fleet(
    n_replicas: int, n_fronts: int, *, n_chats: int, event: str, routing: str, seed: int
) -> dict[str, Any]:
    """Chats that begin all the time; after 120 s a tenth of the machines dies, or as many come."""
    world = World(n_replicas, n_fronts, routing=routing, seed=seed, machine=Machine())
    n_begun = 0

    def begin() -> None:
        nonlocal n_begun
        n_begun += 1
        world.begin(Chat(FLEET_HABITS, random.Random(f"{seed} {n_begun}")))
        if world.now < END_S:
            world.at(world.now + world.chance.expovariate(n_chats / 100), begin)

    world.at(0.0, begin)
    n_changed = n_replicas // 10
    if event == "die":
        names = random.Random(seed).sample(sorted(world.replicas), n_changed)
        world.at(CHANGE_S, lambda: world.kill(names))
    elif event == "come":
        world.at(CHANGE_S, lambda: world.add(n_changed))
    world.at(CHANGE_S - 40, lambda: world.watch(1.0))
    record = world.run(END_S)
    windows = {
        "40 s before": (CHANGE_S - 40, CHANGE_S),
        "10 s after": (CHANGE_S, CHANGE_S + 10),
        "to 30 s after": (CHANGE_S + 10, CHANGE_S + 30),
        "later": (CHANGE_S + 30, END_S),
    }
    shares = {
        name: round(hit_share([t for t in record.turns if begin <= t.asked_at < end]), 3)
        for name, (begin, end) in windows.items()
    }
    first = [turn.first_token_at - turn.asked_at for turn in record.turns]
    crowding = [ratio for when, ratio in record.crowding if CHANGE_S - 40 <= when < CHANGE_S]
    return {
        "case": "fleet",
        "replicas": n_replicas,
        "fronts": n_fronts,
        "event": event,
        "routing": routing,
        "requests/s": round(len(record.turns) / END_S, 1),
        "cached share": shares,
        "requests moved": record.n_moved,
        "first token p50 s": round(quantile(first, 0.5), 2),
        "first token p95 s": round(quantile(first, 0.95), 2),
        "max/mean p50": round(quantile(crowding, 0.5), 2),
        "told MB/s": round(record.told_bytes / END_S / 1e6, 2),
        "of it stats MB/s": round(STATS_BYTES * n_replicas * n_fronts / 1e6, 2),
        "decision ms p50": round(1000 * quantile(record.decision_s, 0.5), 3),
        "decision ms p99": round(1000 * quantile(record.decision_s, 0.99), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=("chats", "hot", "fleet"), nargs="?")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=5, help="how many runs of `chats`")
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--fronts", type=int, default=8)
    parser.add_argument("--chats", type=int, default=4_000, help="begun in 100 s, by `fleet`")
    options = parser.parse_args()
    seed = options.seed
    if options.case in (None, "chats"):
        print(json.dumps(compare_chats(range(seed, seed + options.seeds))))
    if options.case in (None, "hot"):
        for row in compare_hot(seed):
            print(json.dumps(row))
    if options.case in (None, "fleet"):
        for event, routing in CASES:
            row = fleet(
                options.replicas,
                options.fronts,
                n_chats=options.chats,
                event=event,
                routing=routing,
                seed=seed,
            )
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
