"""The option `--json` of commands, and what they print with it."""

from __future__ import annotations

import click
import msgspec

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: object) -> None:
    """Print what msgspec can encode, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
