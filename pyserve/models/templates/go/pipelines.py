"""Parses the pipelines in actions: values and function calls."""

from __future__ import annotations

from pyserve.models.templates.go.errors import TemplateError
from pyserve.models.templates.go.functions import FUNCTIONS
from pyserve.models.templates.go.lexer import Token
from pyserve.models.templates.go.nodes import (
    Chain,
    Command,
    Dot,
    Function,
    Literal,
    Operand,
    Pipeline,
    Variable,
)

MAX_DEPTH = 64
CONSTANTS = {"true": True, "false": False, "nil": None}


class PipelineParser:
    """Makes pipelines of tokens, and keeps the variables that are known where it stands.

    name: of the template. depth: of the blocks and parentheses around.
    """

    def __init__(self, name: str) -> None:
        self.variables = ["$"]
        self.depth = 0
        self._name = name

    def pipeline(self, tokens: tuple[Token, ...], line: int, *, is_range: bool = False) -> Pipeline:
        """Parses `tokens` as one pipeline; declares its variables.

        is_range: two variables may be set. Raises TemplateError.
        """
        reader = _Reader(tokens, line)
        variables, declares = self._assignment(reader, is_range)
        commands = self._commands(reader, line)
        if reader.token is not None:
            raise self.error(reader.line, f"unexpected {reader.token.value!r}")
        if declares:
            self.variables += variables
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
                raise self.error(reader.line, "a value cannot take another one in a pipeline")
        return tuple(commands)

    def _command(self, reader: _Reader, line: int) -> Command:
        operands: list[Operand] = []
        while reader.token is not None and reader.token.value not in ("|", ")"):
            operands.append(self._operand(reader))
        if not operands:
            raise self.error(reader.line, "a value is missing")
        if len(operands) > 1 and not isinstance(operands[0], Function):
            raise self.error(reader.line, "only functions take arguments")
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
                raise self.error(token.line, f"unexpected {token.value!r}")
        return _with_fields(base, reader)

    def _name_operand(self, token: Token) -> Operand:
        if token.value in CONSTANTS:
            return Literal(CONSTANTS[token.value])
        if token.value not in FUNCTIONS:
            raise self.error(token.line, f"there is no function {token.value!r}")
        return Function(token.value)

    def _parenthesis(self, reader: _Reader, token: Token) -> Pipeline:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(token.line, f"parentheses are nested more than {MAX_DEPTH} deep")
        commands = self._commands(reader, token.line)
        if not reader.take(")"):
            raise self.error(reader.line, "a ) is missing")
        self.depth -= 1
        return Pipeline(commands, token.line)

    def _check_variable(self, name: str, line: int) -> None:
        if name not in self.variables:
            raise self.error(line, f"there is no variable {name}")

    def error(self, line: int, problem: str) -> TemplateError:
        """The error for a problem on a line of this template."""
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


def _number(text: str) -> int | float:
    if "x" in text.lower():
        return int(text, 16)
    return int(text) if text.lstrip("+-").isdigit() else float(text)
