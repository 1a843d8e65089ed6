"""Executes a parsed template on data, within limits of steps, output and depth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyserve.models.templates.go.arguments import FunctionError
from pyserve.models.templates.go.errors import TemplateError
from pyserve.models.templates.go.functions import FUNCTIONS
from pyserve.models.templates.go.marked import Marked, Run, joined
from pyserve.models.templates.go.nodes import (
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Function,
    Jump,
    Literal,
    Nodes,
    Operand,
    Output,
    Pipeline,
    Template,
    TextNode,
    Variable,
)
from pyserve.models.templates.go.values import field_of, is_true, printed, sorted_items

MAX_STEPS = 200_000
MAX_OUTPUT_CHARS = 4 * 1024 * 1024
MAX_CALLS = 32


def render(template: Template, data: Mapping[str, Any]) -> Marked:
    """The template's text for `data`, in which strings of users are `user_text`.

    Raises TemplateError: a function fails, or the text takes too much work or space.
    """
    run = _Run(template)
    try:
        run.nodes(template.nodes, dict(data), {"$": dict(data)})
    except _Jumped as jump:
        raise TemplateError(template.name, 1, f"{jump} outside of range") from jump
    except RecursionError as error:
        raise TemplateError(template.name, 1, "is nested too deep") from error
    return joined(run.runs)


class _Jumped(Exception):
    """break or continue, raised up to its range."""


class _Run:
    """One rendering."""

    def __init__(self, template: Template) -> None:
        self.runs: list[Run] = []
        self._template = template
        self._n_steps = 0
        self._n_chars = 0
        self._n_calls = 0
        self._line = 1

    def nodes(self, nodes: Nodes, dot: Any, variables: dict[str, Any]) -> None:
        scope = _Scope(variables)
        for node in nodes:
            self._step()
            match node:
                case TextNode(text=text):
                    self._write([(text, False)])
                case Output(pipeline=pipeline):
                    value = self._pipeline(pipeline, dot, scope)
                    if not pipeline.variables:
                        self._write(printed(value).runs)
                case Branch():
                    self._branch(node, dot, scope)
                case Jump(kind=kind):
                    raise _Jumped(kind)
                case Call():
                    self._call(node, dot, scope)

    def _branch(self, node: Branch, dot: Any, outer: _Scope) -> None:
        scope = _Scope(outer)
        value = self._pipeline(node.pipeline, dot, scope, is_range=node.kind == "range")
        if node.kind == "range":
            self._range(node, value, dot, scope)
        elif is_true(value):
            self.nodes(node.body, value if node.kind == "with" else dot, scope)
        else:
            self.nodes(node.otherwise, dot, scope)

    def _range(self, node: Branch, value: Any, dot: Any, outer: _Scope) -> None:
        items = self._items(value)
        if not items:
            self.nodes(node.otherwise, dot, outer)
            return
        names = node.pipeline.variables
        for key, item in items:
            self._step()
            scope = _Scope(outer)
            bound = (key, item) if len(names) > 1 else (item,)
            for name, one in zip(names, bound, strict=False):
                scope.declare(name, one)
            try:
                self.nodes(node.body, item, scope)
            except _Jumped as jump:
                if str(jump) == "break":
                    return

    def _items(self, value: Any) -> list[tuple[Any, Any]]:
        if isinstance(value, dict):
            return sorted_items(value)
        if isinstance(value, list | tuple):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            if value > MAX_STEPS:
                raise self._error(f"range over {value:,} is more than {MAX_STEPS:,} steps")
            return [(i, i) for i in range(value)]
        if value is None:
            return []
        raise self._error("range needs a list, a map or a number")

    def _call(self, node: Call, dot: Any, scope: _Scope) -> None:
        self._line = node.line
        nodes = self._template.defined.get(node.name)
        if nodes is None:
            raise self._error(f"there is no template {node.name!r}")
        self._n_calls += 1
        if self._n_calls > MAX_CALLS:
            raise self._error(f"more than {MAX_CALLS} templates call each other")
        value = None if node.pipeline is None else self._pipeline(node.pipeline, dot, scope)
        self.nodes(nodes, value, _Scope({"$": value}))
        self._n_calls -= 1

    def _pipeline(
        self, pipeline: Pipeline, dot: Any, scope: _Scope, *, is_range: bool = False
    ) -> Any:
        self._line = pipeline.line
        value: Any = None
        for i, command in enumerate(pipeline.commands):
            value = self._command(command, dot, scope, (value,) if i else ())
        if not is_range:
            for name in pipeline.variables:
                if pipeline.declares:
                    scope.declare(name, value)
                else:
                    scope.assign(name, value)
        return value

    def _command(self, command: Command, dot: Any, scope: _Scope, piped: tuple[Any, ...]) -> Any:
        self._step()
        first, *rest = command.operands
        if not isinstance(first, Function):
            if piped:
                raise self._error("only a function can take a piped value")
            return self._operand(first, dot, scope)
        if first.name in ("and", "or"):
            return self._shortcut(first.name == "and", rest, dot, scope, piped)
        args = [self._operand(operand, dot, scope) for operand in rest]
        return self._function(first.name, [*args, *piped])

    def _shortcut(
        self, stops_at_false: bool, operands: Iterable[Operand], dot: Any, scope: _Scope, piped: Any
    ) -> Any:
        """Evaluates and, or: the first value that decides, else the last."""
        value: Any = None
        for operand in operands:
            value = self._operand(operand, dot, scope)
            if is_true(value) is not stops_at_false:
                return value
        return piped[0] if piped else value

    def _function(self, name: str, args: list[Any]) -> Any:
        try:
            value = FUNCTIONS[name](*args)
        except FunctionError as error:
            raise self._error(f"{name}: {error}") from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise self._error(f"{name} cannot be called with these arguments") from error
        if isinstance(value, str | list) and len(value) > MAX_OUTPUT_CHARS:
            raise self._error(f"{name} makes more than {MAX_OUTPUT_CHARS:,} characters")
        return value

    def _operand(self, operand: Operand, dot: Any, scope: _Scope) -> Any:
        match operand:
            case Literal(value=value):
                return value
            case Dot():
                return dot
            case Variable(name=name):
                return scope.find(name)
            case Chain(base=base, fields=fields):
                value = self._operand(base, dot, scope)
                for name in fields:
                    value = field_of(value, name)
                return value
            case Function(name=name):
                return self._function(name, [])
            case Pipeline():
                return self._pipeline(operand, dot, scope)

    def _write(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._n_chars += len(run[0])
            if self._n_chars > MAX_OUTPUT_CHARS:
                raise self._error(f"makes more than {MAX_OUTPUT_CHARS:,} characters")
            self.runs.append(run)

    def _step(self) -> None:
        self._n_steps += 1
        if self._n_steps > MAX_STEPS:
            raise self._error(f"takes more than {MAX_STEPS:,} steps")

    def _error(self, problem: str) -> TemplateError:
        return TemplateError(self._template.name, self._line, problem)


class _Scope(dict[str, Any]):
    """Variables of a block; looks up and sets those of enclosing blocks too."""

    def __init__(self, outer: dict[str, Any]) -> None:
        super().__init__()
        self._outer = outer

    def declare(self, name: str, value: Any) -> None:
        self[name] = value

    def find(self, name: str) -> Any:
        if name in self:
            return self[name]
        return self._outer.find(name) if isinstance(self._outer, _Scope) else self._outer[name]

    def assign(self, name: str, value: Any) -> None:
        if name in self or not isinstance(self._outer, _Scope):
            self[name] = value
        else:
            self._outer.assign(name, value)
