"""Answers that obey a JSON schema."""

from __future__ import annotations

import random

from bench.load.workloads import WORDS, Request

N_RECORDS = 6
MAX_TOKENS = 240
_RECORD = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 24},
        "color": {"enum": ["red", "green", "blue", "white", "black"]},
        "price": {"type": "integer", "minimum": 1, "maximum": 500},
        "in_stock": {"type": "boolean"},
    },
    "required": ["name", "color", "price", "in_stock"],
    "additionalProperties": False,
}
SCHEMA = {"type": "array", "items": _RECORD, "minItems": N_RECORDS, "maxItems": N_RECORDS}


def records(n: int, seed: int) -> list[Request]:
    """Requests for a list of records about different things."""
    requests = []
    for i in range(n):
        things = ", ".join(random.Random(seed + i).sample(WORDS, N_RECORDS))
        content = f"List {N_RECORDS} articles of a shop as JSON: {things}."
        schema = {"name": "articles", "schema": SCHEMA, "strict": True}
        extra: dict[str, object] = {
            "response_format": {"type": "json_schema", "json_schema": schema}
        }
        requests.append(
            Request([{"role": "user", "content": content}], MAX_TOKENS, extra, may_end=True)
        )
    return requests
