"""Request body of POST /v1/score."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import ModelName, as_list, invalid
from pyserve.schemas.fields.accepted import Label
from pyserve.schemas.fields.context import ContextFields
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.fields.pairs import PairFields
from pyserve.schemas.rerank import MAX_DOCUMENTS, check_pair_texts
from pyserve.schemas.unsupported import VECTORS, FieldTable

OTHER_NAMES = {
    **dict.fromkeys(("queries", "data_1"), "text_1"),
    **dict.fromkeys(("documents", "items", "data_2"), "text_2"),
}


def _shape(value: object) -> str | None:
    if isinstance(value, str):
        return "<one>"
    return "<many>" if isinstance(value, list) else None


ScoredTexts = Annotated[
    Annotated[str, Tag("<one>")]
    | Annotated[
        list[str], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True), Tag("<many>")
    ],
    Discriminator(
        _shape,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of strings",
    ),
]


class ScoreRequest(ContextFields, PairFields):
    """Pairs of texts to score: one with one or with each of several, or as many with as many.

    queries and documents or items, data_1 and data_2: vLLM's other names of text_1 and text_2.
    """

    foreign: ClassVar[FieldTable] = VECTORS
    other_names: ClassVar[dict[str, str]] = OTHER_NAMES

    model: ModelName | None = None
    text_1: ScoredTexts | None = None
    text_2: ScoredTexts | None = None
    queries: ScoredTexts | None = None
    documents: ScoredTexts | None = None
    items: ScoredTexts | None = None
    data_1: ScoredTexts | None = None
    data_2: ScoredTexts | None = None
    lora: LoraChoices | None = None
    user: Label | None = None

    @model_validator(mode="before")
    @classmethod
    def _both_are_there(cls, data: Any) -> Any:
        for name in ("text_1", "text_2"):
            names = [name, *(other for other, own in OTHER_NAMES.items() if own == name)]
            if isinstance(data, dict) and all(data.get(each) is None for each in names):
                raise invalid("missing_required_parameter", "is required", name)
        return data

    @model_validator(mode="after")
    def _texts_are_paired_and_bounded(self) -> ScoreRequest:
        firsts, seconds = _given(self, "text_1"), _given(self, "text_2")
        if len(firsts) not in (1, len(seconds)):
            message = f"has {len(firsts)} texts for {len(seconds)} of text_2: give 1, or as many"
            raise invalid("invalid_value", message, "text_1")
        pairs = self.pairs
        check_pair_texts([one for one, _ in pairs], [two for _, two in pairs], "text_1", "text_2")
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What is scored, in order."""
        firsts, seconds = _given(self, "text_1"), _given(self, "text_2")
        return list(
            zip(firsts * len(seconds) if len(firsts) == 1 else firsts, seconds, strict=True)
        )


def _given(body: ScoreRequest, name: str) -> list[str]:
    names = [name, *(other for other, own in OTHER_NAMES.items() if own == name)]
    return as_list(next(value for each in names if (value := getattr(body, each)) is not None))
