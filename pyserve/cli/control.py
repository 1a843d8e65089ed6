"""`pyserve ps`, `load`, `unload`, `stop` and `logs`: commands to a running server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from pyserve.backend.local_servers import LocalServer, local_servers
from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.completion import served_names
from pyserve.cli.errors import explained
from pyserve.cli.target import key_option, the_local_server, the_server, url_option
from pyserve.client.server import Server
from pyserve.errors import InvalidRequestError, NotFoundError
from pyserve.models.download.progress import format_bytes

POLL_S = 0.1


@click.command()
@json_option
@url_option
@key_option
def ps(as_json: bool, url: str | None, key: str) -> None:
    """Show running servers, their models and what they do.

    Without --url: those of this user on this machine.
    """
    with explained():
        places = [url] if url else [server.url for server in local_servers()]
        found = [_state(place, key) for place in places]
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no server of yours runs here")
    for server in () if as_json else found:
        click.echo(f"{server['url']}: {server['status']}\n")
        Console().print(_table(server["models"]))


def _state(url: str, key: str) -> dict[str, Any]:
    with Server(url, key) as server:
        health = server.get("/health", accepts=(503,))
    return {"url": url, "status": health["status"], "models": health["models"]}


def _table(models: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("model", "state", "weights", "context", "threads", "kernels", "restarts"):
        table.add_column(name, no_wrap=True)
    for model in models:
        memory = model.get("memory") or {}
        table.add_row(
            model["id"],
            model["state"] + (f": {model['error']}" if model.get("error") else ""),
            _bytes(memory.get("weights")),
            _bytes(memory.get("kv_cache")),
            str(model.get("n_threads") or ""),
            model.get("kernels") or "",
            str(model.get("n_restarts", 0)),
        )
    return table


def _bytes(n: int | None) -> str:
    return "" if n is None else format_bytes(n)


@click.command()
@click.argument("model", shell_complete=served_names)
@json_option
@url_option
@key_option
def load(model: str, as_json: bool, url: str | None, key: str) -> None:
    """Load a MODEL of a running server, and wait until it is ready."""
    with explained(), the_server(url, key) as server:
        done = server.post("/models/load", {"model": model})
    _tell(done, f"{done['model']}: loaded", as_json)


@click.command()
@click.argument("model", shell_complete=served_names)
@click.option("--force", is_flag=True, help="End its running requests, instead of waiting.")
@json_option
@url_option
@key_option
def unload(model: str, force: bool, as_json: bool, url: str | None, key: str) -> None:
    """Unload a MODEL of a running server; a request for it loads it again."""
    with explained(), the_server(url, key) as server:
        done = server.post("/models/unload", {"model": model, "force": force})
    _tell(done, f"{done['model']}: unloaded", as_json)


@click.command()
@click.option("--url", help="Which one, if several run here.")
@click.option("--wait/--no-wait", default=True, help="Wait until its requests have ended.")
@json_option
def stop(url: str | None, wait: bool, as_json: bool) -> None:
    """Stop a server of this user on this machine; its running requests may finish."""
    with explained():
        server = _local(url)
        os.kill(server.pid, signal.SIGTERM)
        while wait and server in local_servers():
            time.sleep(POLL_S)
    text = f"{server.url}: {'stopped' if wait else 'stops when its requests have ended'}"
    _tell({"url": server.url, "status": "stopped" if wait else "stopping"}, text, as_json)


@click.command()
@click.option("-n", "--lines", default=20, show_default=True, help="How many of the last lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what it logs from now on.")
@click.option("--url", help="Which server, if several run here.")
def logs(lines: int, follow: bool, url: str | None) -> None:
    """Show the log of a server of this user on this machine.

    It has one if it was started with --log-file.
    """
    with explained():
        path = _log_file(_local(url))
        if follow:
            subprocess.run(["tail", "-n", str(lines), "-F", str(path)], check=False)
            return
        with path.open(errors="replace") as file:
            click.echo("".join(deque(file, lines)), nl=False)


def _tell(done: Any, text: str, as_json: bool) -> None:
    """What was done: for programs, or in words."""
    if as_json:
        print_json(done)
    else:
        click.echo(text)


def _local(url: str | None) -> LocalServer:
    """Raises NotFoundError, and what `the_local_server` raises."""
    if url is None:
        return the_local_server()
    for server in local_servers():
        if server.url == url.removesuffix("/"):
            return server
    raise NotFoundError(f"no server of yours runs here at {url}")


def _log_file(server: LocalServer) -> Path:
    if not server.log_file:
        raise InvalidRequestError(
            f"{server.url} logs to its terminal or service manager (journalctl); "
            "--log-file has it write a file"
        )
    return Path(server.log_file)
