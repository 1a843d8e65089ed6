"""Runs a workload against one server and sums it up, as one line of JSON.

python -m bench.load.run URL --workload distinct --load 16
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

from bench.load.catalog import WORKLOADS, Job
from bench.load.client import Target, stream
from bench.load.figures import summary
from bench.load.workloads import WORDS_PER_TOKEN, Text, distinct

CALIBRATION_WORDS = (50, 150)  # fits into the smallest context of any workload

__all__ = ["calibrate", "measure", "summary"]


async def measure(workload: str, job: Job) -> dict[str, object]:
    """Run it; the totals, the workload's own figures and this client's CPU time."""
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    outcome = await WORKLOADS[workload].run(job)
    wall_s = time.monotonic() - started_s
    client_cpu_s = round(time.process_time() - started_cpu_s, 3)
    return {**summary(outcome.replies, wall_s), **outcome.extra, "client_cpu_s": client_cpu_s}


async def calibrate(target: Target) -> float:
    """Words of our prose per token of the model that the server serves, as its usage counts them.

    Raises RuntimeError when the server does not answer.
    """
    counts = []
    for n_words in CALIBRATION_WORDS:
        [request] = distinct(Text(1.0), 1, n_prompt=n_words, max_tokens=2, seed=7)
        reply = await stream(target, request)
        if reply.error:
            raise RuntimeError(f"cannot calibrate on {target.url}: {reply.error}")
        counts.append(reply.n_prompt)
    return (CALIBRATION_WORDS[1] - CALIBRATION_WORDS[0]) / (counts[1] - counts[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="distinct")
    parser.add_argument("--load", "--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=0, help="0: as the workload says")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--words-per-token", type=float, default=WORDS_PER_TOKEN)
    parser.add_argument("--plain", action="store_true", help="use /v1/completions")
    parser.add_argument("--calibrate", action="store_true", help="only print words per token")
    args = parser.parse_args()
    target = Target(args.url, is_plain=args.plain)
    if args.calibrate:
        print(json.dumps({"words_per_token": round(asyncio.run(calibrate(target)), 4)}))
        return
    n_requests = args.requests or WORKLOADS[args.workload].n_requests(args.load, is_quick=False)
    job = Job(target, Text(args.words_per_token), args.load, n_requests, args.seed)
    head = {"workload": args.workload, "load": args.load}
    json.dump({**head, **asyncio.run(measure(args.workload, job))}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
