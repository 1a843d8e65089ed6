"""POST /v1/schema/check: reports keywords that cannot be enforced, without running a model."""

from __future__ import annotations

import msgspec

from pyserve.openai.structured.constraint import MAX_COMPILED_BYTES, schema_path
from pyserve.openai.structured.schema import Issue, SchemaGrammar
from pyserve.schemas.fields.constraints import SchemaCheckRequest


class UnsupportedKeyword(msgspec.Struct, frozen=True):
    """A keyword that cannot be enforced, and where it stands."""

    path: str
    keyword: str
    message: str


class SchemaCheck(msgspec.Struct, frozen=True):
    """Answers /v1/schema/check. ok: a request with this schema is not refused for it.

    unsupported: what it is, or with `strict` would be, refused for. unenforced: what answers are
    not held to, only checked against; X-Unenforced names it.
    """

    ok: bool
    unsupported: list[UnsupportedKeyword]
    unenforced: list[str]
    grammar_bytes: int
    n_rules: int


def check_schema(body: SchemaCheckRequest) -> SchemaCheck:
    """All keywords that cannot be enforced, and the size of the grammar (0: there is none)."""
    is_strict = bool(body.strict)
    grammar = SchemaGrammar(body.schema_, is_strict=is_strict)
    unsupported = [_keyword(issue) for issue in grammar.issues if is_strict or issue.is_malformed]
    unenforced = [schema_path(one.path, one.keyword) for one in grammar.issues]
    if unsupported:
        return SchemaCheck(False, unsupported, unenforced, 0, 0)
    n_bytes = len(grammar.text().encode())
    return SchemaCheck(n_bytes <= MAX_COMPILED_BYTES, [], unenforced, n_bytes, len(grammar.rules))


def _keyword(issue: Issue) -> UnsupportedKeyword:
    return UnsupportedKeyword(".".join(issue.path), issue.keyword, issue.message)
