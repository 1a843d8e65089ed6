"""`pyserve info`: shows a model file's metadata and the memory it will take, or the CPU."""

from __future__ import annotations

import json

import click

from pyserve.cli.answer_format import answer_format
from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.completion import local_names
from pyserve.cli.cpu import show_cpu
from pyserve.cli.errors import explained
from pyserve.cli.plan import engine_config
from pyserve.config import ServeConfig, read_config
from pyserve.gguf.reader import AnyValue, LongArray
from pyserve.models.describe import Description, describe_file
from pyserve.models.download.progress import format_bytes
from pyserve.models.files import find_local
from pyserve.models.gallery import load_gallery
from pyserve.models.model_file import ModelFile
from pyserve.openai.tools.recognition import in_words

MAX_TEXT_CHARS = 100
MAX_ELEMENTS = 8


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, shell_complete=local_names)
@click.option("--cpu", is_flag=True, help="Describe this CPU and the kernels that it can use.")
@json_option
@click.option("--template", is_flag=True, help="Print the chat template, and nothing else.")
def info(model: str | None, cpu: bool, as_json: bool, template: bool) -> None:
    """Describe a model: a name in the models directory, or a GGUF file.

    Prints metadata, tensors by type, the chat template, and the memory that an engine with the
    current settings (PYSERVE_*) is predicted to take, by the context.
    """
    if cpu == (model is not None):
        raise click.UsageError("give a MODEL, or --cpu")
    if model is None:
        show_cpu(as_json)
        return
    with explained():
        found = describe_model(model, read_config({}))
    if template:
        click.echo(found.template or "", nl=not (found.template or "").endswith("\n"))
    elif as_json:
        form = answer_format(found.template) if found.template else None
        print_json({**found.as_json(), "answer_format": form and in_words(form)})
    else:
        _print(found)


def describe_model(name: str, config: ServeConfig) -> Description:
    """Raises ModelNotFoundError or ModelLoadError."""
    directory = config.models_dir.expanduser().absolute()
    path = find_local(name, directory, load_gallery())
    return describe_file(path, engine_config(config, ModelFile(path.stem, path), 1))


def _print(found: Description) -> None:
    click.echo(f"{found.path}")
    click.echo(f"  {format_bytes(found.n_bytes)}, {found.n_params / 1e6:,.1f}M parameters\n")
    for key, value in found.metadata.items():
        click.echo(f"  {key} = {_shown(value)}")
    click.echo("\nTensors")
    for name, (count, n_bytes) in found.tensors.items():
        click.echo(f"  {name:8} {count:6}  {format_bytes(n_bytes):>10}")
    click.echo("\nChat template")
    for line in (found.template or "none").splitlines():
        click.echo(f"  {line}")
    form = answer_format(found.template) if found.template else None
    if form is not None:
        click.echo(f"\nFormat of answers\n  {in_words(form)}")
    click.echo("\nMemory by context       weights   KV cache    compute      total")
    for n_ctx, need in found.memory.items():
        sizes = (need.weights, need.kv, need.compute, need.total)
        columns = "".join(f"{format_bytes(n_bytes):>11}" for n_bytes in sizes)
        click.echo(f"  {n_ctx:9,} tokens  {columns}")


def _shown(value: AnyValue) -> str:
    """A value on one line."""
    if isinstance(value, LongArray):
        return f"[{value.n:,} elements]"
    if isinstance(value, list):
        more = ", ..." if len(value) > MAX_ELEMENTS else ""
        return "[" + ", ".join(map(_shown, value[:MAX_ELEMENTS])) + more + "]"
    if isinstance(value, str):
        more = " ..." if len(value) > MAX_TEXT_CHARS else ""
        return json.dumps(value[:MAX_TEXT_CHARS], ensure_ascii=False) + more
    return str(value)
