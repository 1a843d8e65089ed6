"""`pyserve cache`: computed prefixes on disk, and computing them before they are asked for."""

from __future__ import annotations

import time
from pathlib import Path

import click

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.errors import explained
from pyserve.cli.warming import Server, read_prompts, warm_all
from pyserve.config import read_config
from pyserve.models.download.progress import format_bytes
from pyserve.models.prefixes import PrefixFolder, clear_prefixes, list_folders

directory_option = click.option(
    "--prefix-cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the prefixes [default: that of `pyserve serve`].",
)


@click.group()
def cache() -> None:
    """Computed prefixes on disk: list them, delete them, compute some before they are asked for."""


@cache.command("ls")
@json_option
@directory_option
def list_cache(as_json: bool, prefix_cache_dir: Path | None) -> None:
    """List what is on disk: a line for each model and its settings."""
    with explained():
        folders = list_folders(_directory(prefix_cache_dir))
    if as_json:
        print_json([_row(folder) for folder in folders])
        return
    for folder in folders:
        name = Path(folder.file).name or "?"
        kinds = "/".join(folder.about.get(key, "?") for key in ("cache_type_k", "cache_type_v"))
        click.echo(
            f"{name}  {kinds}  {folder.about.get('kernels', '?')}  {folder.n_files} files  "
            f"{format_bytes(folder.n_bytes)}  used {_date(folder.used_at)}"
        )
    total = sum(folder.n_bytes for folder in folders)
    click.echo(f"{format_bytes(total)} in {_directory(prefix_cache_dir)}")


@cache.command("clear")
@click.argument("model", required=False, default="")
@directory_option
def clear_cache(model: str, prefix_cache_dir: Path | None) -> None:
    """Delete computed prefixes from disk: all, or those of files with MODEL in their path.

    Servers that run keep those that they have in memory.
    """
    with explained():
        n_bytes = clear_prefixes(_directory(prefix_cache_dir), model)
    click.echo(f"deleted {format_bytes(n_bytes)}")


@cache.command("warm")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--url", help="Of the server [default: http://127.0.0.1 and the port of serve].")
@click.option(
    "--api-key",
    "api_keys",
    envvar="PYSERVE_WARM_KEYS",
    multiple=True,
    help="Key of the clients that will send these prompts: each key has prefixes of its own.",
)
@click.option("--model", default="", help="Model of lines that name none.")
def warm(file: Path, url: str | None, api_keys: tuple[str, ...], model: str) -> None:
    """Have a server compute the prompts in FILE, before clients send them.

    Each line is JSON: the body of a chat (`messages`) or of a completion (`prompt`), or a text.
    Prompts of chats are computed without an answer. Those that are long enough go to disk.
    """
    with explained():
        where = url or f"http://127.0.0.1:{read_config({}).port}"
        prompts = read_prompts(file, model)
        servers = [Server(where, key) for key in api_keys or ("",)]
        n_failed = sum(warm_all(server, prompts, click.echo) for server in servers)
    if n_failed:
        raise click.exceptions.Exit(1)


def _directory(given: Path | None) -> Path:
    return (given or read_config({}).prefix_cache_dir).expanduser()


def _row(folder: PrefixFolder) -> dict[str, object]:
    return {
        "folder": str(folder.path),
        "file": folder.file,
        "files": folder.n_files,
        "bytes": folder.n_bytes,
        "used_at": folder.used_at,
        "about": folder.about,
    }


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "never"
