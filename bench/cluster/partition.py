"""Two machines whose network is cut, and heals: python -m bench.cluster.partition, as root

The machines are network namespaces of this one, each with its address and a cable between them:
what runs in one reaches the other by that cable alone. A front and a replica are on the first, a
replica on the second. While the cable is cut, requests are asked and streams are under way.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.cluster.nodes import ENVIRON, PYSERVE, wait_until

MODEL = "m"
PORT = 6379
API_PORT = 8080  # in a namespace all ports are free
N_STREAMS = 8
N_WORDS, WORD_MS = 250, 40


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)


class Machine:
    """A network namespace with an address, and processes in it."""

    def __init__(self, name: str, address: str, directory: Path) -> None:
        self.name, self.address = name, address
        home = directory / name
        home.mkdir(mode=0o700)
        self._log = (home / "log").open("wb")
        dirs = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        self._env = os.environ | ENVIRON | dict.fromkeys(dirs, str(home))
        self._started: list[subprocess.Popen[bytes]] = []
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")

    def plug(self, device: str) -> None:
        ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", device)
        ip("-n", self.name, "link", "set", device, "up")

    def command(self, *args: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *args]

    def start(self, *args: str) -> None:
        """`pyserve` with these arguments, until `close`."""
        command = self.command(*PYSERVE, *args)
        self._started.append(
            subprocess.Popen(command, env=self._env, stdout=self._log, stderr=self._log)
        )

    def say(self, *command: str) -> str:
        """What a command prints; "" when it fails."""
        done = subprocess.run(
            self.command(*command), env=self._env, capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    def close(self) -> None:
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(40.0)
        pids = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True
        )
        for pid in pids.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "del", self.name)
        self._log.close()


@contextlib.contextmanager
def two_machines(directory: Path) -> Iterator[tuple[Machine, Machine]]:
    """Their cable is the device `cable` of the first."""
    tag = f"ps{os.getpid()}"
    with contextlib.ExitStack() as stack:
        one = Machine(f"{tag}a", "10.9.0.1", directory)
        stack.callback(one.close)
        two = Machine(f"{tag}b", "10.9.0.2", directory)
        stack.callback(two.close)
        ip(
            "link", "add", "cable", "netns", one.name, "type", "veth",
            "peer", "name", "cable", "netns", two.name,
        )  # fmt: skip
        one.plug("cable")
        two.plug("cable")
        yield one, two


def ask(machine: Machine, text: str) -> tuple[str, float]:
    """The answer of the front there, or what it says else; and after how many seconds."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    began_s = time.monotonic()
    said = machine.say(
        "curl", "-s", "-m", "300", "-H", "Content-Type: application/json", "-d", json.dumps(body),
        f"http://127.0.0.1:{API_PORT}/v1/chat/completions",
    )  # fmt: skip
    with contextlib.suppress(ValueError, LookupError):
        said = json.loads(said)["choices"][0]["message"]["content"]
    return said, time.monotonic() - began_s


def n_ready(machine: Machine) -> int:
    """The replicas that the front reaches."""
    page = machine.say("curl", "-s", "-m", "10", f"http://127.0.0.1:{API_PORT}/metrics")
    lines = [line for line in page.splitlines() if line.startswith("pyserve_replica_ready{")]
    return sum(line.endswith(" 1.0") for line in lines)


def measure(one: Machine, two: Machine, temp_dir: str, cut_s: float) -> dict[str, Any]:
    address = f"{one.address}:{PORT}"
    control = ("--address", address, "--json")
    one.start("cluster", "up", "--ip", one.address, "--cpus", "1", "--temp-dir", temp_dir)
    wait_until(lambda: one.say(*PYSERVE, "cluster", "status", *control), "the first node is up")
    two.start("cluster", "up", "--join", address, "--ip", two.address, "--cpus", "1")
    deploy = ("deploy", "--engine", "fake", "--threads", "1", "--replicas", "2", MODEL)
    wait_until(lambda: one.say(*PYSERVE, "cluster", *deploy, *control), "both nodes are used")
    one.start("serve", "--cluster", address, "--port", str(API_PORT))
    wait_until(lambda: n_ready(one) == 2, "both replicas are reached")  # noqa: PLR2004
    prompts = [f"#slow={WORD_MS} #words={N_WORDS} a b {n}" for n in range(N_STREAMS)]
    with ThreadPoolExecutor(N_STREAMS) as pool:
        running = [pool.submit(ask, one, prompt) for prompt in prompts]
        time.sleep(2.0)
        ip("-n", one.name, "link", "set", "cable", "down")
        healed_at = time.monotonic() + cut_s
        during = []
        while time.monotonic() < healed_at:
            during.append(ask(one, "x y z"))
            time.sleep(0.5)
        ip("-n", one.name, "link", "set", "cable", "up")
        back_s = wait_until(lambda: n_ready(one) == 2, "both are reached again")  # noqa: PLR2004
        answers = [each.result() for each in running]
    wanted = [" ".join((prompt.split(" ") * N_WORDS)[:N_WORDS]) for prompt in prompts]
    whole = [said == text for (said, _), text in zip(answers, wanted, strict=True)]
    return {
        "cut_s": cut_s,
        "asked_meanwhile": len(during),
        "answered_meanwhile": sum(said == "x y z" for said, _ in during),
        "slowest_of_them_s": round(max(took_s for _, took_s in during), 2),
        "running": len(answers),
        "whole": sum(whole),
        "longest_pause_s": round(max(s for _, s in answers) - N_WORDS * WORD_MS / 1000, 1),
        "both_reached_after_s": round(back_s, 1),
        "status": json.loads(one.say(*PYSERVE, "cluster", "status", *control)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="that the cable is cut")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pt-", dir="/tmp") as directory:
        with two_machines(Path(directory)) as (one, two):
            found = measure(one, two, f"{directory}/ray", options.seconds)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
