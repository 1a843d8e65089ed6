"""POST /api/chat, /api/generate: the output of an engine request to lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from pyserve.engine.protocol import Delta, Finish, GenerateRequest, TokenLogprob
from pyserve.ollama.lines import Line, LineMaker, OllamaCall, OllamaFunction, ollama_logprobs
from pyserve.openai.answer import Output
from pyserve.openai.tools.parsed_answer import ReadChoice
from pyserve.openai.tools.parts import AnswerStyle, CallArguments, CallBegin, Text, Thought

PLAIN_TEXT = AnswerStyle()


class LineAnswer:
    """Implements `StreamAnswer` for one engine request.

    style: the parts of its answer. Calls are shown when they are complete; the one that an answer
    without room left ends in is left out.
    """

    def __init__(
        self,
        request: GenerateRequest,
        maker: LineMaker,
        style: AnswerStyle = PLAIN_TEXT,
        *,
        prompt_param: str,
        grammar_param: str,
    ) -> None:
        self.requests = [request]
        self.prompt_param, self.grammar_param = prompt_param, grammar_param
        self._maker = maker
        self._style = style
        self._has_logprobs = request.n_logprobs is not None
        self._read = ReadChoice(style)
        self._n_shown = 0
        self._held: list[TokenLogprob] = []
        self._finish: Finish | None = None

    def response(self, outputs: Sequence[Output]) -> Line:
        (output,) = outputs
        read = ReadChoice(self._style).push_all(output.deltas)
        logprobs = ollama_logprobs(output.logprobs) if self._has_logprobs else UNSET
        return self._maker.line(
            read.text,
            thinking=read.reasoning,
            calls=_shown(read, 0, len(read.calls)),
            logprobs=logprobs,
            **self._maker.clock.counts(output.finish),
        )

    def open(self, n_prompt_tokens: int = 0) -> list[msgspec.Struct]:  # noqa: ARG002
        return []

    def push(self, index: int, delta: Delta) -> list[msgspec.Struct]:  # noqa: ARG002
        self._held += delta.logprobs or []
        self._finish = delta.finish
        given: list[dict[str, Any]] = []
        n_begun = len(self._read.calls)
        for piece in self._read.push(delta):
            match piece:
                case Text(text):
                    given += [*self._calls(n_begun), {"text": text}]
                case Thought(text):
                    given += [*self._calls(n_begun), {"thinking": text}]
                case CallBegin():
                    given += self._calls(n_begun)
                    n_begun += 1
                case CallArguments():
                    pass
        if delta.finish is not None:
            given += self._calls(n_begun)
        if self._has_logprobs and self._held and given:
            given[0]["logprobs"] = self._taken()
        return [self._maker.line(**fields) for fields in given]

    def text_chunk(self, index: int, text: str) -> msgspec.Struct | None:  # noqa: ARG002
        if self._has_logprobs or not self._style.is_plain:
            return None
        return self._maker.line(text)

    def close(self) -> list[msgspec.Struct]:
        assert self._finish is not None, "the request has finished"
        more = self._maker.clock.counts(self._finish)
        if self._has_logprobs and self._held:
            more["logprobs"] = self._taken()
        return [self._maker.line(**more)]

    def _calls(self, n_complete: int) -> list[dict[str, Any]]:
        """Those of the first `n_complete` calls that were not shown before."""
        calls = _shown(self._read, self._n_shown, n_complete)
        self._n_shown = n_complete
        return [{"calls": calls}] if calls else []

    def _taken(self) -> Any:
        held, self._held = self._held, []
        return ollama_logprobs(held)


def _shown(read: ReadChoice, begin: int, end: int) -> list[OllamaCall]:
    """Calls [begin, end) whose arguments are whole."""
    shown = []
    for i, call in enumerate(read.calls[begin:end], begin):
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError:
            continue
        if isinstance(arguments, dict):
            shown.append(OllamaCall(call.id, OllamaFunction(i, call.name, arguments)))
    return shown
