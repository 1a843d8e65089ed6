"""What choosing a replica costs a front: python -m bench.micro.routing

Rows: fleets of several sizes, asked for chats of 100 KB whose beginnings some replicas hold, with
digests as large as they get. Columns: hashing the prompt, ranking the replicas, and noting the
choice; median and 99th percentile of the rounds, in milliseconds of this thread's CPU time.
"""

from __future__ import annotations

import itertools
import random
import time

from pyserve.cluster.fleet import Fleet, Load
from pyserve.engine.prefixes.keys import BLOCK_TOKENS, PrefixKeys, prefix_keys
from pyserve.engine.prefixes.sketch import Digest, Sketch
from pyserve.engine.request import GenerateRequest

N_ROUNDS = 2000
N_CHATS = 64
N_MESSAGES = 50
PROMPT_BYTES = 100 * 1024
OWN_ID = 10_000
FLEETS = (3, 16, 32, 1000)


def chats() -> list[GenerateRequest]:
    """Chats that share their first messages."""
    chance = random.Random(1)
    size = PROMPT_BYTES // N_MESSAGES - 40
    made = []
    for number in range(N_CHATS):
        texts = [f"{number if n > 1 else 0} {n} {chance.random()} " for n in range(N_MESSAGES)]
        messages = [{"role": "user", "content": (text * 100)[:size]} for text in texts]
        made.append(GenerateRequest(messages=messages))
    return made


def fleet(n_replicas: int, all_keys: list[PrefixKeys]) -> Fleet:
    """Each replica holds some chats, of which this front has sent half there itself."""
    chance = random.Random(2)
    made = Fleet()
    names = [f"replica-{n}" for n in range(n_replicas)]
    made.keep(names)
    for n, name in enumerate(names):
        made.told(name, Load(chance.randrange(12), 0, 200.0, 0.05), 0.0)
        if n >= N_CHATS:
            continue
        sketch = Sketch(8 * 1024 * BLOCK_TOKENS)
        for keys in chance.sample(all_keys, 4):
            sketch.add(keys.chain[: chance.randrange(len(keys.chain))])
        made.holds(name, Digest(sketch.digest()))
    for number, keys in enumerate(all_keys[::2]):
        made.routed(number, made.rank(keys, 0.0)[0], keys, 0.0)
    return made


def measure(known: Fleet, requests: list[GenerateRequest]) -> list[list[float]]:
    """Milliseconds of hashing, of ranking and of noting, in each round."""
    times: list[list[float]] = [[], [], []]
    for number in range(N_ROUNDS):
        request, now = requests[number % N_CHATS], number / 100
        marks = [time.thread_time()]
        keys = prefix_keys(request)
        marks.append(time.thread_time())
        ranked = known.rank(keys, now)
        marks.append(time.thread_time())
        known.routed(OWN_ID, ranked[0], keys, now)
        marks.append(time.thread_time())
        known.completed(OWN_ID)
        for each, (begin, end) in zip(times, itertools.pairwise(marks), strict=True):
            each.append(1000 * (end - begin))
    return times


def main() -> None:
    requests = chats()
    all_keys = [prefix_keys(request) for request in requests]
    print(
        f"{'replicas':>8} {'keys ms p50 p99':>18} {'rank ms p50 p99':>18} {'note ms p50 p99':>18}"
    )
    for n_replicas in FLEETS:
        times = measure(fleet(n_replicas, all_keys), requests)
        cells = [f"{_share(each, 0.5):9.3f} {_share(each, 0.99):8.3f}" for each in times]
        print(f"{n_replicas:8} {' '.join(cells)}")


def _share(times: list[float], share: float) -> float:
    return sorted(times)[int(share * (len(times) - 1))]


if __name__ == "__main__":
    main()
