"""Lexer: splits a template into texts and actions, and actions into tokens.

Source: the documentation of Go's package text/template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyserve.models.templates.go.errors import TemplateError

MAX_TEMPLATE_CHARS = 256 * 1024
_SPACE = " \t\r\n"
_OPEN, _CLOSE = "{{", "}}"
_TRIMS_BEFORE = re.compile(r"\{\{-[ \t\r\n]")
_COMMENT_END = re.compile(r"(?:[ \t\r\n]-)?\}\}")
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_ESCAPE = re.compile(r"\\([abfnrtv\\'\"]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<char>'(?:[^'\\\n]|\\.)+')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?))
    |(?P<variable>\$\w*)
    |(?P<field>\.[^\W\d]\w*)
    |(?P<name>[^\W\d]\w*)
    |(?P<sign>:=|[=|(),.])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """kind: string, char, number, variable, field, name, sign. is_close: no space before it.

    value: of strings what they mean, of fields the name without the dot, else the text.
    """

    kind: str
    value: str
    line: int
    is_close: bool = False


@dataclass(frozen=True)
class Text:
    """Text between actions."""

    text: str
    line: int


@dataclass(frozen=True)
class Action:
    """The text between {{ and }}; no comment, maybe empty."""

    tokens: tuple[Token, ...]
    line: int


def lex(name: str, source: str) -> list[Text | Action]:
    """The parts of the template, with white space trimmed as `{{-` and `-}}` say.

    Raises TemplateError.
    """
    if len(source) > MAX_TEMPLATE_CHARS:
        raise TemplateError(name, 1, f"has {len(source):,} characters, at most 262,144")
    parts: list[Text | Action] = []
    pos, trims_next = 0, False
    while True:
        begin = source.find(_OPEN, pos)
        text = source[pos:] if begin < 0 else source[pos:begin]
        line = source.count("\n", 0, pos) + 1
        if trims_next:
            text = text.lstrip(_SPACE)
        if begin >= 0 and _TRIMS_BEFORE.match(source, begin):
            text = text.rstrip(_SPACE)
        if text:
            parts.append(Text(text, line))
        if begin < 0:
            return parts
        action, pos, trims_next = _action(name, source, begin)
        if action is not None:
            parts.append(action)


def _action(name: str, source: str, begin: int) -> tuple[Action | None, int, bool]:
    """The action at `begin`, where it ends, and whether white space behind it goes."""
    line = source.count("\n", 0, begin) + 1
    pos = begin + 2
    if _TRIMS_BEFORE.match(source, begin):
        pos += 2
    if source.startswith("/*", pos):
        end = source.find("*/", pos)
        closing = None if end < 0 else _COMMENT_END.match(source, end + 2)
        if closing is None:
            raise TemplateError(name, line, "the comment has no end")
        return None, closing.end(), "-" in closing.group()
    tokens, pos, trims = _tokens(name, source, pos)
    return Action(tuple(tokens), line), pos, trims


def _tokens(name: str, source: str, pos: int) -> tuple[list[Token], int, bool]:
    tokens: list[Token] = []
    line = source.count("\n", 0, pos) + 1
    is_close = False
    while not source.startswith(_CLOSE, pos):
        if source.startswith("-}}", pos) and source[pos - 1].isspace():
            return tokens, pos + 3, True
        match = _TOKEN.match(source, pos)
        if match is None:
            what = repr(source[pos]) if pos < len(source) else "the end: }} is missing"
            raise TemplateError(name, line, f"unexpected {what}")
        kind, text = str(match.lastgroup), match.group()
        if kind != "space":
            tokens.append(Token(*_value(name, kind, text, line), line, is_close))
        is_close = kind != "space"
        line += text.count("\n")
        pos = match.end()
    return tokens, pos + 2, False


def _value(name: str, kind: str, text: str, line: int) -> tuple[str, str]:
    if kind == "raw":
        return "string", text[1:-1]
    if kind in ("string", "char"):
        if _ESCAPE.sub("", text[1:-1]).count("\\"):
            raise TemplateError(name, line, f"{text[:40]} has an escape that is not known")
        return kind, _ESCAPE.sub(_unescaped, text[1:-1])
    return kind, text[1:] if kind == "field" else text


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "xuU":
        return chr(min(int(code[1:], 16), 0x10FFFF))
    return _ESCAPES[code]
