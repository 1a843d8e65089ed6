"""From the parts of a template to its tree.

Everything is checked here that can be known without data: functions, variables, ends of blocks.
"""

from __future__ import annotations

from pyserve.models.gotemplate.errors import TemplateError
from pyserve.models.gotemplate.functions import FUNCTIONS
from pyserve.models.gotemplate.lexer import Action, Text, Token, lex
from pyserve.models.gotemplate.nodes import (
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Function,
    Jump,
    Literal,
    Node,
    Nodes,
    Operand,
    Output,
    Pipeline,
    Template,
    TextNode,
    Variable,
)

MAX_DEPTH = 64
CONSTANTS = {"true": True, "false": False, "nil": None}
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
        self._depth = 0
        self._variables = ["$"]
        self._defined: dict[str, Nodes] = {}

    def parse(self) -> Template:
        nodes, end = self._nodes(())
        if end is not None:
            raise self._error(end.line, f"{end.tokens[0].value} without a block")
        return Template(self._name, nodes, self._defined)

    def _nodes(self, ends: tuple[str, ...]) -> tuple[Nodes, Action | None]:
        """Nodes up to an action of `ends`, else to the end of the template."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(1, f"blocks are nested more than {MAX_DEPTH} deep")
        n_variables = len(self._variables)
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
                    raise self._error(part.line, f"unexpected {word}")
                end = part
            elif word == "define":
                self._define(part)
            else:
                nodes.append(self._node(word, part))
        if end is None and ends:
            raise self._error(self._last_line(), "a block has no end")
        del self._variables[n_variables:]
        self._depth -= 1
        return tuple(nodes), end

    def _node(self, word: str, action: Action) -> Node:
        if word in BLOCKS:
            return self._branch(word, action.tokens[1:], action.line)
        if word in ("break", "continue") and len(action.tokens) == 1:
            return Jump(word, action.line)
        if word in ("template", "block"):
            return self._call(word, action)
        return Output(self._pipeline(action.tokens, action.line))

    def _branch(self, kind: str, tokens: tuple[Token, ...], line: int) -> Branch:
        n_variables = len(self._variables)
        pipeline = self._pipeline(tokens, line, is_range=kind == "range")
        body, end = self._nodes(("end", "else"))
        otherwise: Nodes = ()
        if end is not None and _word(end) == "else":
            rest = end.tokens[1:]
            if rest and rest[0].value in ("if", "with") and kind != "range":
                self._depth += 1
                otherwise = (self._branch(rest[0].value, rest[1:], end.line),)
                self._depth -= 1
            elif rest:
                raise self._error(end.line, f"unexpected {rest[0].value} behind else")
            else:
                otherwise, _ = self._nodes(("end",))
        del self._variables[n_variables:]
        return Branch(kind, pipeline, body, otherwise)

    def _define(self, action: Action) -> None:
        name = self._template_name(action)
        self._defined[name], _ = self._nodes(("end",))

    def _call(self, word: str, action: Action) -> Call:
        name = self._template_name(action)
        rest = action.tokens[2:]
        pipeline = self._pipeline(rest, action.line) if rest else None
        if word == "block":
            self._define(action)
        return Call(name, pipeline, action.line)

    def _template_name(self, action: Action) -> str:
        if len(action.tokens) < 2 or action.tokens[1].kind != "string":  # noqa: PLR2004
            raise self._error(action.line, f"{action.tokens[0].value} needs a name in quotes")
        return action.tokens[1].value

    def _pipeline(
        self, tokens: tuple[Token, ...], line: int, *, is_range: bool = False
    ) -> Pipeline:
        reader = _Reader(tokens, line)
        variables, declares = self._assignment(reader, is_range)
        commands = self._commands(reader, line)
        if reader.token is not None:
            raise self._error(reader.line, f"unexpected {reader.token.value!r}")
        if declares:
            self._variables += variables
        return Pipeline(commands, line, tuple(variables), declares)

    def _assignment(self, reader: _Reader, is_range: bool) -> tuple[list[str], bool]:
        """The variables before := or =, if these come first."""
        names, tokens = [], reader.tokens
        pos = 0
        while pos < len(tokens) and tokens[pos].kind == "variable":
            names.append(tokens[pos].value)
            pos += 1
            if not (is_range and pos < len(tokens) and tokens[pos].value == ","):
                break
            pos += 1
        if not names or pos >= len(tokens) or tokens[pos].kind != "sign":
            return [], True
        if tokens[pos].value not in (":=", "="):
            return [], True
        declares = tokens[pos].value == ":="
        if not declares:
            for name in names:
                self._check_variable(name, tokens[pos].line)
        reader.pos = pos + 1
        return names, declares

    def _commands(self, reader: _Reader, line: int) -> tuple[Command, ...]:
        commands = [self._command(reader, line)]
        while reader.take("|"):
            commands.append(self._command(reader, line))
            first = commands[-1].operands[0]
            if isinstance(first, Literal):
                raise self._error(reader.line, "a value cannot take another one in a pipeline")
        return tuple(commands)

    def _command(self, reader: _Reader, line: int) -> Command:
        operands: list[Operand] = []
        while reader.token is not None and reader.token.value not in ("|", ")"):
            operands.append(self._operand(reader))
        if not operands:
            raise self._error(reader.line, "a value is missing")
        if len(operands) > 1 and not isinstance(operands[0], Function):
            raise self._error(reader.line, "only functions take arguments")
        return Command(tuple(operands), line)

    def _operand(self, reader: _Reader) -> Operand:
        token = reader.next()
        base: Operand
        match token.kind:
            case "string":
                base = Literal(token.value)
            case "char":
                base = Literal(ord(token.value[0]))
            case "number":
                base = Literal(_number(token.value))
            case "variable":
                self._check_variable(token.value, token.line)
                base = Variable(token.value)
            case "field":
                base = Chain(Dot(), (token.value,))
            case "name":
                base = self._name_operand(token)
            case _ if token.value == ".":
                base = Dot()
            case _ if token.value == "(":
                base = self._parenthesis(reader, token)
            case _:
                raise self._error(token.line, f"unexpected {token.value!r}")
        return _with_fields(base, reader)

    def _name_operand(self, token: Token) -> Operand:
        if token.value in CONSTANTS:
            return Literal(CONSTANTS[token.value])
        if token.value not in FUNCTIONS:
            raise self._error(token.line, f"there is no function {token.value!r}")
        return Function(token.value)

    def _parenthesis(self, reader: _Reader, token: Token) -> Pipeline:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(token.line, f"parentheses are nested more than {MAX_DEPTH} deep")
        commands = self._commands(reader, token.line)
        if not reader.take(")"):
            raise self._error(reader.line, "a ) is missing")
        self._depth -= 1
        return Pipeline(commands, token.line)

    def _check_variable(self, name: str, line: int) -> None:
        if name not in self._variables:
            raise self._error(line, f"there is no variable {name}")

    def _last_line(self) -> int:
        return self._parts[-1].line if self._parts else 1

    def _error(self, line: int, problem: str) -> TemplateError:
        return TemplateError(self._name, line, problem)


class _Reader:
    """The tokens of one action, one after another."""

    def __init__(self, tokens: tuple[Token, ...], line: int) -> None:
        self.tokens = tokens
        self.pos = 0
        self._line = line

    @property
    def token(self) -> Token | None:
        return self.tokens[self.pos] if self.pos < len(self.tokens) else None

    @property
    def line(self) -> int:
        return self.tokens[min(self.pos, len(self.tokens) - 1)].line if self.tokens else self._line

    def next(self) -> Token:
        token = self.tokens[self.pos]
        self.pos += 1
        return token

    def take(self, sign: str) -> bool:
        token = self.token
        if token is None or token.kind != "sign" or token.value != sign:
            return False
        self.pos += 1
        return True


def _with_fields(base: Operand, reader: _Reader) -> Operand:
    """`base` with the fields that follow it without a space."""
    fields: list[str] = []
    while (token := reader.token) is not None and token.kind == "field" and token.is_close:
        fields.append(reader.next().value)
    if not fields:
        return base
    if isinstance(base, Chain):
        return Chain(base.base, (*base.fields, *fields))
    return Chain(base, tuple(fields))


def _word(action: Action) -> str:
    """The first word of an action."""
    first = action.tokens[0] if action.tokens else None
    return first.value if first is not None and first.kind == "name" else ""


def _number(text: str) -> int | float:
    if "x" in text.lower():
        return int(text, 16)
    return int(text) if text.lstrip("+-").isdigit() else float(text)
