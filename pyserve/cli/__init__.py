"""The command line; commands are imported on use, so that `--help` is fast."""

from __future__ import annotations

import importlib
import io
import sys

import click

from pyserve import __version__
from pyserve.spelling import did_you_mean

# name -> (module, attribute, help)
COMMANDS = {
    "serve": ("pyserve.cli.serve", "serve", "Serve models over the OpenAI API."),
    "run": ("pyserve.cli.run.chat", "run", "Chat with a model in the terminal."),
    "pull": ("pyserve.cli.models", "pull", "Get a model by gallery name, repository, URL or file."),
    "ps": ("pyserve.cli.control", "ps", "Show running servers and their models."),
    "load": ("pyserve.cli.control", "load", "Load a model of a running server."),
    "unload": ("pyserve.cli.control", "unload", "Unload a model of a running server."),
    "stop": ("pyserve.cli.control", "stop", "Stop a server."),
    "logs": ("pyserve.cli.control", "logs", "Show the log of a server."),
    "batch": ("pyserve.cli.batch", "batch", "Answer a file of requests, and go on after a kill."),
    "bench": ("pyserve.cli.bench", "bench", "Measure how fast a model answers here."),
    "doctor": ("pyserve.cli.doctor.command", "doctor", "Look at this machine, say what to change."),
    "config": ("pyserve.cli.settings", "config", "Show the settings and where they come from."),
    "rm": ("pyserve.cli.models", "rm", "Remove models from the models directory."),
    "check": ("pyserve.cli.check", "check", "Say what is made of a models directory."),
    "render": ("pyserve.cli.render", "render", "Show the prompts that a model's templates make."),
    "info": ("pyserve.cli.info", "info", "Describe a model file and the memory it takes."),
    "convert": ("pyserve.cli.convert", "convert", "Convert a GGML, GGMF or GGJT file to GGUF."),
    "quantize": ("pyserve.cli.quantize", "quantize", "Write a model with smaller weights."),
    "cache": ("pyserve.cli.cache", "cache", "Computed prefixes on disk: ls, clear, warm."),
    "cluster": ("pyserve.cli.cluster", "cluster", "Serve models on several machines."),
    "models": ("pyserve.cli.models", "models", "List local models and the gallery."),
}
# What other programs call them.
OTHER_NAMES = {
    "chat": "run",
    "delete": "rm",
    "download": "pull",
    "get": "pull",
    "help": "--help",
    "list": "models",
    "ls": "models",
    "remove": "rm",
    "server": "serve",
    "show": "info",
    "start": "serve",
    "status": "ps",
    "version": "--version",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            other = OTHER_NAMES.get(cmd_name)
            hint = f"did you mean {other}?" if other else did_you_mean(cmd_name, COMMANDS)
            raise click.UsageError(
                f"there is no command {cmd_name!r}: {hint or '`pyserve --help` lists them'}"
            )
        module, attribute, _help = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="pyserve")
def main() -> None:
    """Serve GGUF language models on CPUs through the OpenAI text API."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a locale cannot show is no error
            stream.reconfigure(errors="backslashreplace")
