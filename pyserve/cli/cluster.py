"""`pyserve cluster`: a Ray cluster's nodes, and the models that run on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.errors import explained
from pyserve.cli.options import config_file_option, given_options, with_options

address_option = click.option(
    "--address",
    envvar="RAY_ADDRESS",
    default="auto",
    metavar="HOST:PORT",
    help="The cluster [default: the one of this machine's node].",
)
WAIT_S = 600.0


@click.group()
def cluster() -> None:
    """Serve models on several machines, with Ray underneath: needs pip install pyserve[cluster].

    `up` makes this machine a node, `deploy` has the nodes run models, and `pyserve serve --cluster
    ADDRESS` answers requests with them.
    """


@cluster.command()
@click.option("--join", metavar="HOST:PORT", help="Join the cluster there; else begin a new one.")
@click.option("--port", default=6379, show_default=True, help="Of a new cluster; 0 takes any.")
@click.option("--ip", metavar="IP", help="Address by which other nodes reach this one.")
@click.option("--cpus", type=int, help="CPUs for models here [default: all].")
@click.option("--memory-mib", type=int, help="Memory for models here [default: most of it].")
@click.option("--temp-dir", help="Directory of Ray's sockets and logs, with a short path.")
def up(**options: Any) -> None:
    """Make this machine a node of a cluster, until Ctrl-C or SIGTERM."""
    from pyserve.cluster.node import run_node  # noqa: PLC0415  # --help stays fast

    with explained():
        run_node(**options)


@cluster.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--replicas", default=1, show_default=True, type=click.IntRange(0, 4096))
@click.option(
    "--max-replicas",
    default=0,
    type=click.IntRange(0, 4096),
    help="From --replicas to so many, by the work that waits; 0: always --replicas.",
)
@click.option(
    "--idle-s",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0),
    help="With --replicas 0 --max-replicas N: until an unused model is unloaded.",
)
@click.option("--per-node", default=0, help="Most replicas on one machine; 0 is no limit.")
@click.option(
    "--surge/--no-surge",
    default=None,
    help="Start new replicas before old ones end [default: where a CPU for each thread is free].",
)
@click.option("--prune", is_flag=True, help="With a FILE: end the models that are not in it.")
@click.option("--wait/--no-wait", default=True, help="Wait until the models are loaded.")
@address_option
@json_option
@with_options
@config_file_option
@click.pass_context
def deploy(
    context: click.Context,
    /,
    models: tuple[str, ...],
    replicas: int,
    max_replicas: int,
    idle_s: float,
    per_node: int,
    surge: bool | None,
    prune: bool,
    wait: bool,
    address: str,
    as_json: bool,
    config_file: Path | None,
    **options: Any,
) -> None:
    """Have the cluster run models, or replace those that run already by fresh replicas.

    MODEL, and the options of `pyserve serve` that are about engines: as there. Each node reads its
    own file of the model, and pulls one that is missing.

    A FILE.yaml in place of MODEL lists models with their options: docs/cluster.md. Those that run
    as it says stay as they are.
    """
    from pyserve.cli.deployment import plan_wishes  # noqa: PLC0415
    from pyserve.cli.fleet_file import is_fleet_file, plan_fleet  # noqa: PLC0415
    from pyserve.cluster.app import deploy as deploy_all  # noqa: PLC0415
    from pyserve.cluster.app import remove, rows, wait_settled  # noqa: PLC0415
    from pyserve.cluster.connection import joined  # noqa: PLC0415
    from pyserve.config import read_config  # noqa: PLC0415

    is_file = any(map(is_fleet_file, models))
    if is_file:
        _check_alone(context, models)
    elif prune:
        raise click.UsageError("--prune is for a FILE")
    if max_replicas and max_replicas < replicas:
        raise click.UsageError(f"--max-replicas {max_replicas} is less than --replicas {replicas}")
    with explained():
        given = given_options((), options)
        if is_file:
            wishes = plan_fleet(Path(models[0]), given, config_file)
        else:
            wishes = plan_wishes(
                read_config(given, config_file),
                models,
                n_replicas=replicas,
                n_most=max_replicas,
                idle_s=idle_s,
                per_node=per_node,
                surge=surge,
            )
        counts = {wish.model_id: None if wish.n_most else wish.n_replicas for wish in wishes}
        with joined(address) as serve:
            deploy_all(serve, wishes)
            if prune:
                remove(serve, [row.model for row in rows(serve) if row.model not in counts])
            if wait:
                wait_settled(serve, counts, WAIT_S, _shower(as_json))
            found = [row for row in rows(serve) if row.model in counts]
    _show(as_json, found)


@cluster.command()
@address_option
@json_option
def status(address: str, as_json: bool) -> None:
    """Show the models of a cluster and their replicas."""
    from pyserve.cluster.app import rows  # noqa: PLC0415
    from pyserve.cluster.connection import joined  # noqa: PLC0415

    with explained(), joined(address) as serve:
        found = rows(serve)
    _show(as_json, found)


@cluster.command()
@click.argument("model")
@click.argument("replicas", type=click.IntRange(0, 4096))
@click.option("--wait/--no-wait", default=True, help="Wait until the replicas are there.")
@address_option
@json_option
def scale(model: str, replicas: int, wait: bool, address: str, as_json: bool) -> None:
    """Run a MODEL with so many REPLICAS; running ones stay as they are."""
    from pyserve.cluster.app import rows, scale_to, wait_settled  # noqa: PLC0415
    from pyserve.cluster.connection import joined  # noqa: PLC0415

    with explained(), joined(address) as serve:
        scale_to(serve, model, replicas)
        if wait:
            wait_settled(serve, {model: replicas}, WAIT_S, _shower(as_json))
        found = [row for row in rows(serve) if row.model == model]
    _show(as_json, found)


@cluster.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--all", "is_all", is_flag=True, help="All models.")
@click.option("--wait/--no-wait", default=True, help="Wait until their replicas have ended.")
@address_option
@json_option
def down(models: tuple[str, ...], is_all: bool, wait: bool, address: str, as_json: bool) -> None:
    """End models of a cluster; their running requests may finish. Nodes go on."""
    from pyserve.cluster.app import remove, rows, wait_gone  # noqa: PLC0415
    from pyserve.cluster.connection import joined  # noqa: PLC0415

    if bool(models) == is_all:
        raise click.UsageError("name models, or give --all")
    with explained(), joined(address) as serve:
        named = list(models) or [row.model for row in rows(serve)]
        remove(serve, named)
        if wait:
            wait_gone(serve, named, WAIT_S)
        found = rows(serve)
    _show(as_json, found)


def _check_alone(context: click.Context, models: tuple[str, ...]) -> None:
    """A file says how many replicas there are. Raises UsageError."""
    if len(models) > 1:
        raise click.UsageError(f"{len(models)} arguments: a FILE comes alone")
    for name in ("replicas", "max_replicas", "idle_s", "per_node", "surge"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option}: {models[0]} says it of each model")


def _show(as_json: bool, found: list[Any]) -> None:
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("model", "state", "replicas", ""):
        table.add_column(name, overflow="fold")
    for row in found:
        table.add_row(row.model, row.state, _replicas(row), row.message)
    Console().print(table)


def _shower(as_json: bool) -> Callable[[Any], None]:
    """Shows a model on the terminal each time that its state changes."""

    def show(row: Any) -> None:
        if not as_json:
            click.echo(
                f"{row.model}: {row.state} {_replicas(row)} {row.message}".rstrip(), err=True
            )

    return show


def _replicas(row: Any) -> str:
    return ", ".join(f"{n} {state.lower()}" for state, n in sorted(row.replicas.items()))
