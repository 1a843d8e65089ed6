"""`pyserve serve`: the options. What they start is in `launch`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

OPTIONS = (
    click.option("--host", help="Address to listen on [default: 127.0.0.1]."),
    click.option("--port", type=int, help="Port; 0 takes a free one [default: 8080]."),
    click.option("--models-dir", help="Directory of the model files."),
    click.option("--models-config-file", help="YAML file of models in LocalAI's format."),
    click.option("--ctx-size", type=int, help="Context of one request in tokens."),
    click.option("--kv-size", type=int, help="KV cells shared by all requests."),
    click.option("--parallel", type=int, help="Requests that decode at once [default: 16]."),
    click.option("--threads", type=int, help="Compute threads [default: usable cores]."),
    click.option(
        "--threads-batch", type=int, help="The same for steps with prompts [default: --threads]."
    ),
    click.option("--batch-size", type=int, help="Most tokens of one step [default: 512]."),
    click.option("--queue-size", type=int, help="Requests that may wait [default: 64]."),
    click.option(
        "--kernels",
        help="Best kernels to use: amx, avx512vnni, avx512bw, avx2 or stock [default: auto].",
    ),
    click.option(
        "--deterministic/--fast",
        default=None,
        help="Compute each request alone: equal seeds give equal bits.",
    ),
    click.option("--cache-type-k", help="Type of cached keys: f16, q8_0, q4_0 ... [default: f16]."),
    click.option("--cache-type-v", help="Type of cached values: the same [default: f16]."),
    click.option("--flash-attn", "-fa", help="Flash attention: on, off or auto [default: auto]."),
    click.option("--numa", help="Spread over NUMA nodes: distribute, isolate or numactl."),
    click.option(
        "--override-kv",
        multiple=True,
        metavar="KEY=TYPE:VALUE",
        help="Counts instead of model files' metadata; int, float, bool, str; may be repeated.",
    ),
    click.option(
        "--max-token-gap-ms",
        type=float,
        help="Longest gap of a stream while prompts of others are computed [default: 100].",
    ),
    click.option(
        "--prefix-cache-mib", type=int, help="Memory for evicted prefixes, 0 = none [default: 512]."
    ),
    click.option(
        "--draft-max",
        type=int,
        help="Tokens that one step checks ahead, 0 = none [default: 15].",
    ),
    click.option(
        "--model-draft", "-md", help="GGUF file of a smaller model that guesses these tokens."
    ),
    click.option("--draft-min", type=int, help="Its shorter guesses are not checked [default: 0]."),
    click.option(
        "--draft-p-min", type=float, help="Least probability of a guessed token [default: 0]."
    ),
    click.option("--api-key", multiple=True, help="Key that clients must send; may be repeated."),
    click.option("--api-key-file", help="File with keys: one per line, or TOML with limits."),
    click.option(
        "--insecure", is_flag=True, default=None, help="Listen beyond this machine without a key."
    ),
    click.option("--cors-origin", multiple=True, help="Web page that may use the server, or *."),
    click.option("--allowed-host", multiple=True, help="Name of this server, or * for any."),
    click.option(
        "--resume-streams/--no-resume-streams",
        default=None,
        help="Answers whose engine died go on when it is started again [default: on].",
    ),
    click.option("--max-streams", type=int, help="Requests per front worker [default: 64]."),
    click.option("--workers", type=int, help="Front worker processes [default: 1]."),
    click.option(
        "--preload",
        help="Models to load at the start, separated by commas; all, none [default: those named].",
    ),
    click.option("--pin", help="Models that stay loaded, separated by commas."),
    click.option(
        "--max-loaded-models", type=int, help="Models loaded at once, 0 = as memory allows."
    ),
    click.option(
        "--model-ttl", type=float, help="Unload a model after so many idle seconds, 0 = never."
    ),
    click.option(
        "--memory-limit-mib", type=int, help="Memory for all models, 0 = what the system has."
    ),
    click.option("--load-timeout-s", type=float, help="Longest load of a model [default: 120]."),
    click.option(
        "--graceful-timeout-s", type=int, help="Longest end of running requests [default: 25]."
    ),
    click.option(
        "--header-timeout-s", type=float, help="For a client to send headers [default: 10]."
    ),
    click.option("--body-timeout-s", type=float, help="For a client to send a body [default: 30]."),
    click.option(
        "--write-timeout-s",
        type=float,
        help="For a client to take a part of an answer [default: 30].",
    ),
    click.option("--max-body-bytes", type=int, help="Largest request body [default: 8 MiB]."),
    click.option(
        "--strict-model-names/--any-model-name",
        default=None,
        help="Refuse unknown model names even when there is one model.",
    ),
    click.option(
        "--model-alias",
        multiple=True,
        metavar="PATTERN=MODEL",
        help="A further name of a model, maybe with * and ?; may be repeated.",
    ),
    click.option(
        "--default-model",
        multiple=True,
        metavar="[ENDPOINT=]MODEL",
        help="Answers requests that name no model; may be repeated.",
    ),
    click.option(
        "--lora",
        "--lora-scaled",
        multiple=True,
        metavar="[NAME=]PATH[:SCALE]",
        help="LoRA adapter of the model; NAME is that of the model with it; may be repeated.",
    ),
    click.option("--log-format", help="text, or json: one object a line [default: text]."),
    click.option("--log-file", help="Log to this file instead of stderr."),
    click.option("--log-level", help="debug, info, warning or error [default: info]."),
    click.option("--engine", help="native, or fake: an engine without a model, for tests."),
)


def with_options(command: Any) -> Any:
    """The options, in the order in which they are listed."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@with_options
def serve(models: tuple[str, ...], **options: Any) -> None:
    """Serve models: gallery names, names in the models directory, or GGUF files.

    A directory in place of a MODEL is the models directory. Without a MODEL: every model in the
    models directory, or the default one of the gallery.
    Each option can also be set in the environment: --ctx-size is PYSERVE_CTX_SIZE.
    """
    from pyserve.cli.errors import explained  # noqa: PLC0415  # --help stays fast
    from pyserve.cli.launch import launch  # noqa: PLC0415
    from pyserve.config import read_config  # noqa: PLC0415

    given = {name: value for name, value in options.items() if value not in (None, ())}
    if len(models) == 1 and Path(models[0]).is_dir():
        given.setdefault("models_dir", models[0])
    elif models:
        given["models"] = list(models)
    with explained():
        code = launch(read_config(given))
    sys.exit(code)
