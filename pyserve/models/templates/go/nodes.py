"""Syntax tree of a template. Immutable."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Literal:
    """A string, number, boolean or nil."""

    value: object


@dataclass(frozen=True)
class Dot:
    """The value that `.` is."""


@dataclass(frozen=True)
class Variable:
    """`$name`; `$` alone is the data the template was given."""

    name: str


@dataclass(frozen=True)
class Chain:
    """Fields of a value: `.A.B`, `$x.A`, `(index .A 0).B`."""

    base: Operand
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """The name of a function."""

    name: str


@dataclass(frozen=True)
class Command:
    """A value, or a function and its arguments."""

    operands: tuple[Operand, ...]
    line: int


@dataclass(frozen=True)
class Pipeline:
    """Commands; the result of each is the last argument of the next.

    variables: that get the value. declares: they are new (`:=`).
    """

    commands: tuple[Command, ...]
    line: int
    variables: tuple[str, ...] = ()
    declares: bool = True


Operand = Literal | Dot | Variable | Chain | Function | Pipeline


@dataclass(frozen=True)
class TextNode:
    text: str


@dataclass(frozen=True)
class Output:
    """A pipeline whose value is printed, unless it sets a variable."""

    pipeline: Pipeline


@dataclass(frozen=True)
class Branch:
    """if, with or range. Several variables are for range alone."""

    kind: str
    pipeline: Pipeline
    body: Nodes
    otherwise: Nodes


@dataclass(frozen=True)
class Jump:
    """break or continue of the innermost range."""

    kind: str
    line: int


@dataclass(frozen=True)
class Call:
    """Another template of the same source: `{{template "name" pipeline}}`."""

    name: str
    pipeline: Pipeline | None
    line: int


Node = TextNode | Output | Branch | Jump | Call
Nodes = tuple[Node, ...]


@dataclass(frozen=True)
class Template:
    """A parsed template, and those that it defines."""

    name: str
    nodes: Nodes
    defined: dict[str, Nodes] = field(default_factory=dict)
