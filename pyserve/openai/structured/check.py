"""POST /v1/schema/check: reports keywords that cannot be enforced, without running a model."""

from __future__ import annotations

import msgspec

from pyserve.openai.structured.schema import SchemaGrammar
from pyserve.schemas.fields.constraints import MAX_GRAMMAR_BYTES, SchemaCheckRequest


class UnsupportedKeyword(msgspec.Struct, frozen=True):
    """A keyword that cannot be enforced, and where it stands."""

    path: str
    keyword: str
    message: str


class SchemaCheck(msgspec.Struct, frozen=True):
    """Answers /v1/schema/check. ok: a request with this schema is not refused for it."""

    ok: bool
    unsupported: list[UnsupportedKeyword]
    grammar_bytes: int
    n_rules: int


def check_schema(body: SchemaCheckRequest) -> SchemaCheck:
    """All keywords that cannot be enforced, and the size of the grammar (0: there is none)."""
    grammar = SchemaGrammar(body.schema_, is_strict=bool(body.strict))
    unsupported = [
        UnsupportedKeyword(".".join(issue.path), issue.keyword, issue.message)
        for issue in grammar.issues
    ]
    if unsupported:
        return SchemaCheck(False, unsupported, 0, 0)
    n_bytes = len(grammar.text().encode())
    return SchemaCheck(n_bytes <= MAX_GRAMMAR_BYTES, [], n_bytes, len(grammar.rules))
