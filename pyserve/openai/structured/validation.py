"""Checks finished answers against what no grammar enforces, by the jsonschema package.

Patterns are those that `regex` can follow, in linear time; others are not checked. Schemas are
hostile: every check has a budget of steps, and nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal, DecimalException
from typing import Any

import msgspec
from jsonschema import validators
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from referencing import Registry

from pyserve.openai.structured.dialects import plain_schema
from pyserve.openai.structured.regex import can_match
from pyserve.openai.structured.regex_tree import UnsupportedRegexError, parsed_regex

MAX_STEPS = 20_000
MAX_MESSAGE_CHARS = 300


class SchemaViolation(msgspec.Struct, frozen=True):
    """Where an answer is not valid, and why. path: `$` is the answer."""

    path: str
    message: str


class _TooManySteps(Exception):
    """A check takes too long."""


class _Budget:
    def __init__(self) -> None:
        self.n_left = MAX_STEPS

    def take(self) -> None:
        self.n_left -= 1
        if self.n_left < 0:
            raise _TooManySteps


class Checker:
    """Checks values against one schema. One thread at a time."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._budget = _Budget()
        self._validator: Validator | None = None

    def allows(self, value: object, part: Any) -> bool:
        """Whether `part`, a schema inside the whole one, allows `value`; unsure: it does."""
        self._budget.n_left = MAX_STEPS
        try:
            return bool(self._whole().evolve(schema=part).is_valid(value))
        except Exception:
            return True

    def violation(self, value: object) -> SchemaViolation | None:
        """The first reason why `value` is not valid."""
        self._budget.n_left = MAX_STEPS
        try:
            error = next(iter(self._whole().iter_errors(value)), None)
        except _TooManySteps:
            return SchemaViolation("$", f"could not be checked in {MAX_STEPS} steps")
        except Exception:
            return SchemaViolation("$", "could not be checked: the schema is malformed")
        if error is None:
            return None
        return SchemaViolation(error.json_path, error.message[:MAX_MESSAGE_CHARS])

    def _whole(self) -> Validator:
        if self._validator is None:
            base = validators.validator_for(self._schema, default=validators.Draft202012Validator)
            self._validator = _bounded(base, self._budget)(self._schema, registry=Registry())
        return self._validator


def violation_of(schema: Any, text: str) -> SchemaViolation | None:
    """Why `text`, a whole answer, is not valid against `schema`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return SchemaViolation("$", "is no complete JSON")
    return Checker(plain_schema(schema)).violation(value)


def _bounded(base: Any, budget: _Budget) -> Any:
    """The validator class `base`, each of whose steps takes from `budget`."""

    def counted(check: Any) -> Any:
        def step(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            budget.take()
            yield from check(validator, value, instance, schema) or ()

        return step

    own = {
        **base.VALIDATORS,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "multipleOf": _multiple_of,
    }
    return validators.extend(base, {name: counted(check) for name, check in own.items()})


def _pattern(validator: Any, pattern: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "string") and _matches(pattern, instance) is False:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Any, instance: Any, _schema: Any
) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, schema in patterns.items():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _matches(pattern: str, text: str) -> bool | None:
    """Whether `pattern` is found in `text`; None: it cannot be told."""
    try:
        return can_match([parsed_regex(pattern)], text)
    except UnsupportedRegexError:
        return None


def _multiple_of(validator: Any, divisor: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """By the decimal texts: 0.07 is a multiple of 0.01."""
    if not validator.is_type(instance, "number"):
        return
    try:
        rest = Decimal(repr(instance)) % Decimal(repr(divisor))
    except DecimalException:
        return
    if rest:
        yield ValidationError(f"{instance!r} is not a multiple of {divisor!r}")
