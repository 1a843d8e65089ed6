"""Reads bounded YAML into plain values, with the line number of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml  # type: ignore[import-untyped]

MAX_BYTES = 1 << 20
MAX_EVENTS = 100_000
MAX_NODES = 100_000  # after aliases were followed
MAX_DEPTH = 32
MAX_ALIASES = 256

Path = tuple[str | int, ...]
_TAG = "tag:yaml.org,2002:"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(Exception):
    """The text is not the YAML that is read here; the message has no line."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


@dataclass
class Document:
    """One document: dicts, lists and scalars. lines: of each key and item, by its path.

    texts: of the scalars that are no strings, with their values. repeated: keys that a mapping has
    twice; the last one counts.
    """

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, tuple[Any, str]] = field(default_factory=dict)
    repeated: list[Path] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a path, or of what it is in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def text(self, path: Path, value: Any) -> Any:
        """The scalar `value` at a path as it is written, if it is no string; else the value."""
        known, text = self.texts.get(path, (None, ""))
        return text if known is value and known is not None else value


def read_yaml(text: str) -> list[Document]:
    """The documents of a text; empty ones are left out.

    Raises YamlError for what is no YAML, for tags that make objects, and beyond the limits.
    """
    n_bytes = len(text.encode())
    if n_bytes > MAX_BYTES:
        raise YamlError(1, f"the file has {n_bytes:,} bytes, at most {MAX_BYTES:,}")
    try:
        _check_events(text)
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "is no YAML"
        raise YamlError(1 if mark is None else mark.line + 1, problem) from error
    except yaml.YAMLError as error:
        raise YamlError(1, str(error).splitlines()[0]) from error
    documents = [_Reader().read(node) for node in nodes if node is not None]
    return [document for document in documents if document.value is not None]


def _check_events(text: str) -> None:
    """Refuses deep nesting and many aliases before any recursion over the document."""
    depth = n_aliases = 0
    for n_events, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            n_aliases += 1
        if depth > MAX_DEPTH:
            raise YamlError(line, f"values are nested more than {MAX_DEPTH} deep")
        if n_aliases > MAX_ALIASES or n_events > MAX_EVENTS:
            raise YamlError(line, "the file has too many values")


class _Reader:
    """Builds one document from its YAML nodes."""

    def __init__(self) -> None:
        self._scalars = yaml.constructor.SafeConstructor()
        self._n_nodes = 0
        self._within: set[int] = set()

    def read(self, node: Any) -> Document:
        self._document = Document(None)
        self._document.lines[()] = node.start_mark.line + 1
        self._document.value = self._value(node, ())
        return self._document

    def _value(self, node: Any, path: Path) -> Any:
        self._n_nodes += 1
        line = node.start_mark.line + 1
        if self._n_nodes > MAX_NODES:
            raise YamlError(line, "the aliases of the file make too many values")
        if id(node) in self._within or len(path) > MAX_DEPTH:
            raise YamlError(line, "a value is a part of itself")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (_TAG + "map", _TAG + "seq", _TAG + "omap", _TAG + "set"):
            raise YamlError(line, f"the tag {node.tag} is not allowed")
        self._within.add(id(node))
        value: Any
        if isinstance(node, yaml.SequenceNode):
            value = []
            for i, item in enumerate(node.value):
                self._document.lines[(*path, i)] = item.start_mark.line + 1
                value.append(self._value(item, (*path, i)))
        else:
            value = self._mapping(node, path)
        self._within.discard(id(node))
        return value

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                for base in self._merged(value_node, path):
                    merged = {**base, **merged}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError(key_node.start_mark.line + 1, "a key must be a word")
            key = str(key_node.value)
            if key in own:
                self._document.repeated.append((*path, key))
            self._document.lines[(*path, key)] = key_node.start_mark.line + 1
            own[key] = self._value(value_node, (*path, key))
        return {**merged, **own}

    def _merged(self, node: Any, path: Path) -> Iterator[dict[str, Any]]:
        for base in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(base, yaml.MappingNode):
                raise YamlError(base.start_mark.line + 1, "<< needs a mapping")
            value = self._value(base, path)
            assert isinstance(value, dict), "a mapping node gives a dict"
            yield value

    def _scalar(self, node: Any, path: Path) -> Any:
        if not node.tag.startswith(_TAG):
            raise YamlError(node.start_mark.line + 1, f"the tag {node.tag} is not allowed")
        kind = node.tag.removeprefix(_TAG)
        if kind not in ("null", "bool", "int", "float"):
            return str(node.value)
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, KeyError, yaml.YAMLError):
            return str(node.value)
        self._document.texts[path] = (value, str(node.value))
        return value
