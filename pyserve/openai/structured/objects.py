"""GBNF for objects of JSON Schemas that hold at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from pyserve.openai.structured.conjunction import Impossible, Part
from pyserve.openai.structured.json_text import braced, constant, other_key, quoted
from pyserve.openai.structured.languages import whole
from pyserve.openai.structured.regex import can_match, json_text
from pyserve.openai.structured.regex_tree import (
    Chain,
    Chars,
    Tree,
    UnsupportedRegexError,
    parsed_regex,
)
from pyserve.openai.structured.rules import any_of
from pyserve.openai.structured.scalars import counts, string_trees

if TYPE_CHECKING:
    from pyserve.openai.structured.schema import SchemaGrammar

MAX_PROPERTIES = 5000  # OpenAI's limit for a whole schema
MAX_NAME_CHARS = 256  # where other members are allowed: keys are told apart by their characters
MAX_NAMES_CHARS = 4096
MAX_PATTERNS = 4
MAX_COUNTED = 4096  # members times numbers of members


class _Pattern(NamedTuple):
    part: Part
    tree: Tree
    schema: Any
    path: tuple[str, ...]


class _Member(NamedTuple):
    expression: str
    is_required: bool


def object_body(grammar: SchemaGrammar, parts: Sequence[Part]) -> str:
    """Members in the order of `properties`; others, where they are allowed, behind them.

    Without additionalProperties there are no others, unless there are no properties either.
    Others are left out where their keys cannot be told from names.
    """
    members = _Members(grammar, parts)
    if grammar.is_strict:
        members.check_strict()
    named = members.named()
    least, most = counts(grammar, parts, "minProperties", "maxProperties")
    rest = members.rest()
    n_required = sum(member.is_required for member in named)
    if most is not None and most < n_required:
        raise Impossible(parts[0].path, "maxProperties", "is less than the required members")
    inside = None
    is_counted = least > n_required or (most is not None and (rest or most < len(named)))
    if is_counted:
        if len(named) * (max(least, most or 0) + 1) <= MAX_COUNTED:
            inside = _counted(grammar, named, rest, least, most)
        if inside is None:
            _report_counts(grammar, parts)
    if inside is None:
        inside = _sequence(grammar, named, rest)
    return grammar.rules.add(braced(grammar.rules, inside))


def _report_counts(grammar: SchemaGrammar, parts: Sequence[Part]) -> None:
    for part in parts:
        for keyword in ("minProperties", "maxProperties"):
            if part.has(keyword):
                grammar.report(part.path, keyword, "is not enforced beside these members")


class _Members:
    """Which members an object may have, by all parts."""

    def __init__(self, grammar: SchemaGrammar, parts: Sequence[Part]) -> None:
        self._grammar = grammar
        self._parts = parts
        self._properties = [self._object(part, "properties") for part in parts]
        self._required = dict.fromkeys(name for part in parts for name in self._names(part))
        self._patterns = [pattern for part in parts for pattern in self._read_patterns(part)]
        self._key_trees: list[Tree] = []
        self._key_names: set[str] | None = None
        for part in parts:
            if part.has("propertyNames"):
                self._read_key(part)
        names = dict.fromkeys(name for own in self._properties for name in own)
        self._all_names = list({**names, **self._required, **dict.fromkeys(self._key_names or ())})

    def _object(self, part: Part, keyword: str) -> dict[str, Any]:
        value = part.get(keyword)
        if value is None and not part.has(keyword):
            return {}
        if not isinstance(value, dict) or len(value) > MAX_PROPERTIES:
            message = f"must have at most {MAX_PROPERTIES} members"
            self._grammar.malformed(part.path, keyword, message)
            return {}
        return value

    def _names(self, part: Part) -> list[str]:
        value = part.get("required")
        if value is None and not part.has("required"):
            return []
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self._grammar.malformed(part.path, "required", "must be a list of strings")
            return []
        if len(value) > MAX_PROPERTIES:
            message = f"must have at most {MAX_PROPERTIES} names"
            self._grammar.malformed(part.path, "required", message)
            return []
        return value

    def _read_patterns(self, part: Part) -> Iterable[_Pattern]:
        for pattern, schema in self._object(part, "patternProperties").items():
            path = (*part.path, "patternProperties", pattern)
            try:
                tree = parsed_regex(pattern)
                can_match([tree], "")
            except UnsupportedRegexError as error:
                self._grammar.report(path[:-1], pattern, str(error))
            else:
                yield _Pattern(part, tree, schema, path)

    def _read_key(self, part: Part) -> None:
        """Notes what propertyNames says, as far as it is about texts."""
        path = (*part.path, "propertyNames")
        for one in self._grammar.flat([Part(part.schema["propertyNames"], path)]):
            values = one.get("enum")
            if isinstance(values, list):
                names = {value for value in values if isinstance(value, str)}
                self._key_names = names if self._key_names is None else self._key_names & names
            self._key_trees += [tree for tree, _, _ in string_trees(self._grammar, [one])]
            for keyword in one.schema.keys() - {"type", "enum", "pattern", "format"}:
                if keyword not in one.done:
                    self._grammar.report_unless_annotation(path, keyword)

    def check_strict(self) -> None:
        """Reports what OpenAI's strict mode demands of every object."""
        path = self._parts[0].path
        if not any(part.get("additionalProperties") is False for part in self._parts):
            message = "must be false on every object of a strict schema"
            self._grammar.malformed(path, "additionalProperties", message)
        missing = {name for own in self._properties for name in own} - self._required.keys()
        if missing:
            message = f"must name all properties of a strict schema: {len(missing)} are missing"
            self._grammar.malformed(path, "required", message)

    def named(self) -> list[_Member]:
        """The members with a known name that may be there. Raises Impossible."""
        members = []
        for name in self._all_names:
            is_required = name in self._required
            try:
                if not self._is_key(name):
                    raise Impossible(self._parts[0].path, "propertyNames", "forbids a member")
                value = self._grammar.inside(self._values_of(name))
            except Impossible:
                if is_required:
                    raise
                continue
            colon = self._grammar.rules.colon
            expression = self._grammar.rules.add(f"{constant(name)} {colon} {value}")
            members.append(_Member(expression, is_required))
        return members

    def _is_key(self, name: str) -> bool:
        if self._key_names is not None and name not in self._key_names:
            return False
        return not self._key_trees or _may_match(self._key_trees, name)

    def _values_of(self, name: str) -> list[Part]:
        found: list[Part] = []
        for part, own in zip(self._parts, self._properties, strict=True):
            n_before = len(found)
            if name in own:
                found.append(Part(own[name], (*part.path, "properties", name)))
            found += [
                Part(pattern.schema, pattern.path)
                for pattern in self._patterns
                if pattern.part is part and _may_match([pattern.tree], name)
            ]
            if len(found) == n_before:
                found += self._additional(part)
        return found

    def _additional(self, part: Part) -> list[Part]:
        if not part.has("additionalProperties"):
            return []
        return [Part(part.get("additionalProperties"), (*part.path, "additionalProperties"))]

    def rest(self) -> str | None:
        """One member that is none of the named; None: there are no others."""
        if self._key_names is not None:
            return None
        parts = []
        patterns = self._patterns
        if len(patterns) > MAX_PATTERNS:
            for pattern in patterns[MAX_PATTERNS:]:
                message = f"is more than {MAX_PATTERNS}"
                self._grammar.report(pattern.path[:-1], pattern.path[-1], message)
            patterns = patterns[:MAX_PATTERNS]
        for n_matched in range(len(patterns) + 1):
            for matched in combinations(patterns, n_matched):
                member = self._other(matched, [one for one in patterns if one not in matched])
                if member is not None:
                    parts.append(member)
        return self._grammar.rules.add(any_of(parts)) if parts else None

    def _other(self, matched: Sequence[_Pattern], others: Sequence[_Pattern]) -> str | None:
        """A member whose key matches these patterns and not the others."""
        values: list[Part] = []
        for part in self._parts:
            own = [Part(one.schema, one.path) for one in matched if one.part is part]
            values += own or self._additional(part)
        if not matched and not self._is_open:
            return None
        try:
            value = self._grammar.inside(values)
        except Impossible:
            return None
        key = self._key([one.tree for one in matched], [one.tree for one in others])
        return None if key is None else f"{key} {self._grammar.rules.colon} {value}"

    @property
    def _is_open(self) -> bool:
        """Whether members are allowed that no keyword names."""
        explicit = [p for p in self._parts if p.has("additionalProperties")]
        if explicit:
            return all(part.get("additionalProperties") is not False for part in explicit)
        return not (self._all_names or self._patterns)

    def _key(self, matched: Sequence[Tree], others: Sequence[Tree]) -> str | None:
        rules = self._grammar.rules
        names = self._all_names
        trees = [*matched, *self._key_trees]
        lengths = [len(name) for name in names]
        if max(lengths, default=0) > MAX_NAME_CHARS or sum(lengths) > MAX_NAMES_CHARS:
            return None
        if not trees and not others:
            return rules.add(other_key(rules, names)) if names else rules.string
        excluded = [*others, *(whole(_spelled(name)) for name in names)]
        try:
            return rules.add(quoted(json_text(trees, rules, excluded=excluded)))
        except UnsupportedRegexError:
            return None


def _may_match(trees: Sequence[Tree], name: str) -> bool:
    """Whether all of `trees` match in `name`; they do where that takes too long to tell."""
    try:
        return can_match(trees, name)
    except UnsupportedRegexError:
        return True


def _spelled(text: str) -> Tree:
    return Chain(tuple(Chars(((ord(char), ord(char)),)) for char in text))


def _sequence(grammar: SchemaGrammar, members: Sequence[_Member], rest: str | None) -> str:
    """The members with their commas: `first` before any was written, `more` after one was."""
    comma, rules = grammar.rules.comma, grammar.rules
    more = f"({comma} {rest})*" if rest else '""'
    first = f"({rest} {more})?" if rest else '""'
    for member, is_required in reversed(members):
        if is_required:
            first = f"{member} {more}"
            more = rules.add(f"{comma} {member} {more}")
        else:
            first = rules.add(any_of([f"{member} {more}", first]))
            more = rules.add(f"({comma} {member})? {more}")
    return first


def _counted(
    grammar: SchemaGrammar,
    members: Sequence[_Member],
    rest: str | None,
    least: int,
    most: int | None,
) -> str | None:
    """The same with `least` to `most` members; None: that cannot be.

    Keys of other members may be the same, so one of them counts at most.
    """
    comma, rules = grammar.rules.comma, grammar.rules
    n_told = max(least, most or 0)
    after = [_other_members(comma, rest, n, least, most) for n in range(n_told + 1)]
    for member, is_required in reversed(members):
        before: list[str | None] = []
        for n in range(n_told + 1):
            written = None
            following = after[min(n + 1, n_told)]
            if (most is None or n < most) and following is not None:
                written = f"{comma if n else ''} {member} {following}"
            skipped = None if is_required else after[n]
            told = [one for one in (written, skipped) if one is not None]
            before.append(rules.add(any_of(told)) if told else None)
        after = before
    return after[0]


def _other_members(
    comma: str, rest: str | None, n: int, least: int, most: int | None
) -> str | None:
    """What may follow after `n` named members."""
    n_missing = least - n
    if rest is None or n == most:
        return '""' if n_missing <= 0 else None
    if n_missing > 1:
        return None
    n_more = "" if most is None else str(most - n - 1)
    others = f"{comma if n else ''} {rest} ({comma} {rest}){{0,{n_more}}}"
    return others if n_missing == 1 else f"({others})?"
