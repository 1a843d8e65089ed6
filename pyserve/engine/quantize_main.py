"""Main of a quantizing process: `python -m pyserve.engine.quantize_main JOB`, JOB as JSON.

A process of its own, because a damaged file may end it. Why it failed goes to stderr as one line;
the exit code is then 1.
"""

from __future__ import annotations

import signal
import sys

import msgspec

from pyserve.engine.quantize_job import QuantizeJob
from pyserve.errors import PyserveError
from pyserve.process.parent import die_with_parent


def main(argv: list[str]) -> int:
    job = msgspec.json.decode(argv[1], type=QuantizeJob)
    die_with_parent(signal.SIGKILL)
    try:
        from pyserve.engine.native import quantize  # noqa: PLC0415  # it may not fit this CPU

        quantize(job)
    except (PyserveError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
