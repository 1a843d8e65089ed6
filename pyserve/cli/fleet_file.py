"""The file of `pyserve cluster deploy FILE`: the models that a cluster is to run, as YAML.

threads: 4                       # of all models
models:
- model: smollm2-135m-instruct
  replicas: 2
- model: gemma-3-270m
  replicas: 0
  max_replicas: 3
  ctx_size: 8192
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pyserve.cli.deployment import is_of_replicas, plan_wishes, version_of
from pyserve.cluster.app import Wish
from pyserve.config import ServeConfig, read_config
from pyserve.errors import InvalidRequestError, PyserveError, from_info
from pyserve.models.localai.yaml_file import MAX_BYTES, Document, YamlError, read_yaml
from pyserve.spelling import did_you_mean

SUFFIXES = (".yaml", ".yml")
MOST = 4096


class Entry(NamedTuple):
    """One model. where: its place in the file. wished: fields of `Wish`; settings: of engines."""

    where: str
    model: str
    wished: dict[str, Any]
    settings: dict[str, Any]


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _switch(value: Any) -> bool:
    return isinstance(value, bool)


# By the name in the file: the field of `Wish`, what it may be, and how that is said.
WISHED: Mapping[str, tuple[str, Callable[[Any], bool], str]] = {
    "replicas": ("n_replicas", _count, f"a number from 0 to {MOST}"),
    "max_replicas": ("n_most", _count, f"a number from 0 to {MOST}"),
    "idle_s": ("idle_s", _seconds, "a number of seconds"),
    "per_node": ("per_node", _count, f"a number from 0 to {MOST}"),
    "surge": ("surge", _switch, "true or false"),
}


def is_fleet_file(name: str) -> bool:
    """Whether an argument of `deploy` names such a file, and not a model."""
    return name.endswith(SUFFIXES)


def read_fleet(path: Path) -> list[Entry]:
    """The models of a file. Raises InvalidRequestError with the line of what is wrong."""
    document = _document(path)
    try:
        return _entries(document, path)
    except YamlError as error:
        raise InvalidRequestError(f"{path}:{error.line}: {error.problem}") from None


def _entries(document: Document, path: Path) -> list[Entry]:
    """Raises YamlError."""
    if document.repeated:
        place = document.repeated[0]
        raise YamlError(document.line(place), f"{place[-1]!r} is there twice")
    if not isinstance(document.value, dict):
        raise YamlError(1, "the file has no `models`")
    common = {name: value for name, value in document.value.items() if name != "models"}
    models = document.value.get("models")
    if not isinstance(models, list) or not models:
        raise YamlError(document.line(("models",)), "`models` is a list of at least one model")
    entries = []
    for n, fields in enumerate(models):
        line = document.line(("models", n))
        if not isinstance(fields, dict) or not isinstance(fields.get("model"), str):
            raise YamlError(line, "each of the models has a `model`: its name or file")
        wished: dict[str, Any] = {}
        settings: dict[str, Any] = {}
        for name, value in (common | fields).items():
            place = ("models", n, name) if name in fields else (name,)
            if name != "model":
                _take(name, value, document.line(place), wished, settings)
        if 0 < wished.get("n_most", 0) < wished.get("n_replicas", 1):
            raise YamlError(line, "max_replicas is less than replicas")
        entries.append(Entry(f"{path}:{line}", fields["model"], wished, settings))
    return entries


def _take(
    name: str, value: Any, line: int, wished: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Put a value where it belongs. Raises YamlError."""
    if name in WISHED:
        field, is_right, how = WISHED[name]
        if not is_right(value):
            raise YamlError(line, f"{name} is {how}, not {value!r}")
        wished[field] = value
    elif name in ServeConfig.model_fields and is_of_replicas(name):
        settings[name] = value
    else:
        raise YamlError(line, _unknown(name))


def plan_fleet(path: Path, given: dict[str, Any], config_file: Path | None) -> list[Wish]:
    """The wishes of a file; those that are as before keep their replicas.

    given: settings of the command line, which win. Raises PyserveError.
    """
    wishes: dict[str, Wish] = {}
    for entry in read_fleet(path):
        try:
            config = read_config(entry.settings | given, config_file)
            (wish,) = plan_wishes(config, [entry.model], **entry.wished)
        except PyserveError as error:
            info = error.to_info()
            message = f"{entry.where}: {info.message}"
            raise from_info(msgspec.structs.replace(info, message=message)) from None
        if wish.model_id in wishes:
            raise InvalidRequestError(f"{entry.where}: {wish.model_id} is there twice")
        wishes[wish.model_id] = msgspec.structs.replace(wish, version=version_of(wish))
    return list(wishes.values())


def _document(path: Path) -> Document:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRequestError(f"{path}: the file is larger than {MAX_BYTES:,} bytes")
        documents = read_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{path} cannot be read: {error}") from None
    except YamlError as error:
        raise InvalidRequestError(f"{path}:{error.line}: {error.problem}") from None
    if len(documents) != 1:
        raise InvalidRequestError(f"{path} has {len(documents)} documents, one is wanted")
    return documents[0]


def _unknown(name: str) -> str:
    if name in ServeConfig.model_fields:
        return f"{name} is a setting of `pyserve serve`, not of its engines"
    known = [each for each in ServeConfig.model_fields if is_of_replicas(each)]
    hint = did_you_mean(name, [*WISHED, *known])
    return f"there is no setting {name!r}" + (f"; {hint}" if hint else "")
