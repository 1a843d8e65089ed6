"""Request bodies of POST /v1/rerank: Jina's and Cohere's, and that of TEI."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import INT32_MAX, ModelName, RequestModel, check_text_size, invalid
from pyserve.schemas.fields.accepted import Label
from pyserve.schemas.fields.context import ContextFields
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.fields.pairs import PairFields
from pyserve.schemas.unsupported import VECTORS, FieldTable

MAX_DOCUMENTS = 1000
TopN = Annotated[int, Field(ge=1, le=INT32_MAX)]
FieldName = Annotated[str, Field(max_length=256)]


class DocumentObject(RequestModel):
    """A document as an object; it may have any fields beside its text."""

    model_config = ConfigDict(extra="allow")

    text: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """All of them, as they came."""
        own = {} if self.text is None else {"text": self.text}
        return own | (self.model_extra or {})

    def joined(self, names: list[str]) -> str:
        """The fields of these names, each on a line of its own, as Cohere's clients write them."""
        found = [(name, self.fields[name]) for name in names if name in self.fields]
        return "\n".join(f"{name}: {_plain(value)}" for name, value in found)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shape(value: object) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<object>" if isinstance(value, dict | DocumentObject) else None


Document = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[DocumentObject, Tag("<object>")],
    Discriminator(
        _shape,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or an object with a text",
    ),
]
Query = Annotated[str, Field(min_length=1)]


class RerankRequest(ContextFields, PairFields):
    """Documents to sort by how well they answer a query.

    top_n: only the best of them. return_documents: the results have them. rank_fields: what is read
    of documents that are objects, absent: `text`. max_tokens_per_doc: longer documents are cut.
    method: `generate` asks a chat model about each document, also one that is made for ranking.
    """

    foreign: ClassVar[FieldTable] = VECTORS

    model: ModelName | None = None
    query: Query
    documents: Annotated[
        list[Document], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True)
    ]
    top_n: TopN | None = None
    return_documents: bool | None = None
    rank_fields: Annotated[list[FieldName], Field(min_length=1, max_length=64)] | None = None
    max_tokens_per_doc: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    method: Literal["generate"] | None = None
    lora: LoraChoices | None = None
    user: Label | None = None

    @model_validator(mode="after")
    def _texts_are_there_and_bounded(self) -> RerankRequest:
        for i, document in enumerate(self.documents):
            if isinstance(document, str) or self._text(document) is not None:
                continue
            if self.rank_fields is None:
                message = "is required, or rank_fields that the document has"
                name = f"documents.{i}.text"
                raise invalid("missing_required_parameter", message, name)
            raise invalid("invalid_value", "has none of rank_fields", f"documents.{i}")
        check_pair_texts([self.query] * len(self.documents), self.texts, "query", "documents")
        return self

    def _text(self, document: DocumentObject) -> str | None:
        if self.rank_fields is None:
            return document.text
        return document.joined(self.rank_fields) or None

    @property
    def texts(self) -> list[str]:
        """The documents."""
        return [
            each if isinstance(each, str) else self._text(each) or "" for each in self.documents
        ]


class TextRerankRequest(ContextFields, PairFields):
    """The same as TEI's clients ask for it: the answer is a list.

    return_text: its elements have the texts. top_n: only the best of them.
    """

    foreign: ClassVar[FieldTable] = VECTORS

    model: ModelName | None = None
    query: Query
    texts: Annotated[list[str], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True)]
    return_text: bool | None = None
    top_n: TopN | None = None
    lora: LoraChoices | None = None
    user: Label | None = None

    @model_validator(mode="after")
    def _texts_are_bounded(self) -> TextRerankRequest:
        check_pair_texts([self.query] * len(self.texts), self.texts, "query", "texts")
        return self


def check_pair_texts(firsts: list[str], seconds: list[str], first: str, second: str) -> None:
    """Refuse pairs of texts that are together too large: each is read with its other one."""
    n_firsts = sum(len(text.encode()) for text in firsts)
    check_text_size(n_firsts, first)
    check_text_size(n_firsts + sum(len(text.encode()) for text in seconds), second)
