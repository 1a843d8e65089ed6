"""The command line; commands are imported on use, so that `--help` is fast."""

from __future__ import annotations

import difflib
import importlib

import click

from pyserve import __version__

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


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            raise click.UsageError(
                f"there is no command {cmd_name!r}" + (f": did you mean {near[0]}?" if near else "")
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
