"""Automata of decimal texts: the numbers between bounds, and the multiples of a number."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from pyserve.openai.structured.automaton import (
    Automaton,
    TooManyStatesError,
    explored,
    merged_states,
)

MAX_DIGITS = 15  # so that no two texts are one floating-point number
MAX_WHOLE_DIGITS = 40
MAX_STATES = 1600  # while one is built
_POINT = 10  # the symbol after the ten digits
_SYMBOLS = [*([(0x30 + digit, 0x30 + digit)] for digit in range(10)), [(0x2E, 0x2E)]]


class Interval(NamedTuple):
    """Numbers from `low` to `high`; None: no bound. Open: without the bound itself."""

    low: Decimal | None = None
    high: Decimal | None = None
    is_low_open: bool = False
    is_high_open: bool = False

    def holds(self, value: Decimal) -> bool:
        """Whether `value` is between the bounds."""
        if self.low is not None and (value < self.low or (self.is_low_open and value == self.low)):
            return False
        return (
            self.high is None or value < self.high or (not self.is_high_open and value == self.high)
        )

    def divided(self, scale: Decimal) -> Interval:
        """The quotients of its numbers."""
        low = None if self.low is None else self.low / scale
        high = None if self.high is None else self.high / scale
        return self._replace(low=low, high=high)

    def negated(self) -> Interval:
        """The numbers with the other sign."""
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return Interval(low, high, self.is_high_open, self.is_low_open)


@lru_cache(maxsize=256)
def decimal_texts(interval: Interval, divisor: Decimal | None = None) -> Automaton:
    """The decimal texts of the numbers in `interval`, of the multiples of `divisor` among them.

    REQUIRES: interval.low >= 0, divisor has no zeros before its point. Raises TooManyStatesError.
    """
    reader = _Reader(interval, divisor)
    return merged_states(explored(_SYMBOLS, _Place(), reader.step, reader.accepts, MAX_STATES))


def exponent_of(value: Decimal) -> int:
    """The power of ten of the last digit that is not zero."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent


class _Place(NamedTuple):
    """Where a text of digits is. n_digits: of the whole part; n_decimals: -1 before the point.

    low, high: how the text compares with the bound so far, -1, 0 or 1. rest: of the division.
    """

    n_digits: int = 0
    n_decimals: int = -1
    is_zero: bool = False
    low: int = 0
    high: int = 0
    rest: int = 0


class _Reader:
    """Reads a text digit by digit."""

    def __init__(self, interval: Interval, divisor: Decimal | None) -> None:
        is_any = interval.low == 0 and not interval.is_low_open
        self._interval = interval
        self._low = _Bound(None if is_any else interval.low)
        self._high = _Bound(interval.high)
        self._has_divisor = divisor is not None
        self._n_decimals = MAX_DIGITS if divisor is None else max(-exponent_of(divisor), 0)
        self._modulus = 1 if divisor is None else int(divisor.scaleb(self._n_decimals))
        n_digits = len(self._high.whole)
        if interval.high is None:
            n_digits = max(MAX_DIGITS, len(self._low.whole))
        self._n_digits = min(n_digits, MAX_WHOLE_DIGITS)
        if self._modulus * self._n_digits > MAX_STATES:
            raise TooManyStatesError

    def step(self, place: _Place, symbol: int) -> _Place | None:
        if symbol == _POINT:
            return self._point(place)
        is_decimal = place.n_decimals >= 0
        index = place.n_decimals if is_decimal else place.n_digits
        if self._is_full(place):
            return None
        low = self._low.compared(place.low, index, symbol, is_decimal=is_decimal)
        high = self._high.compared(place.high, index, symbol, is_decimal=is_decimal)
        rest = (place.rest * 10 + symbol) % self._modulus
        if is_decimal:
            return place._replace(n_decimals=index + 1, low=low, high=high, rest=rest)
        return _Place(index + 1, -1, index == 0 and symbol == 0, low, high, rest)

    def _is_full(self, place: _Place) -> bool:
        if place.n_decimals < 0:
            return place.is_zero or place.n_digits >= self._n_digits
        is_long = place.n_digits + place.n_decimals >= MAX_DIGITS and not self._has_divisor
        return is_long or place.n_decimals >= self._n_decimals

    def _point(self, place: _Place) -> _Place | None:
        if place.n_decimals >= 0 or place.n_digits == 0 or self._n_decimals == 0:
            return None
        low = self._low.after_whole(place.low, place.n_digits)
        high = self._high.after_whole(place.high, place.n_digits)
        return place._replace(n_decimals=0, low=low, high=high)

    def accepts(self, place: _Place) -> bool:
        if place.n_digits == 0 or place.n_decimals == 0:
            return False
        low = self._low.at_end(place.low, place)
        high = self._high.at_end(place.high, place)
        if not self._low.is_none and low < int(self._interval.is_low_open):
            return False
        if not self._high.is_none and high > -int(self._interval.is_high_open):
            return False
        n_missing = self._n_decimals - max(place.n_decimals, 0) if self._has_divisor else 0
        return bool(place.rest * 10**n_missing % self._modulus == 0)


class _Bound:
    """The digits of a bound, to be compared one by one."""

    def __init__(self, value: Decimal | None) -> None:
        self.is_none = value is None
        whole, _, decimals = f"{value or Decimal(0):f}".partition(".")
        self.whole, self.decimals = whole, decimals.rstrip("0")

    def compared(self, so_far: int, index: int, digit: int, *, is_decimal: bool) -> int:
        digits = self.decimals if is_decimal else self.whole
        if so_far or self.is_none:
            return so_far
        other = int(digits[index]) if index < len(digits) else 0
        return (digit > other) - (digit < other)

    def after_whole(self, so_far: int, n_digits: int) -> int:
        """With other numbers of digits the longer one is larger."""
        difference = n_digits - len(self.whole)
        return so_far if self.is_none or difference == 0 else (difference > 0) - (difference < 0)

    def at_end(self, so_far: int, place: _Place) -> int:
        if place.n_decimals < 0:
            so_far = self.after_whole(so_far, place.n_digits)
        if so_far or self.is_none:
            return so_far
        return -1 if len(self.decimals) > max(place.n_decimals, 0) else 0
