#!/usr/bin/env python3
"""Builds the image of deploy/container with buildah, and asks it a question. Needs root, no daemon.

    python tools/try_container.py MODEL_FILE [--store DIR] [--debian TAR] [BUILDAH_OPTION ...]

The image's process runs in namespaces of its own, as the image's user, on a read-only root, with a
volume that has the model. --store: where buildah keeps images (default build/container); what is
there is not pulled. --debian: an archive of a root with Debian 12, in place of the registry's
(`mmdebstrap --variant=minbase bookworm debian.tar`). Further options are for `buildah build`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
FILE = REPOSITORY / "deploy/container/Containerfile"
IMAGE = "localhost/pyserve-try"
BASES = ("docker.io/library/debian:12", "docker.io/library/debian:12-slim")
KEY = "key-of-the-container"
WAIT_S = 180.0
# $1: the image's root, $2: the volume, $3: where that belongs, $4: user and group; then a command.
ISOLATED = """
set -e
root=$1 volume=$2 place=$3 user=$4; shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$volume" "$root$place"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"; mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount --rbind /sys "$root/sys"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups= "$root" env -i "$@"
"""


class Buildah:
    """buildah with a store of its own."""

    def __init__(self, store: Path) -> None:
        places = ["--root", str(store / "root"), "--runroot", str(store / "runroot")]
        self._argv = ["buildah", *places, "--storage-driver", "vfs"]

    def __call__(self, *args: str, is_shown: bool = False) -> str:
        out = None if is_shown else subprocess.PIPE
        done = subprocess.run([*self._argv, *args], stdout=out, text=True, check=True)
        return (done.stdout or "").strip()

    def take_debian(self, archive: Path) -> None:
        """Have an archive stand for the images that the registry has."""
        container = self("from", "scratch")
        self("add", "--quiet", container, str(archive), "/")
        for base in BASES:
            self("commit", "--quiet", container, base)
        self("rm", container)


def serve(root: Path, config: dict[str, Any], volume: Path, port: int) -> subprocess.Popen[bytes]:
    """The image's own process, as its configuration has it."""
    user = config["User"]
    lines = (root / "etc/passwd").read_text().splitlines()
    group = next(line.split(":")[3] for line in lines if line.split(":")[2] == user)
    for path in (volume, *volume.rglob("*")):
        os.chown(path, int(user), int(group))
    [place] = config["Volumes"]
    environment = [*config["Env"], f"PYSERVE_API_KEY={KEY}", f"PYSERVE_PORT={port}"]
    spaces = ["unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--kill-child"]
    values = [str(root), str(volume), place, f"{user}:{group}", *environment]
    argv = [*spaces, "bash", "-c", ISOLATED, "isolated", *values, *config["Entrypoint"]]
    return subprocess.Popen(argv)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(port: int, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=WAIT_S) as response:
        return json.load(response)


def check(process: subprocess.Popen[bytes], port: int, user: str) -> None:
    """Ask a question; look at what the kernel says of the process; end it."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            if ask(port, "/ready"):
                break
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("the container does not answer")
            time.sleep(0.2)
    message = {"role": "user", "content": "What is the capital of France?"}
    body = {"messages": [message], "max_tokens": 16, "temperature": 0}
    print(ask(port, "/v1/chat/completions", body)["choices"][0]["message"]["content"])
    [first] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    status = Path(f"/proc/{first}/status").read_text()
    assert f"Uid:\t{user}\t{user}\t{user}\t{user}\n" in status, status
    mounts = [line.split() for line in Path(f"/proc/{first}/mounts").read_text().splitlines()]
    assert any(fields[1] == "/" and "ro" in fields[3].split(",") for fields in mounts), mounts
    os.kill(int(first), signal.SIGTERM)
    code = process.wait(WAIT_S)
    assert code == 0, f"the container ended with {code}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--store", type=Path, default=REPOSITORY / "build/container")
    parser.add_argument("--debian", type=Path)
    given, options = parser.parse_known_args(argv)
    if shutil.which("buildah") is None or os.geteuid() != 0:
        sys.exit("this needs buildah and root: apt-get install -y buildah")
    buildah = Buildah(given.store)
    if given.debian:
        buildah.take_debian(given.debian)
    build = ["build", "--layers", "--isolation", "chroot", "--format", "docker", *options]
    print("building the image: some minutes", shlex.join(options))
    buildah(*build, "--tag", IMAGE, "--file", str(FILE), str(REPOSITORY), is_shown=True)
    config = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    container = buildah("from", "--pull-never", IMAGE)
    try:
        root = Path(buildah("mount", container))
        with tempfile.TemporaryDirectory() as folder:
            volume = Path(folder)
            volume.chmod(0o755)
            (volume / "models").mkdir()
            shutil.copy(given.model, volume / "models")
            port = free_port()
            check(serve(root, config, volume, port), port, config["User"])
    finally:
        buildah("rm", container)
    print("the container serves as its user, on a read-only root, and ends when it is told to")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
