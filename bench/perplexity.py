"""Perplexity with our kernels and the vendored ones: python -m bench.perplexity MODEL TEXT

Both read the same pieces of the text, each in its own process. Changes are of pairs: the text is
the same, so their interval is far narrower than that of the perplexities. --reference names the
same weights as 32-bit floats (`pyserve quantize MODEL OUT F32 --allow-requantize`), which are
computed with 32-bit floats throughout; the table then says how far from it the others are.
Ctrl-C ends it early, with the pieces that all have read.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import Delta, GenerateRequest

MIN_PIECES = 2
# For every piece of the text, the log-probability of every token but the first.
Pieces = Sequence[Sequence[float]]


def perplexity(pieces: Pieces) -> float:
    """Over all tokens of all pieces. REQUIRES: at least one token."""
    n_tokens = sum(len(piece) for piece in pieces)
    return math.exp(-sum(math.fsum(piece) for piece in pieces) / n_tokens)


def change_percent(ours: Pieces, theirs: Pieces) -> tuple[float, float]:
    """How far the perplexity of `ours` is above that of `theirs`, and half its 95 % interval.

    REQUIRES: the same pieces of text, two at least, of equal lengths.
    """
    changes = [
        statistics.fmean(b - a for a, b in zip(one, other, strict=True))
        for one, other in zip(ours, theirs, strict=True)
    ]
    error = statistics.stdev(changes) / math.sqrt(len(changes))
    return 100 * math.expm1(statistics.fmean(changes)), 100 * 1.96 * error


def distance(ours: Pieces, reference: Pieces) -> float:
    """The root of the mean square of what a token's log-probability differs. REQUIRES: as above."""
    squares = [
        (a - b) ** 2
        for one, other in zip(ours, reference, strict=True)
        for a, b in zip(one, other, strict=True)
    ]
    return math.sqrt(statistics.fmean(squares))


def pieces_of(model: Path, text: str, args: argparse.Namespace) -> Iterator[list[float]]:
    """Computes them, with the kernels of this process."""
    config = EngineConfig(
        model_id="m",
        model_path=str(model),
        n_ctx=args.piece + 1,
        n_threads=args.threads,
        n_threads_batch=args.threads,
        cache_type_k="f32" if args.exact else "f16",
        cache_type_v="f32" if args.exact else "f16",
        flash_attn="off" if args.exact else "auto",
    )
    with contextlib.closing(LocalEngine(config)) as engine:
        start = engine.tokenize("", add_special=True, parse_special=False)[:1]
        tokens = engine.tokenize(text, add_special=False, parse_special=False)[: args.tokens]
        n_new = args.piece - len(start)
        for at in range(0, len(tokens) - n_new + 1, n_new):
            request = GenerateRequest(
                tokens=start + tokens[at : at + n_new], n_prompt_logprobs=0, max_tokens=0
            )
            deltas = (event for event in engine.submit(request) if isinstance(event, Delta))
            yield [t.logprob for delta in deltas for t in delta.prompt_logprobs or []][-n_new + 1 :]


@contextlib.contextmanager
def measuring(kernels: str, argv: Sequence[str]) -> Iterator[Iterator[list[float]]]:
    """The pieces as a process with these kernels computes them."""
    command = [sys.executable, "-m", "bench.perplexity", *argv]
    environment = os.environ | {"PYSERVE_KERNELS": kernels}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            yield (json.loads(line) for line in process.stdout)
        finally:
            process.terminate()


def table(read: dict[str, list[list[float]]]) -> str:
    """One line for each reader; "stock" is what changes are against."""
    lines = [f"{sum(map(len, read['stock']))} tokens in {len(read['stock'])} pieces"]
    for name, pieces in read.items():
        line = f"{name:10} perplexity {perplexity(pieces):9.4f}"
        for other in ("stock", "reference"):
            if other in read and other != name:
                change, interval = change_percent(pieces, read[other])
                line += f"  against {other} {change:+.3f} % ± {interval:.3f}"
        if "reference" in read and name != "reference":
            line += f"  a token {distance(pieces, read['reference']):.4f} from it"
        lines.append(line)
    return "\n".join(lines)


def compare(args: argparse.Namespace, argv: Sequence[str]) -> None:
    """Lets all read piece by piece, and prints the table."""
    mine = [*argv, "--compute", str(args.model)]
    readers = {"ours": ("", mine), "stock": ("stock", mine)}
    if args.reference:
        readers["reference"] = ("stock", [*argv, "--exact", "--compute", str(args.reference)])
    read: dict[str, list[list[float]]] = {name: [] for name in readers}
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(measuring(*how)) for how in readers.values()]
        with contextlib.suppress(KeyboardInterrupt):
            for pieces in zip(*streams, strict=False):
                for name, piece in zip(read, pieces, strict=True):
                    read[name].append(piece)
    if len(read["stock"]) < MIN_PIECES:
        sys.exit(f"{len(read['stock'])} pieces of {args.piece} tokens were read, not {MIN_PIECES}")
    print(table(read))


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--reference", type=Path, help="the same weights as 32-bit floats")
    parser.add_argument("--tokens", type=int, default=50_000, help="read at most (%(default)s)")
    parser.add_argument("--piece", type=int, default=512, help="tokens at a time (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each process (%(default)s)")
    parser.add_argument("--compute", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--exact", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.compute is None:
        compare(args, argv)
        return
    with contextlib.suppress(KeyboardInterrupt):
        for piece in pieces_of(args.compute, args.text.read_text(), args):
            print(json.dumps(piece), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
