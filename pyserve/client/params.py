"""How answers are to be made: `SamplingParams`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# tokens: int32 [n], all so far, the prompt's first. logits: float32 [n_vocab], as the model gives
# them; may be changed in place. Returns the logits to go on with, or None: those it was given.
LogitsProcessor = Callable[
    ["NDArray[np.int32]", "NDArray[np.float32]"], "NDArray[np.float32] | None"
]

_LOCAL = frozenset({"logits_processors", "extra", "logprobs"})


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How the tokens of an answer are chosen, and where it ends.

    What is None is as the model's configuration says, or else the server's default: temperature
    0.8, top_k 40, top_p 0.95, min_p 0.05, a random seed, and as many tokens as the context has room
    for. The names are those of the HTTP API, where the ranges are: a value outside raises
    InvalidRequestError when it is used.

    n: answers to each prompt. max_tokens, min_tokens: of each answer. temperature: 0 takes the most
      probable token. top_k, top_p, min_p, typical_p: which tokens are left to choose among.
    repetition_penalty, presence_penalty, frequency_penalty: against tokens that were there.
    stop, stop_token_ids: the answer ends before the first of these. ignore_eos: the model's own end
      does not end it.
    seed: the same one gives the same answer. logit_bias: added to the logits of token ids.
    bad_words, allowed_token_ids: what is never said, and what alone is.
    logprobs: log-probabilities of the tokens of the answer and of so many alternatives.
    logits_processors: functions of this process between the model and the sampling of each token,
      with `pyserve.LLM` only, see LogitsProcessor. Exact, and slow: two steps of the model, and two
      round trips, for each token.
    extra: any other field of the request, such as `{"dry_multiplier": 0.8}`.
    """

    n: int | None = None
    max_tokens: int | None = None
    min_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: str | Sequence[str] | None = None
    stop_token_ids: Sequence[int] | None = None
    ignore_eos: bool | None = None
    seed: int | None = None
    logit_bias: Mapping[int, float] | None = None
    bad_words: Sequence[str] | None = None
    allowed_token_ids: Sequence[int] | None = None
    logprobs: int | None = None
    logits_processors: Sequence[LogitsProcessor] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The fields of a request's body that say the same; without `logprobs`, which endpoints
        write in their own ways."""
        own = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in _LOCAL and getattr(self, each.name) is not None
        }
        if "logit_bias" in own:
            biases = own["logit_bias"].items()
            own["logit_bias"] = {str(int(token)): float(bias) for token, bias in biases}
        for name in ("stop_token_ids", "allowed_token_ids"):
            if name in own:
                own[name] = [int(token) for token in own[name]]  # NumPy's are no numbers in JSON
        return {**own, **self.extra}
