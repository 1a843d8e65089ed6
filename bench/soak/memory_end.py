"""Lets memory end around a server that answers: the kernel may end its engine, and nothing else.

    mkdir /sys/fs/cgroup/memory/x
    python -m bench.soak.memory_end MODEL.gguf --group /sys/fs/cgroup/memory/x

The server runs in the group, an empty memory cgroup of version 1 or 2. While a stream runs, the
group's limit is set a little above what is in use, and a small process of it takes more than that.
After a while the limit is lifted, and the model has to come back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.peers.peer import Command, Settings
from bench.peers.pyserve import Pyserve
from bench.peers.server import Server, free_port, running
from bench.soak.exchange import Outcome, Result, Shot, exchange, http_request
from bench.soak.monitor import look

MIB = 1 << 20
LIFTED_BYTES = 1 << 40
SHORT_S = 5.0  # so long memory is short
SPARE_BYTES = 32 * MIB
TAKEN_BYTES = 64 * MIB
STREAM_TOKENS = 1500
RECOVERY_S = 60.0
TAKE = f"held = [bytearray(b'x' * {MIB}) for _ in range({TAKEN_BYTES // MIB})]"
ENTER = 'echo $$ > "$0" && exec "$@"'
CHATS = "/v1/chat/completions"
_LIMITS = ("memory.max", "memory.limit_in_bytes")
_USED = ("memory.current", "memory.usage_in_bytes")
_EVENTS = ("memory.events", "memory.oom_control")


@dataclass(frozen=True)
class Group:
    """A memory cgroup."""

    path: Path

    def entering(self, argv: list[str]) -> list[str]:
        """The command, run in the group."""
        return ["/bin/sh", "-c", ENTER, str(self.path / "cgroup.procs"), *argv]

    def set_limit(self, n_bytes: int) -> None:
        self._file(_LIMITS).write_text(str(n_bytes))

    def used_bytes(self) -> int:
        return int(self._file(_USED).read_text())

    def n_killed(self) -> int:
        """How many processes the kernel has ended for want of memory."""
        fields = (line.split() for line in self._file(_EVENTS).read_text().splitlines())
        return next(int(field[1]) for field in fields if field[0] == "oom_kill")

    def _file(self, names: tuple[str, str]) -> Path:
        """The first one that is there: names of version 2, then of version 1."""
        return next(path for name in names if (path := self.path / name).exists())


@dataclass(frozen=True)
class GroupedServer(Pyserve):
    """Our server, in a memory cgroup."""

    group: Group = Group(Path())

    def command(self, settings: Settings) -> Command:
        command = super().command(settings)
        return Command(self.group.entering(command.argv), command.flags, command.environ)


@dataclass(frozen=True)
class Seen:
    """n_killed: processes that the kernel ended. stream: how the one that ran ended."""

    n_killed: int
    roles_replaced: set[str]
    stream: str
    recovery_s: float | None


async def let_memory_end(server: Server, port: int, group: Group) -> Seen:
    """Once; see the module."""
    before = look(server.pid)
    stream = asyncio.create_task(exchange(port, chat(STREAM_TOKENS, is_stream=True)))
    await asyncio.sleep(1)
    group.set_limit(group.used_bytes() + SPARE_BYTES)
    taker = await asyncio.create_subprocess_exec(*group.entering([sys.executable, "-c", TAKE]))
    await taker.wait()
    await asyncio.sleep(SHORT_S)
    group.set_limit(LIFTED_BYTES)
    recovery_s = await time_to_answer(port, time.monotonic())
    kept = {process.pid for process in look(server.pid)}
    roles = {process.role for process in before if process.pid not in kept}
    return Seen(group.n_killed(), roles, told(await stream), recovery_s)


async def time_to_answer(port: int, begin_s: float) -> float | None:
    """Seconds until a new request is answered, rounded; None: never."""
    while time.monotonic() - begin_s < RECOVERY_S:
        if (await exchange(port, chat(4))).outcome is Outcome.DONE:
            return round(time.monotonic() - begin_s, 1)
        await asyncio.sleep(0.2)
    return None


def chat(max_tokens: int, *, is_stream: bool = False) -> Shot:
    messages = [{"role": "user", "content": "Count from one to a thousand."}]
    fields = {"messages": messages, "max_tokens": max_tokens, "stream": is_stream, "seed": 1}
    fields |= {"temperature": 0, "ignore_eos": True}
    data = http_request("POST", CHATS, json.dumps(fields).encode())
    return Shot("chat", data, events if is_stream else json_answer)


def json_answer(body: bytes) -> int:
    return int(json.loads(body)["usage"]["completion_tokens"])


def events(body: bytes) -> int:
    """Events of a stream. Raises ValueError for one that was told of an error, or was cut off."""
    if b'"error"' in body:
        raise ValueError(body[body.index(b'"error"') :][:100])
    if not body.endswith(b"data: [DONE]\n\n"):
        raise ValueError("no end")
    return body.count(b"data: ")


def told(result: Result) -> str:
    done = f"went on to its end, {result.n_tokens} events"
    return done if result.outcome is Outcome.DONE else f"ended with {result.why}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--group", type=Path, required=True, help="an empty memory cgroup")
    args = parser.parse_args()
    group = Group(args.group)
    settings = Settings(args.model, free_port(), 2, 8, 2048, 8192)
    with running(GroupedServer("memory-end", group=group), settings) as server:
        seen = asyncio.run(let_memory_end(server, settings.port, group))
        code = server.stop()
    print(
        f"{seen.n_killed} ended by the kernel, replaced: {', '.join(sorted(seen.roles_replaced))}"
    )
    print(f"the stream {seen.stream}")
    print(f"answered {seen.recovery_s} s after the limit was lifted; exit code {code}")
    is_right = seen.n_killed > 0 and seen.roles_replaced == {"engine"} and code == 0
    return 0 if is_right and seen.recovery_s is not None else 1


if __name__ == "__main__":
    sys.exit(main())
