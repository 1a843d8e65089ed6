"""Deterministic automata over characters: built from a step function, bounded, written as GBNF."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

from pyserve.openai.structured.rules import Ranges, Rules, any_of

S = TypeVar("S", bound=Hashable)
DEAD = -1
MAX_STATES = 3000  # of what is written as a grammar


class TooManyStatesError(Exception):
    """The automaton would have more states than are allowed."""


# The steps that may still be explored for one schema; None: any number.
_steps_left: ContextVar[list[int] | None] = ContextVar("steps_left", default=None)


@contextmanager
def steps_bounded(n_steps: int) -> Iterator[None]:
    """Bounds what all automata inside explore together."""
    token = _steps_left.set([n_steps])
    try:
        yield
    finally:
        _steps_left.reset(token)


def _take_steps(n_steps: int) -> None:
    left = _steps_left.get()
    if left is None:
        return
    left[0] -= n_steps
    if left[0] < 0:
        raise TooManyStatesError


class Automaton(NamedTuple):
    """symbols: sets of characters, disjoint. steps: by state and symbol; DEAD: none.

    State 0 is the first one.
    """

    symbols: Sequence[Ranges]
    steps: list[list[int]]
    accepts: list[bool]


def explored(
    symbols: Sequence[Ranges],
    start: S,
    step: Callable[[S, int], S | None],
    accepts: Callable[[S], bool],
    max_states: int = MAX_STATES,
) -> Automaton:
    """The automaton of all states that `step` (state, index of a symbol) leads to."""
    numbers = {start: 0}
    states = [start]
    steps: list[list[int]] = []
    for state in states:
        _take_steps(len(symbols))
        row = []
        for symbol in range(len(symbols)):
            after = step(state, symbol)
            if after is None:
                row.append(DEAD)
                continue
            number = numbers.setdefault(after, len(states))
            if number == len(states):
                if number >= max_states:
                    raise TooManyStatesError
                states.append(after)
            row.append(number)
        steps.append(row)
    return _pruned(Automaton(symbols, steps, [accepts(state) for state in states]))


def is_empty(automaton: Automaton) -> bool:
    """Whether it accepts nothing."""
    return not any(automaton.accepts)


def with_length(automaton: Automaton, low: int, high: int | None) -> Automaton:
    """The texts of `low` to `high` characters; where that takes too many states, shorter ones."""
    n_states = len(automaton.steps)
    most = MAX_STATES // n_states - 1
    if low > most:
        raise TooManyStatesError
    if high is not None:
        high = min(high, most)

    def step(state: tuple[int, int], symbol: int) -> tuple[int, int] | None:
        place, n_chars = state
        after = automaton.steps[place][symbol]
        if after == DEAD or n_chars == high:
            return None
        return after, n_chars + 1 if high is not None else min(n_chars + 1, low)

    def accepts(state: tuple[int, int]) -> bool:
        return automaton.accepts[state[0]] and state[1] >= low

    return explored(automaton.symbols, (0, 0), step, accepts, MAX_STATES + n_states)


def _pruned(automaton: Automaton) -> Automaton:
    """Without steps to states from which nothing is accepted."""
    before: list[list[int]] = [[] for _ in automaton.steps]
    for state, row in enumerate(automaton.steps):
        for after in set(row) - {DEAD}:
            before[after].append(state)
    alive = {state for state, accepts in enumerate(automaton.accepts) if accepts}
    todo = list(alive)
    while todo:
        for state in before[todo.pop()]:
            if state not in alive:
                alive.add(state)
                todo.append(state)
    steps = [[after if after in alive else DEAD for after in row] for row in automaton.steps]
    return automaton._replace(steps=steps)


def merged_states(automaton: Automaton) -> Automaton:
    """The smallest automaton for the same texts. Rounds: as many as the longest of them needs."""
    classes = [int(accepts) for accepts in automaton.accepts]
    n_classes = 0
    while len(set(classes)) > n_classes:
        n_classes = len(set(classes))
        shapes = [
            (classes[state], *(classes[after] if after != DEAD else DEAD for after in row))
            for state, row in enumerate(automaton.steps)
        ]
        numbers: dict[tuple[int, ...], int] = {}
        classes = [numbers.setdefault(shape, len(numbers)) for shape in shapes]
    first = {number: state for state, number in reversed(list(enumerate(classes)))}
    steps = [
        [classes[after] if after != DEAD else DEAD for after in automaton.steps[first[number]]]
        for number in range(len(first))
    ]
    accepts = [automaton.accepts[first[number]] for number in range(len(first))]
    return Automaton(automaton.symbols, steps, accepts)


def automaton_expression(automaton: Automaton, rules: Rules, char: Callable[[Ranges], str]) -> str:
    """GBNF of what it accepts: a rule per state. `char` writes one character of a set.

    REQUIRES: not is_empty(automaton).
    """
    reached = _reached(automaton)
    names = {state: rules.reserve() for state in reached}
    for state, name in names.items():
        targets: dict[int, list[tuple[int, int]]] = {}
        for symbol, after in enumerate(automaton.steps[state]):
            if after != DEAD:
                targets.setdefault(after, []).extend(automaton.symbols[symbol])
        parts = ['""'] if automaton.accepts[state] else []
        parts += [f"{char(_joined(one))} {names[after]}" for after, one in targets.items()]
        rules.define(name, any_of(parts))
    return names[0]


def _reached(automaton: Automaton) -> list[int]:
    reached = {0: None}
    for state in (todo := [0]):
        for after in automaton.steps[state]:
            if after != DEAD and after not in reached:
                reached[after] = None
                todo.append(after)
    return list(reached)


def _joined(ranges: Ranges) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined
