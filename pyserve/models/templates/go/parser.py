"""Parser: from the texts and actions of a template to its syntax tree.

Everything is checked here that can be known without data: functions, variables, ends of blocks.
"""

from __future__ import annotations

from pyserve.models.templates.go.lexer import Action, Text, Token, lex
from pyserve.models.templates.go.nodes import (
    Branch,
    Call,
    Jump,
    Node,
    Nodes,
    Output,
    Template,
    TextNode,
)
from pyserve.models.templates.go.pipelines import MAX_DEPTH, PipelineParser

BLOCKS = ("if", "with", "range")


def parse(name: str, source: str) -> Template:
    """The template. Raises TemplateError that names the line."""
    return _Parser(name, lex(name, source)).parse()


class _Parser:
    """Walks the parts once."""

    def __init__(self, name: str, parts: list[Text | Action]) -> None:
        self._name = name
        self._parts = parts
        self._pos = 0
        self._pipelines = PipelineParser(name)
        self._defined: dict[str, Nodes] = {}

    def parse(self) -> Template:
        nodes, end = self._nodes(())
        if end is not None:
            raise self._pipelines.error(end.line, f"{end.tokens[0].value} without a block")
        return Template(self._name, nodes, self._defined)

    def _nodes(self, ends: tuple[str, ...]) -> tuple[Nodes, Action | None]:
        """Nodes up to an action of `ends`, else to the end of the template."""
        self._pipelines.depth += 1
        if self._pipelines.depth > MAX_DEPTH:
            raise self._pipelines.error(1, f"blocks are nested more than {MAX_DEPTH} deep")
        n_variables = len(self._pipelines.variables)
        nodes: list[Node] = []
        end: Action | None = None
        while self._pos < len(self._parts) and end is None:
            part = self._parts[self._pos]
            self._pos += 1
            if isinstance(part, Text):
                nodes.append(TextNode(part.text))
                continue
            word = _word(part)
            if word in ("end", "else"):
                if word not in ends:
                    raise self._pipelines.error(part.line, f"unexpected {word}")
                end = part
            elif word == "define":
                self._define(part)
            else:
                nodes.append(self._node(word, part))
        if end is None and ends:
            raise self._pipelines.error(self._last_line(), "a block has no end")
        del self._pipelines.variables[n_variables:]
        self._pipelines.depth -= 1
        return tuple(nodes), end

    def _node(self, word: str, action: Action) -> Node:
        if word in BLOCKS:
            return self._branch(word, action.tokens[1:], action.line)
        if word in ("break", "continue") and len(action.tokens) == 1:
            return Jump(word, action.line)
        if word in ("template", "block"):
            return self._call(word, action)
        return Output(self._pipelines.pipeline(action.tokens, action.line))

    def _branch(self, kind: str, tokens: tuple[Token, ...], line: int) -> Branch:
        n_variables = len(self._pipelines.variables)
        pipeline = self._pipelines.pipeline(tokens, line, is_range=kind == "range")
        body, end = self._nodes(("end", "else"))
        otherwise: Nodes = ()
        if end is not None and _word(end) == "else":
            rest = end.tokens[1:]
            if rest and rest[0].value in ("if", "with") and kind != "range":
                self._pipelines.depth += 1
                otherwise = (self._branch(rest[0].value, rest[1:], end.line),)
                self._pipelines.depth -= 1
            elif rest:
                raise self._pipelines.error(end.line, f"unexpected {rest[0].value} behind else")
            else:
                otherwise, _ = self._nodes(("end",))
        del self._pipelines.variables[n_variables:]
        return Branch(kind, pipeline, body, otherwise)

    def _define(self, action: Action) -> None:
        name = self._template_name(action)
        self._defined[name], _ = self._nodes(("end",))

    def _call(self, word: str, action: Action) -> Call:
        name = self._template_name(action)
        rest = action.tokens[2:]
        pipeline = self._pipelines.pipeline(rest, action.line) if rest else None
        if word == "block":
            self._define(action)
        return Call(name, pipeline, action.line)

    def _template_name(self, action: Action) -> str:
        if len(action.tokens) < 2 or action.tokens[1].kind != "string":  # noqa: PLR2004
            raise self._pipelines.error(
                action.line, f"{action.tokens[0].value} needs a name in quotes"
            )
        return action.tokens[1].value

    def _last_line(self) -> int:
        return self._parts[-1].line if self._parts else 1


def _word(action: Action) -> str:
    """The first word of an action."""
    first = action.tokens[0] if action.tokens else None
    return first.value if first is not None and first.kind == "name" else ""
