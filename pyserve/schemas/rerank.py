"""Request body of POST /v1/rerank."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import INT32_MAX, ModelName, RequestModel, check_text_size
from pyserve.schemas.fields.accepted import Label
from pyserve.schemas.fields.context import ContextFields
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.unsupported import VECTORS, FieldTable, Unsupported

MAX_DOCUMENTS = 1000


class DocumentText(RequestModel):
    """A document as an object."""

    text: str


def _shape(value: object) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<object>" if isinstance(value, dict | DocumentText) else None


Document = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[DocumentText, Tag("<object>")],
    Discriminator(
        _shape,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or an object with a text",
    ),
]


class RerankRequest(ContextFields, SchedulingFields):
    """Documents to sort by how well they answer a query.

    top_n: only the best of them. return_documents: the results have their texts. method: `generate`
    asks a chat model whether each document helps, the only one that there is.
    """

    foreign: ClassVar[FieldTable] = VECTORS
    unsupported: ClassVar[Unsupported] = {"max_tokens_per_doc": (), "raw_scores": (False,)}

    model: ModelName | None = None
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[
        list[Document], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True)
    ]
    top_n: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    return_documents: bool | None = None
    method: Literal["generate"] | None = None
    lora: LoraChoices | None = None
    user: Label | None = None

    @model_validator(mode="after")
    def _texts_are_bounded(self) -> RerankRequest:
        """Each document is read with the query."""
        n_query = len(self.query.encode()) * len(self.documents)
        check_text_size(n_query, "query")
        check_text_size(n_query + sum(len(text.encode()) for text in self.texts), "documents")
        return self

    @property
    def texts(self) -> list[str]:
        """The documents."""
        return [each if isinstance(each, str) else each.text for each in self.documents]
