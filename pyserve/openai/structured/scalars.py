"""GBNF for strings and numbers of JSON Schemas that hold at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from pyserve.openai.structured.automaton import TooManyStatesError
from pyserve.openai.structured.conjunction import Impossible, Part
from pyserve.openai.structured.decimal_texts import Interval, exponent_of
from pyserve.openai.structured.decimals import (
    MAX_EXPONENT,
    multiples_expression,
    number_expression,
)
from pyserve.openai.structured.formats import ANY_STRING, FORMATS, NUMBER_FORMATS, format_tree
from pyserve.openai.structured.integers import integer_range
from pyserve.openai.structured.json_text import INTEGER, quoted
from pyserve.openai.structured.keywords import TEXT_GRAMMAR
from pyserve.openai.structured.regex import json_text, json_writer, raw_text
from pyserve.openai.structured.regex_tree import Tree, UnsupportedRegexError, parsed_regex
from pyserve.openai.structured.text_grammar import TextGrammar

if TYPE_CHECKING:
    from pyserve.openai.structured.schema import SchemaGrammar

MAX_RAW_CHARS = 32 * 1024  # of the grammar of a text outside of quotes
MAX_COUNT = 64 * 1024  # of the engine's repetitions
MAX_BOUND_DIGITS = 25
MAX_INTEGER_DIGITS = 40
BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def string(grammar: SchemaGrammar, parts: Sequence[Part]) -> str:
    """A string of a length in which all patterns match and that has all formats.

    Or one of a TextGrammar, which stands under a keyword of our own.
    """
    rules = grammar.rules
    for part in parts:
        if isinstance(part.get(TEXT_GRAMMAR), TextGrammar):
            text = part.schema[TEXT_GRAMMAR].expression(rules, json_writer(rules))
            return rules.add(quoted(rules.add(text)))
    low, high = counts(grammar, parts, "minLength", "maxLength")
    trees = string_trees(grammar, parts)
    if low == 0 and high is None and not trees:
        return rules.string
    try:
        return rules.add(quoted(json_text([tree for tree, _, _ in trees], rules, low, high)))
    except UnsupportedRegexError:
        return rules.add(quoted(_one_by_one(grammar, parts, trees, low, high)))


def raw_string(grammar: SchemaGrammar, part: Part, end: str) -> str | None:
    """The same outside of quotes, for one schema, without `end` in it.

    None: it may be any text, or what it has to be cannot be enforced there.
    """
    low, high = counts(grammar, [part], "minLength", "maxLength")
    trees = [tree for tree, _, _ in string_trees(grammar, [part])]
    if low == 0 and high is None and not trees:
        return None
    try:
        text = raw_text(trees, grammar.rules, low, high, end)
    except UnsupportedRegexError as error:
        grammar.report(part.path, "", str(error))
        return None
    if len(text) > MAX_RAW_CHARS:
        keyword = "maxLength" if part.has("maxLength") else "minLength"
        grammar.report(part.path, keyword, "takes too large a grammar in the model's calls")
        return None
    return grammar.rules.add(text)


def _one_by_one(
    grammar: SchemaGrammar,
    parts: Sequence[Part],
    trees: Sequence[tuple[Tree, Part, str]],
    low: int,
    high: int | None,
) -> str:
    """As many of the keywords as go together; the others are reported."""
    kept: list[Tree] = []
    expression = json_text([], grammar.rules)
    for tree, part, keyword in trees:
        try:
            expression = json_text([*kept, tree], grammar.rules)
            kept.append(tree)
        except UnsupportedRegexError as error:
            grammar.report(part.path, keyword, str(error))
    try:
        return json_text(kept, grammar.rules, low, high)
    except UnsupportedRegexError as error:
        for part in parts:
            for keyword in ("minLength", "maxLength"):
                if part.has(keyword):
                    grammar.report(part.path, keyword, f"beside a pattern or format {error}")
    return expression


def string_trees(grammar: SchemaGrammar, parts: Sequence[Part]) -> list[tuple[Tree, Part, str]]:
    """What strings have to match by formats and patterns, with its part and keyword."""
    trees: list[tuple[Tree, Part, str]] = []
    for part in parts:
        name, pattern = part.get("format"), part.get("pattern")
        if isinstance(name, str) and name in FORMATS:
            trees.append((format_tree(name), part, "format"))
        elif name is not None and not (isinstance(name, str) and _is_free_format(name)):
            grammar.report(part.path, "format", f"is none of {', '.join(FORMATS)}")
        if pattern is not None and not isinstance(pattern, str):
            grammar.malformed(part.path, "pattern", "must be a string")
        elif pattern is not None:
            try:
                trees.append((parsed_regex(pattern), part, "pattern"))
            except UnsupportedRegexError as error:
                grammar.report(part.path, "pattern", str(error))
    return list({tree: (tree, part, keyword) for tree, part, keyword in trees}.values())


def _is_free_format(name: str) -> bool:
    return name in ANY_STRING or name in NUMBER_FORMATS


def counts(
    grammar: SchemaGrammar, parts: Sequence[Part], least: str, most: str
) -> tuple[int, int | None]:
    """The bounds of a length; None: no limit. Raises Impossible when they leave none."""
    lows, highs = [0], []
    for part in parts:
        for name in (least, most):
            if not part.has(name):
                continue
            value = part.get(name)
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                grammar.malformed(part.path, name, "must be an integer that is not negative")
            elif name == least and value > MAX_COUNT:
                grammar.report(part.path, name, f"is more than {MAX_COUNT}")
            elif name == least:
                lows.append(value)
            else:
                highs.append(min(value, MAX_COUNT))
    low, high = max(lows), min(highs) if highs else None
    if high is not None and high < low:
        raise Impossible(parts[0].path, most, f"is {high}, less than {least}, {low}")
    return low, high


def number(grammar: SchemaGrammar, name: str, parts: Sequence[Part]) -> str:
    """A number, or an integer, between bounds, and a multiple."""
    interval = _interval(grammar, parts)
    divisors = _divisors(grammar, parts)
    if divisors:
        expression = _multiples(grammar, name, divisors, interval)
        if expression is not None:
            return expression
    if name == "number":
        if interval == Interval():
            return grammar.rules.number
        expression = _between(grammar, parts, interval)
    else:
        if interval == Interval():
            return grammar.rules.add(INTEGER)
        expression = integer_range(*_whole(interval))
    if expression is None:
        raise Impossible(parts[0].path, "minimum", f"and maximum leave no {name}")
    return grammar.rules.add(expression)


def _between(grammar: SchemaGrammar, parts: Sequence[Part], interval: Interval) -> str | None:
    """The numbers between bounds; any number where that takes too many states."""
    try:
        return number_expression(interval, grammar.rules)
    except TooManyStatesError:
        for part in parts:
            for keyword in BOUNDS:
                if part.has(keyword):
                    grammar.report(part.path, keyword, "takes too large an automaton")
        return grammar.rules.number


def _whole(interval: Interval) -> tuple[int | None, int | None]:
    """The inclusive bounds of the integers in `interval`."""
    low, high = interval.low, interval.high
    least = None if low is None else math.ceil(low)
    most = None if high is None else math.floor(high)
    if least is not None and interval.is_low_open and least == low:
        least += 1
    if most is not None and interval.is_high_open and most == high:
        most -= 1
    limit = 10**MAX_INTEGER_DIGITS
    least = None if least is not None and least < -limit else least
    return least, None if most is not None and most > limit else most


def _interval(grammar: SchemaGrammar, parts: Sequence[Part]) -> Interval:
    interval = Interval()
    for part in parts:
        name = part.get("format")
        limits = NUMBER_FORMATS.get(name) if isinstance(name, str) else None
        if limits is not None:
            interval = _narrowed(interval, "minimum", Decimal(limits[0]))
            interval = _narrowed(interval, "maximum", Decimal(limits[1]))
        for keyword in BOUNDS:
            value = _decimal(grammar, part, keyword)
            if value is not None:
                interval = _narrowed(interval, keyword, value)
    return interval


def _decimal(grammar: SchemaGrammar, part: Part, keyword: str) -> Decimal | None:
    value = part.get(keyword)
    if value is None or isinstance(value, bool):
        if part.has(keyword) and keyword not in ("exclusiveMinimum", "exclusiveMaximum"):
            grammar.malformed(part.path, keyword, "must be a number")
        elif part.has(keyword):
            grammar.report(part.path, keyword, "must be a number, not as in draft 4")
        return None
    if not isinstance(value, int | float) or (isinstance(value, float) and math.isinf(value)):
        grammar.malformed(part.path, keyword, "must be a number")
        return None
    exact = Decimal(value) if isinstance(value, int) else Decimal(repr(value))
    if len(exact.as_tuple().digits) > MAX_BOUND_DIGITS:
        grammar.report(part.path, keyword, f"has more than {MAX_BOUND_DIGITS} digits")
        return None
    if exact and abs(exact.adjusted()) >= MAX_EXPONENT:
        grammar.report(part.path, keyword, f"has {MAX_EXPONENT} digits or more")
        return None
    return exact


def _narrowed(interval: Interval, keyword: str, value: Decimal) -> Interval:
    is_open = keyword.startswith("exclusive")
    low, high = interval.low, interval.high
    if keyword.endswith("inimum"):
        if low is None or value > low or (value == low and is_open):
            return interval._replace(low=value, is_low_open=is_open)
    elif high is None or value < high or (value == high and is_open):
        return interval._replace(high=value, is_high_open=is_open)
    return interval


def _divisors(grammar: SchemaGrammar, parts: Sequence[Part]) -> list[tuple[Decimal, Part]]:
    found = []
    for part in parts:
        value = _decimal(grammar, part, "multipleOf")
        if value is not None and value <= 0:
            grammar.malformed(part.path, "multipleOf", "must be more than 0")
        elif value is not None:
            found.append((value, part))
    return found


def _multiples(
    grammar: SchemaGrammar,
    name: str,
    divisors: Sequence[tuple[Decimal, Part]],
    interval: Interval,
) -> str | None:
    """Multiples of all divisors; None: they are too many texts to tell apart, which is reported."""
    divisor = Decimal(1) if name == "integer" else divisors[0][0]
    for value, _ in divisors:
        divisor = _common_multiple(divisor, value)
    if divisor == 1 and name == "integer":
        return None
    try:
        expression = multiples_expression(divisor, interval, grammar.rules)
    except TooManyStatesError:
        for _, part in divisors:
            grammar.report(part.path, "multipleOf", "has too many digits to be enforced")
        return None
    if expression is None:
        raise Impossible(divisors[0][1].path, "multipleOf", "has no multiple between the bounds")
    return grammar.rules.add(expression)


def _common_multiple(a: Decimal, b: Decimal) -> Decimal:
    scale = Decimal(10) ** max(-exponent_of(a), -exponent_of(b), 0)
    return Decimal(math.lcm(int(a * scale), int(b * scale))) / scale
