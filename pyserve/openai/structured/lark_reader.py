"""Reads grammars in Lark's notation: the part of it that OpenAI's custom tools may use.

Rules, terminals, strings, regular expressions, ranges, repetitions, `%import common`, `%ignore`.
Priorities, aliases and the marks of trees say nothing about the text. No templates, no `%declare`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from pyserve.openai.structured.regex_tree import (
    Alternatives,
    Chain,
    Chars,
    Repeat,
    Tree,
    UnsupportedRegexError,
    has_context,
    parsed_regex,
)

MAX_LARK_BYTES = 64 * 1024
MAX_DEPTH = 64
MAX_REPEAT = 4096
COMMON = {
    "DIGIT": "[0-9]",
    "HEXDIGIT": "[0-9a-fA-F]",
    "INT": "[0-9]+",
    "SIGNED_INT": "[+-]?[0-9]+",
    "DECIMAL": r"[0-9]+\.[0-9]*|\.[0-9]+",
    "FLOAT": r"[0-9]+[eE][+-]?[0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?",
    "NUMBER": r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?",
    "SIGNED_FLOAT": r"[+-]?([0-9]+[eE][+-]?[0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)",
    "SIGNED_NUMBER": r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?",
    "ESCAPED_STRING": r'"([^"\\\n]|\\.)*"',
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "LETTER": "[a-zA-Z]",
    "WORD": "[a-zA-Z]+",
    "CNAME": "[_a-zA-Z][_a-zA-Z0-9]*",
    "WS_INLINE": r"[ \t]+",
    "WS": r"[ \t\f\r\n]+",
    "CR": r"\r",
    "LF": r"\n",
    "NEWLINE": r"(\r?\n)+",
    "SH_COMMENT": r"#[^\n]*",
    "CPP_COMMENT": r"\/\/[^\n]*",
    "C_COMMENT": r"\/\*([^*]|\*+[^*\/])*\*+\/",
    "SQL_COMMENT": r"--[^\n]*",
}
_TOKEN = re.compile(
    r"""(?P<space>[ \t\f]+|//[^\n]*|\#[^\n]*|\\\r?\n|%llguidance[ ]*\{[ ]*\})
    |(?P<line>\r?\n)
    |(?P<directive>%[a-z_]+)
    |(?P<string>"(?:\\.|[^"\\\n])*"i?)
    |(?P<regex>/(?!/)(?:\\.|[^/\\\n])+/[imslux]*)
    |(?P<rule>[!?]{0,2}_{0,2}[a-z][_a-z0-9]*)
    |(?P<terminal>_{0,2}[A-Z][_A-Z0-9]*)
    |(?P<number>-?[0-9]+)
    |(?P<sign>->|\.\.|[:|()\[\]{},.~?*+])""",
    re.VERBOSE,
)


class LarkError(ValueError):
    """A grammar that is malformed or not supported. line, column: from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{message} (line {line}, column {column})")
        self.line, self.column = line, column


class Place(NamedTuple):
    """Where something stands; both from 1."""

    line: int
    column: int


class Name(msgspec.Struct, frozen=True):
    """A rule or terminal by its name."""

    name: str
    place: Place


class Text(msgspec.Struct, frozen=True):
    """A string or an expression."""

    tree: Tree


class Many(msgspec.Struct, frozen=True):
    """`low` to `high` times; None: no limit."""

    item: Node
    low: int
    high: int | None


class Series(msgspec.Struct, frozen=True):
    """One after the other."""

    items: tuple[Node, ...]


class Choice(msgspec.Struct, frozen=True):
    """One of them."""

    items: tuple[Node, ...]


Node = Name | Text | Many | Series | Choice


class Definition(msgspec.Struct, frozen=True):
    """What a name stands for."""

    body: Node
    place: Place


class LarkGrammar(msgspec.Struct, frozen=True):
    """definitions: by name, those of terminals in capitals. ignored: may stand between tokens."""

    definitions: dict[str, Definition]
    ignored: list[Node]


class _Token(NamedTuple):
    kind: str
    text: str
    place: Place


def is_terminal(name: str) -> bool:
    return name.strip("_")[:1].isupper()


def parsed_lark(text: str) -> LarkGrammar:
    """Reads `text`. Raises LarkError."""
    n_bytes = len(text.encode())
    if n_bytes > MAX_LARK_BYTES:
        raise LarkError(f"has {n_bytes} bytes, at most {MAX_LARK_BYTES}", 1, 1)
    return _Reader(_tokens(text)).read()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, line, begin = 0, 1, 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        place = Place(line, position - begin + 1)
        if found is None:
            raise LarkError(f"{text[position]!r} is not expected", *place)
        kind = found.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, found.group(), place))
        position = found.end()
        if "\n" in found.group():
            line, begin = line + 1, position
    return [*tokens, _Token("end", "", Place(line, len(text) - begin + 1))]


class _Reader:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._index = 0
        self._grammar = LarkGrammar({}, [])

    def read(self) -> LarkGrammar:
        while True:
            self._skip_lines()
            token = self._peek
            if token.kind == "end":
                return self._grammar
            if token.kind == "directive":
                self._directive()
            elif token.kind in ("rule", "terminal"):
                self._definition()
            else:
                raise self._error("a rule, a terminal or a directive is expected")
            if self._peek.kind not in ("line", "end"):
                raise self._error("the end of the line is expected")

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._index]

    def _error(self, message: str) -> LarkError:
        return LarkError(message, *self._peek.place)

    def _next(self) -> _Token:
        token = self._peek
        self._index += token.kind != "end"
        return token

    def _take(self, text: str) -> bool:
        if self._peek.kind != "sign" or self._peek.text != text:
            return False
        self._next()
        return True

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._error(f"{text!r} is missing")

    def _skip_lines(self) -> None:
        while self._peek.kind == "line":
            self._next()

    def _directive(self) -> None:
        directive = self._next()
        if directive.text == "%ignore":
            self._grammar.ignored.append(self._choice(0))
        elif directive.text == "%import":
            self._import()
        else:
            message = f"{directive.text} is not supported: only %import and %ignore are"
            raise LarkError(message, *directive.place)

    def _import(self) -> None:
        if self._next().text != "common":
            self._index -= 1
            raise self._error("only `common` can be imported from")
        if self._take("("):
            self._common(self._next())
            while self._take(","):
                self._common(self._next())
            self._expect(")")
            return
        self._expect(".")
        name = self._next()
        alias = self._next() if self._take("->") else name
        self._common(name, alias)

    def _common(self, name: _Token, alias: _Token | None = None) -> None:
        if name.text not in COMMON:
            raise LarkError(f"there is no common.{name.text}", *name.place)
        tree = parsed_regex(COMMON[name.text])
        self._define((alias or name).text, Text(tree), name.place)

    def _define(self, name: str, body: Node, place: Place) -> None:
        if name in self._grammar.definitions:
            raise LarkError(f"{name} is defined again", *place)
        self._grammar.definitions[name] = Definition(body, place)

    def _definition(self) -> None:
        name = self._next()
        if self._take("."):
            self._next()  # a priority
        if self._peek.text == "{":
            raise self._error("templates are not supported")
        self._expect(":")
        self._define(name.text.lstrip("!?"), self._choice(0), name.place)

    def _choice(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} parentheses are nested")
        items = [self._series(depth)]
        while self._goes_on(depth):
            items.append(self._series(depth))
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def _goes_on(self, depth: int) -> bool:
        """Whether an alternative follows, maybe in the next line."""
        begin = self._index
        self._skip_lines()
        if self._take("|"):
            return True
        if depth == 0:
            self._index = begin
        return False

    def _series(self, depth: int) -> Node:
        items: list[Node] = []
        while True:
            if depth:
                self._skip_lines()
            item = self._atom(depth)
            if item is None:
                break
            items.append(self._repeated(item))
        if self._take("->"):
            self._next()  # an alias
        return items[0] if len(items) == 1 else Series(tuple(items))

    def _atom(self, depth: int) -> Node | None:
        token = self._peek
        if token.kind in ("rule", "terminal"):
            self._next()
            if self._peek.text == "{":
                raise self._error("templates are not supported")
            return Name(token.text.lstrip("!?"), token.place)
        if token.kind == "string":
            return self._string()
        if token.kind == "regex":
            return Text(_expression(self._next()))
        if self._take("("):
            inside = self._choice(depth + 1)
            self._expect(")")
            return inside
        if self._take("["):
            inside = self._choice(depth + 1)
            self._expect("]")
            return Many(inside, 0, 1)
        return None

    def _string(self) -> Node:
        first = self._next()
        if not self._take(".."):
            return Text(_spelled(first))
        last = self._next()
        ends = [_unescaped(token) if token.kind == "string" else "" for token in (first, last)]
        if [len(end) for end in ends] != [1, 1] or ends[0] > ends[1]:
            raise LarkError("a range is between two characters", *first.place)
        return Text(Chars(((ord(ends[0]), ord(ends[1])),)))

    def _repeated(self, item: Node) -> Node:
        for sign, (low, high) in {"?": (0, 1), "*": (0, None), "+": (1, None)}.items():
            if self._take(sign):
                return Many(item, low, high)
        if not self._take("~"):
            return item
        least = self._number()
        most = self._number() if self._take("..") else least
        if most < least:
            raise self._error("a repetition ends before it begins")
        return Many(item, least, most)

    def _number(self) -> int:
        token = self._next()
        is_short = token.kind == "number" and len(token.text) <= len(str(MAX_REPEAT))
        if not is_short or not 0 <= int(token.text) <= MAX_REPEAT:
            raise LarkError(f"a number from 0 to {MAX_REPEAT} is expected", *token.place)
        return int(token.text)


def _unescaped(token: _Token) -> str:
    inside = token.text.removesuffix("i")[1:-1]
    try:
        return re.sub(
            r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)",
            lambda found: _character(found[1]),
            inside,
        )
    except ValueError:
        raise LarkError("an escape names no character", *token.place) from None


def _character(escape: str) -> str:
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}.get(escape, escape)


def _spelled(token: _Token) -> Tree:
    is_caseless = token.text.endswith("i")
    chars = [Chars(((ord(char), ord(char)),)) for char in _unescaped(token)]
    tree = Chain(tuple(chars))
    return _caseless(tree) if is_caseless else tree


def _expression(token: _Token) -> Tree:
    pattern, _, flags = token.text[1:].rpartition("/")
    unknown = set(flags) - set("isu")
    if unknown:
        raise LarkError(f"the flag {unknown.pop()} is not supported", *token.place)
    line, column = token.place
    try:
        tree = parsed_regex(pattern, dot_matches_lines="s" in flags)
    except UnsupportedRegexError as error:
        message = f"the expression {error}"
        raise LarkError(message, line, column + 1 + error.position) from None
    if has_context(tree):
        raise LarkError("the expression has anchors or look-ahead", line, column)
    return _caseless(tree) if "i" in flags else tree


def _caseless(tree: Tree) -> Tree:
    """The same with both cases of every ASCII letter."""
    match tree:
        case Chars(ranges):
            more = []
            for low, high in ranges:
                for begin, end, shift in ((0x41, 0x5A, 32), (0x61, 0x7A, -32)):
                    if max(low, begin) <= min(high, end):
                        more.append((max(low, begin) + shift, min(high, end) + shift))
            return Chars((*ranges, *more))
        case Chain(items):
            return Chain(tuple(_caseless(item) for item in items))
        case Alternatives(items):
            return Alternatives(tuple(_caseless(item) for item in items))
        case Repeat(item, low, high):
            return Repeat(_caseless(item), low, high)
    return tree
