"""Grammars for the texts that custom tools take: regular expressions and Lark."""

from __future__ import annotations

from typing import Literal

import msgspec

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.lark import lark_expression
from pyserve.openai.structured.lark_reader import LarkError
from pyserve.openai.structured.regex import WriteChar, raw_char, whole_text
from pyserve.openai.structured.regex_tree import UnsupportedRegexError, parsed_regex
from pyserve.openai.structured.rules import Rules


class TextGrammar(msgspec.Struct, frozen=True):
    """What a text has to be. An expression matches it from its beginning to its end."""

    syntax: Literal["lark", "regex"]
    definition: str

    def expression(self, rules: Rules, char: WriteChar) -> str:
        """GBNF, `char` writes one character of a set.

        Raises LarkError, or UnsupportedRegexError.
        """
        if self.syntax == "lark":
            return lark_expression(self.definition, rules, char)
        return whole_text(parsed_regex(self.definition), rules, char)

    def check(self, param: str) -> None:
        """Raise InvalidRequestError with line and column if it cannot be enforced."""
        self.gbnf(param)

    def gbnf(self, param: str) -> str:
        """A grammar of its own. Raises InvalidRequestError as `check`."""
        rules = Rules()
        root = rules.reserve_root()
        try:
            rules.define(root, self.expression(rules, raw_char))
        except LarkError as error:
            raise InvalidRequestError(f"{param}: {error}", param=param) from error
        except UnsupportedRegexError as error:
            before = self.definition[: error.position]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            message = f"{param}: the expression {error} (line {line}, column {column})"
            raise InvalidRequestError(message, param=param) from error
        return rules.text()
