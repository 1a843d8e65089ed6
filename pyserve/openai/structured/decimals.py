"""GBNF for numbers between bounds, and for multiples.

A number is a part of what JSON allows: 15 digits and no zeros before them; larger and smaller ones
as `d.ddde+dd`.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from pyserve.openai.structured.automaton import automaton_expression, is_empty
from pyserve.openai.structured.decimal_texts import Interval, decimal_texts, exponent_of
from pyserve.openai.structured.integers import integer_range
from pyserve.openai.structured.rules import Rules, any_of, char_class

MAX_EXPONENT = 300
MAX_LISTED = 512
_TEN = Decimal(10)


def number_expression(interval: Interval, rules: Rules) -> str | None:
    """The numbers of `interval`; None: there is none."""
    parts = [*_magnitudes(_above_zero(interval, with_zero=True), rules)]
    parts += [f'"-" {one}' for one in _magnitudes(_above_zero(interval.negated()), rules)]
    return any_of(parts) if parts else None


def multiples_expression(divisor: Decimal, interval: Interval, rules: Rules) -> str | None:
    """The multiples of `divisor` > 0 in `interval`; None: there is none.

    Raises TooManyStatesError for divisors of many digits.
    """
    listed = _few_multiples(divisor, interval)
    if listed is not None:
        texts = [f'"{value:f}"' for value in listed]
        return any_of(texts) if texts else None
    n_zeros = max(exponent_of(divisor), 0)  # that end all multiples but zero
    scale = _TEN**n_zeros
    parts = ['"0"'] if interval.holds(Decimal(0)) else []
    for sign, part in (("", _above_zero(interval)), ('"-" ', _above_zero(interval.negated()))):
        if part is None:
            continue
        automaton = decimal_texts(part.divided(scale), divisor / scale)
        if not is_empty(automaton):
            written = automaton_expression(automaton, rules, char_class)
            parts.append(f'{sign}{written} "{"0" * n_zeros}"')
    return any_of(parts) if parts else None


def _few_multiples(divisor: Decimal, interval: Interval) -> list[Decimal] | None:
    if interval.low is None or interval.high is None:
        return None
    if (interval.high - interval.low) / divisor > MAX_LISTED:
        return None
    first = int(interval.low // divisor) - 1
    values = [divisor * (first + i) for i in range(MAX_LISTED + 4)]
    return [value + 0 for value in values if interval.holds(value)]


def _above_zero(interval: Interval, *, with_zero: bool = False) -> Interval | None:
    """The part of `interval` that is not below zero; None: there is none."""
    zero = Decimal(0)
    if interval.low is None or interval.low < zero or (interval.low == zero and not with_zero):
        interval = interval._replace(low=zero, is_low_open=not with_zero)
    if interval.high is None:
        return interval
    assert interval.low is not None
    if interval.high < interval.low:
        return None
    is_open = interval.is_low_open or interval.is_high_open
    return None if is_open and interval.high == interval.low else interval


def _magnitudes(interval: Interval | None, rules: Rules) -> Iterator[str]:
    """The expressions for numbers that are not negative."""
    if interval is None:
        return
    automaton = decimal_texts(interval)
    if not is_empty(automaton):
        yield automaton_expression(automaton, rules, char_class)
    yield from _powers(interval, rules)


def _powers(interval: Interval, rules: Rules) -> Iterator[str]:
    """Numbers written with exponents: at those of the bounds, and between them."""
    low, high = interval.low, interval.high
    assert low is not None
    first = -MAX_EXPONENT if low == 0 else max(low.adjusted(), -MAX_EXPONENT)
    last = MAX_EXPONENT if high is None else min(high.adjusted(), MAX_EXPONENT)
    if high == 0 or first > last:
        return
    ends = set()
    if low > 0:
        ends.add(first)
    if high is not None:
        ends.add(last)
    for exponent in sorted(ends):
        scale = _TEN**exponent
        mantissa = Interval(Decimal(1), _TEN, False, True)
        if low > 0 and low / scale >= 1:
            mantissa = mantissa._replace(low=low / scale, is_low_open=interval.is_low_open)
        if high is not None and high / scale < _TEN:
            mantissa = mantissa._replace(high=high / scale, is_high_open=interval.is_high_open)
        if _is_none(mantissa):
            continue
        automaton = decimal_texts(mantissa)
        if not is_empty(automaton):
            written = automaton_expression(automaton, rules, char_class)
            yield f"{written} [eE] {_exponents(exponent, exponent)}"
    first, last = first + (first in ends), last - (last in ends)
    if first <= last:
        yield f'[1-9] ("." [0-9]{{1,14}})? [eE] {_exponents(first, last)}'


def _is_none(interval: Interval) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    is_open = interval.is_low_open or interval.is_high_open
    return interval.low > interval.high or (is_open and interval.low == interval.high)


def _exponents(first: int, last: int) -> str:
    parts = [integer_range(first, last)]
    if last >= 0:
        parts.append(f'"+" {integer_range(max(first, 0), last)}')
    return any_of(part for part in parts if part is not None)
