"""Joining a Ray cluster from this process, with errors that say what to do."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

from pyserve.errors import InvalidRequestError, UnavailableError

NAMESPACE = "pyserve"
MISSING = "clusters need Ray: pip install 'pyserve[cluster]'"
# Nothing is told to Ray's makers, and nothing of ours is lost among its workers' output.
ENVIRON = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}


def check_installed() -> None:
    """Raises InvalidRequestError where Ray is not installed; does not import it."""
    if importlib.util.find_spec("ray") is None:
        raise InvalidRequestError(MISSING)


def import_ray() -> Any:
    """The module. Raises InvalidRequestError where it is not installed."""
    for name, value in ENVIRON.items():
        os.environ.setdefault(name, value)
    try:
        import ray  # noqa: PLC0415  # an extra
        import ray.serve  # noqa: PLC0415
    except ImportError as error:
        raise InvalidRequestError(f"{MISSING} ({error})") from error
    return ray


def join(address: str) -> Any:
    """Connect this process to the cluster at `address`, or `auto`; returns the module `ray`.

    A Ray node must run on this machine. Raises UnavailableError if there is none.
    """
    ray = import_ray()
    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level="warning",
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise UnavailableError(
            f"no node of the Ray cluster {address!r} runs on this machine ({first}): start one "
            "with `pyserve cluster up`",
            retry_after_s=5,
        ) from error
    return ray


@contextlib.contextmanager
def joined(address: str) -> Iterator[Any]:
    """The module `ray.serve` in the cluster at `address`, while whatever Ray prints goes to stderr.

    Raises as `join` does.
    """
    sys.stdout.flush()
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        ray = join(address)
        try:
            yield ray.serve
        finally:
            ray.shutdown()
    finally:
        sys.stdout.flush()
        os.dup2(ours, 1)
        os.close(ours)
