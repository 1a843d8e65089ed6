"""One choice of a completion, with `echo` and log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from pyserve.engine.protocol import TokenLogprob
from pyserve.openai.completions.logprobs import LegacyLogprobs, LegacyLogprobsWriter, PromptEcho


class ChoiceWriter:
    """Writes a choice: the echoed prompt, then the answer, each with its logprobs arrays.

    prompt: its text; is_tokens: whether it came as token ids; has_ids: log-probabilities name
    tokens by their ids. One thread.
    """

    def __init__(
        self,
        prompt: str,
        *,
        is_tokens: bool = False,
        has_echo: bool = False,
        has_logprobs: bool = False,
        has_ids: bool = False,
    ) -> None:
        echo = PromptEcho(prompt, is_tokens=is_tokens, has_ids=has_ids) if has_echo else None
        self._echo = echo
        answer = LegacyLogprobsWriter(len(prompt), has_ids=has_ids) if has_logprobs else None
        self._answer = answer

    @property
    def is_plain(self) -> bool:
        """Whether texts pass through unchanged."""
        return self._answer is None and self._echo is None

    def open(self) -> str:
        """Text to send before anything is computed: the echo, if it needs no logprobs."""
        return self.rest() if self._answer is None else ""

    def write(
        self, text: str, tokens: Sequence[TokenLogprob], prompt_tokens: Sequence[TokenLogprob]
    ) -> tuple[str, LegacyLogprobs | None]:
        """The next part: of the prompt while `prompt_tokens` alone come, then of the answer."""
        if self._answer is None:
            return self.rest() + text, None
        echoed, arrays = "", None
        if self._echo is not None and prompt_tokens:
            echoed, arrays = self._echo.write(prompt_tokens)
        if not (text or tokens) and arrays is not None:
            return echoed, arrays
        answer = self._answer.write(tokens)
        return echoed + self.rest() + text, answer if arrays is None else arrays + answer

    def rest(self) -> str:
        """The part of an echoed prompt that is not given out yet."""
        return "" if self._echo is None else self._echo.rest()
