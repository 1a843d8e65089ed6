"""Prompts of pairs of texts, a query and a document: how a model reads them, and cutting them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from pyserve.engine.protocol import Engine, ModelInfo, Segment
from pyserve.errors import ContextLengthExceededError, InvalidRequestError
from pyserve.models.profile import ModelProfile
from pyserve.openai.scoring import chat_prompt

MakePrompt = Callable[[str, str], list[int]]

SYSTEM_MESSAGE = (
    "You judge what a search has found. Say Yes if the document helps to answer the query, else No."
)
# That of Qwen3-Reranker, whose files may lack it.
QWEN3_TEMPLATE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and"
    ' the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that answer"
    " the query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
_QWEN3_RERANKER = re.compile(r"qwen3.*rerank", re.IGNORECASE)
_PLACES = re.compile(r"\{(query|document)\}")
_MOST_CUTS = 4


@dataclass(frozen=True)
class Cut:
    """What may be cut of the second text of a pair. n_tokens: what is left of a longer one, at
    most; None: any. to_fit: so much more that the model can read the pair. at_begin: and where."""

    n_tokens: int | None = None
    to_fit: bool = False
    at_begin: bool = False


def rank_template(info: ModelInfo) -> str:
    """The template of a query and a document that a model was trained with; "": none is known."""
    if info.rank_template:
        return info.rank_template
    is_known = info.architecture.startswith("qwen3") and _QWEN3_RERANKER.search(info.name)
    return QWEN3_TEMPLATE if is_known else ""


def rerank_messages(query: str, document: str) -> list[dict[str, str]]:
    """The conversation that asks about one document; what all share stands first."""
    question = "Does the document help to answer the query? Answer Yes or No."
    task = f"Query: {query}\n\nDocument: {document}\n\n{question}"
    return [{"role": "system", "content": SYSTEM_MESSAGE}, {"role": "user", "content": task}]


def chat_pairs(engine: Engine, profile: ModelProfile) -> MakePrompt:
    """Asks a chat model about each document."""
    return lambda query, document: chat_prompt(engine, rerank_messages(query, document), profile)


def joined_pairs(engine: Engine, info: ModelInfo) -> MakePrompt:
    """Both texts, with the tokens around them that the vocabulary has for that."""

    @functools.cache
    def query_tokens(query: str) -> list[int]:
        return [*info.pair.before, *_plain_tokens(engine, query), *info.pair.between]

    def prompt(query: str, document: str) -> list[int]:
        return [*query_tokens(query), *_plain_tokens(engine, document), *info.pair.after]

    return prompt


def template_pairs(engine: Engine, source: str) -> MakePrompt:
    """Both texts in a template; control tokens are read in the template alone.

    Raises InvalidRequestError for a template without them.
    """
    parts = _PLACES.split(source)
    if not {"query", "document"} <= set(parts[1::2]):
        message = "the model's template `rerank` has no {query} or no {document}"
        raise InvalidRequestError(message, param="model")

    def prompt(query: str, document: str) -> list[int]:
        texts = {"query": query, "document": document}
        segments = [
            Segment(texts[part], is_input=True) if i % 2 else Segment(part, is_input=False)
            for i, part in enumerate(parts)
        ]
        return engine.tokenize_segments([each for each in segments if each.text])

    return prompt


class PairPrompts:
    """Makes the prompts of pairs, and tells which second texts it has cut.

    n_most: most tokens of a prompt.
    """

    def __init__(self, engine: Engine, make: MakePrompt, n_most: int, cut: Cut) -> None:
        self._engine = engine
        self._make = make
        self._n_most = n_most
        self._cut = cut
        self.cut_params: list[str] = []

    def prompt(self, first: str, second: str, param: str) -> list[int]:
        """The tokens of a pair. param: the second text's field.

        Raises ContextLengthExceededError.
        """
        text = second if self._cut.n_tokens is None else self._shortened(second, self._cut.n_tokens)
        tokens = self._make(first, text)
        for _ in range(_MOST_CUTS if self._cut.to_fit else 0):
            n_over = len(tokens) - self._n_most
            if n_over <= 0 or not text:
                break
            n_left = max(len(_plain_tokens(self._engine, text)) - n_over, 0)
            text = self._shortened(text, n_left)
            tokens = self._make(first, text)
        if text != second:
            self.cut_params.append(param)
        if len(tokens) > self._n_most:
            self._refuse(len(tokens), param)
        return tokens

    def _refuse(self, n_tokens: int, param: str) -> None:
        hint = "even without this text" if self._cut.to_fit else "`truncate` cuts this text"
        message = (
            f"{param}: it has {n_tokens:,} tokens with the other text and what stands around both,"
            f" {self._n_most:,} at most are read; {hint}"
        )
        raise ContextLengthExceededError(
            message, param=param, n_prompt_tokens=n_tokens, n_ctx=self._n_most
        )

    def _shortened(self, text: str, n_tokens: int) -> str:
        """As much of a text as has about `n_tokens` tokens, and ends with one of them."""
        tokens = _plain_tokens(self._engine, text)
        if len(tokens) <= n_tokens:
            return text
        left = tokens[len(tokens) - n_tokens :] if self._cut.at_begin else tokens[:n_tokens]
        piece = b"".join(self._engine.pieces(left)) if left else b""
        whole = text.encode()
        for part in (piece, piece.removeprefix(b" ")):  # some vocabularies begin with a space
            if whole.endswith(part) if self._cut.at_begin else whole.startswith(part):
                return part.decode(errors="ignore")
        return self._longest(text, n_tokens)

    def _longest(self, text: str, n_tokens: int) -> str:
        """The same for a vocabulary that does not keep the bytes of texts: by trying."""
        n_fit, n_too_many = 0, len(text)  # characters
        while n_too_many - n_fit > 1:
            n_tried = (n_fit + n_too_many) // 2
            if len(_plain_tokens(self._engine, self._part(text, n_tried))) <= n_tokens:
                n_fit = n_tried
            else:
                n_too_many = n_tried
        return self._part(text, n_fit)

    def _part(self, text: str, n_characters: int) -> str:
        return text[len(text) - n_characters :] if self._cut.at_begin else text[:n_characters]


def _plain_tokens(engine: Engine, text: str) -> list[int]:
    return engine.tokenize(text, add_special=False, parse_special=False) if text else []
