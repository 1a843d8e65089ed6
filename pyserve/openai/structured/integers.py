"""GBNF for ranges of integers, digit by digit."""

from __future__ import annotations

from pyserve.openai.structured.rules import any_of

MAX_DIGITS = 16


def integer_range(low: int | None, high: int | None) -> str | None:
    """All integers from `low` to `high`, or None when there is none.

    Where there is no bound, numbers have at most MAX_DIGITS digits, or as many as the other bound.
    """
    if low is not None and high is not None and low > high:
        return None
    parts = []
    if low is None or low < 0:
        largest = None if low is None else -low
        smallest = 1 if high is None or high >= 0 else -high
        parts.append(f'"-" {_naturals(smallest, largest)}')
    if high is None or high >= 0:
        parts.append(_naturals(max(low or 0, 0), high))
    return any_of(parts)


def _naturals(low: int, high: int | None) -> str:
    """The numbers from `low` >= 0 on, by their number of digits."""
    if high is None:
        high = 10 ** max(MAX_DIGITS, len(str(low))) - 1
    parts = []
    for n_digits in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 10 ** (n_digits - 1) if n_digits > 1 else 0)
        most = min(high, 10**n_digits - 1)
        parts.append(_digits(str(least), str(most)))
    return any_of(parts)


def _digits(low: str, high: str) -> str:
    """Texts of digits between two of the same length."""
    if low == high:
        return f'"{low}"'
    rest = len(low) - 1
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        return _span(low[0], high[0]) + (f" [0-9]{{{rest}}}" if rest else "")
    if low[0] == high[0]:
        return f'"{low[0]}" {_digits(low[1:], high[1:])}'
    parts = [f'"{low[0]}" {_digits(low[1:], "9" * rest)}']
    if int(high[0]) - int(low[0]) > 1:
        middle = _span(str(int(low[0]) + 1), str(int(high[0]) - 1))
        parts.append(f"{middle} [0-9]{{{rest}}}")
    parts.append(f'"{high[0]}" {_digits("0" * rest, high[1:])}')
    return any_of(parts)


def _span(low: str, high: str) -> str:
    return f'"{low}"' if low == high else f"[{low}-{high}]"
