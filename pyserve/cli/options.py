"""Makes the options of `pyserve serve` and `docs/options.md` from the fields of `ServeConfig`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyserve.config import ENV_PREFIX, Option, serve_options

ARGUMENT = "models"  # positional
HEADING = """# Options

Generated from `ServeConfig` by `make options`; do not edit it.

Each option of `pyserve serve` is also a variable of the environment: `--ctx-size` is
`PYSERVE_CTX_SIZE`; lists are separated by commas there. It can also stand in a file in TOML, as
`ctx_size = 4096` or `api_key = ["a", "b"]`: `~/.config/pyserve/pyserve.toml`, or the one that
`--config FILE` or `PYSERVE_CONFIG` names. The command line wins over the environment, and that over
the file; `pyserve config` shows each value and where it comes from. What a model's own file says
([models](models.md)) wins over all.

| option | default | |
| --- | --- | --- |
"""


config_file_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML file of settings [default: $PYSERVE_CONFIG, or ~/.config/pyserve/pyserve.toml].",
)


def with_options(command: Any) -> Any:
    """The command with an option for each setting, in the order of their declaration."""
    for option in reversed(serve_options()):
        if option.name != ARGUMENT:
            command = click_option(option)(command)
    return command


def given_options(models: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """What the command line gives, by the names of the settings."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if len(models) == 1 and Path(models[0]).is_dir():
        given.setdefault("models_dir", models[0])
    elif models:
        given["models"] = list(models)
    return given


def click_option(option: Option) -> Any:
    """The click option of a setting; None when not given, so that environment and default count."""
    default = _default(option)
    about = _about(option) + ("" if default in ("none", "off") else f" [default: {default}]")
    settings: dict[str, Any] = {"help": about.replace("`", ""), "default": None}
    if option.kind is bool:
        settings["is_flag"] = True
    elif _is_repeated(option):
        settings["multiple"] = True
    elif option.kind in (int, float):
        settings["type"] = option.kind
    if option.info["metavar"]:
        settings["metavar"] = option.info["metavar"]
    return click.option(*_flags(option), option.name, **settings)


def options_page() -> str:
    """`docs/options.md`."""
    return HEADING + "".join(
        f"| {_shown_flags(option)} | {_default(option)} | {_about(option)} |\n"
        for option in serve_options()
    )


def _about(option: Option) -> str:
    return option.about + (" May be repeated." if _is_repeated(option) else "")


def _shown_flags(option: Option) -> str:
    if option.name == ARGUMENT:
        return f"`MODEL ...` (`{ENV_PREFIX}MODELS`)"
    flags = ", ".join(f"`{part}`" for flag in _flags(option) for part in flag.split("/"))
    metavar = option.info["metavar"]
    return f"{flags} `{metavar}`" if metavar else flags


def _flags(option: Option) -> tuple[str, ...]:
    return option.info["flags"] or ("--" + option.name.replace("_", "-"),)


def _default(option: Option) -> str:
    """The default as people write it."""
    value = option.default
    if option.info["default_text"]:
        return option.info["default_text"]
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value == []:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_repeated(option: Option) -> bool:
    return option.kind is list and option.name != ARGUMENT and not option.info["is_one_text"]


if __name__ == "__main__":
    click.echo(options_page(), nl=False)
