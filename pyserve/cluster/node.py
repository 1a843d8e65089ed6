"""`pyserve cluster up`: this machine as a node of a Ray cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyserve.cluster.connection import ENVIRON, check_installed
from pyserve.errors import InvalidRequestError

OBJECT_STORE_BYTES = 80 << 20  # of Ray's; models and answers do not pass through it
MAX_TEMP_CHARS = 40  # Ray's sockets lie below it, and paths of sockets have at most 107 bytes
# How long nodes stay that do not reach the head: their replicas answer meanwhile.
HEADLESS = {"RAY_gcs_rpc_server_reconnect_timeout_s": "600"}


def run_node(
    *,
    join: str | None,
    port: int,
    ip: str | None,
    cpus: int | None,
    memory_mib: int | None,
    temp_dir: str | None,
) -> None:
    """Become Ray's own process, which ends the node when it is told to end.

    Raises InvalidRequestError where Ray is missing or an option cannot be used.
    """
    check_installed()
    if temp_dir is not None and (len(temp_dir) > MAX_TEMP_CHARS or join is not None):
        raise InvalidRequestError(
            f"--temp-dir: at most {MAX_TEMP_CHARS} characters, and for the first node alone"
        )
    ray = Path(sys.executable).parent / "ray"
    arguments = [str(ray), "start", "--block", "--disable-usage-stats"]
    arguments += [f"--address={join}"] if join else ["--head", f"--port={port}"]
    arguments += ["--include-dashboard=false"] if not join else []
    arguments += [f"--object-store-memory={OBJECT_STORE_BYTES}"]
    arguments += [f"--node-ip-address={ip}"] if ip else []
    arguments += [f"--num-cpus={cpus}"] if cpus is not None else []
    arguments += [f"--memory={memory_mib << 20}"] if memory_mib is not None else []
    arguments += [f"--temp-dir={temp_dir}"] if temp_dir else []
    environ = ENVIRON | HEADLESS | {"PATH": f"{ray.parent}:{os.environ.get('PATH', '')}"}
    print(_hint(join), flush=True)
    os.execve(ray, arguments, os.environ | environ)


def _hint(join: str | None) -> str:
    if join is not None:
        return f"joining the cluster at {join}; Ctrl-C or SIGTERM ends the node\n"
    return (
        "beginning a cluster; Ctrl-C or SIGTERM ends the node. Below, Ray says the address ADDRESS "
        "that others\nreach it by: `pyserve cluster up --join ADDRESS` on the other machines.\n"
    )
