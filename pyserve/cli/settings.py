"""`pyserve config`: shows each setting and where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.errors import explained
from pyserve.cli.options import config_file_option, given_options, with_options
from pyserve.config import origin, read_config
from pyserve.config_file import read_config_file

SECRET = "api_key"
DEFAULT = "default"


@click.command(context_settings={"show_default": False})
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@with_options
@config_file_option
@click.option("--set", "only_set", is_flag=True, help="Only those that are set somewhere.")
@json_option
def config(
    models: tuple[str, ...],
    config_file: Path | None,
    only_set: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the settings that `pyserve serve` would have with these arguments, and their origins.

    The command line wins over the environment (PYSERVE_*), that over the file, that over defaults.
    """
    given = given_options(models, options)
    with explained():
        settings = read_config(given, config_file)
        file = read_config_file(config_file)
    rows = [
        {"name": name, "value": _shown(name, value), "origin": origin(name, given, file)}
        for name, value in settings
    ]
    rows = [row for row in rows if not only_set or row["origin"] != DEFAULT]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        style = "dim" if row["origin"] == DEFAULT else None
        table.add_row(row["name"], str(row["value"]), row["origin"], style=style)
    Console().print(table)


def _shown(name: str, value: Any) -> Any:
    """The value as JSON has it; keys are counted, not shown."""
    if name == SECRET and value:
        return f"{len(value)} keys"
    return str(value) if isinstance(value, Path) else value
