"""Maps request fields to sampling parameters and engine requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pyserve.engine.protocol import GenerateRequest, ModelInfo, SamplingParams
from pyserve.errors import InvalidRequestError
from pyserve.openai.adapters import request_adapters
from pyserve.schemas.common import INT64_MAX, as_list
from pyserve.schemas.fields.logit_bias import BAN
from pyserve.schemas.fields.sampling import SamplingFields

RANDOM_SEED = -1  # as in llama.cpp and LocalAI
TOP_P_OF_ONE = 1e-6  # the most probable token alone has as much
_SAME_NAME = frozenset(SamplingParams.__struct_fields__) - {"seed"}


def sampling_params(fields: SamplingFields, info: ModelInfo) -> SamplingParams:
    """Absent fields take the engine's defaults; top_k -1 means 0 (off), top_p 0 the
    most probable token; seed -1 means random.

    Raises InvalidRequestError for a logit_bias on a token that the model does not have, or that
    bans all of them. REQUIRES: a logit_bias of token ids (`with_token_ids`).
    """
    given = {name: getattr(fields, name) for name in _SAME_NAME}
    given = {name: value for name, value in given.items() if value is not None}
    if fields.logit_bias is not None:
        given["logit_bias"] = _checked_biases(fields.logit_bias, info)
    if given.get("top_k") == -1:
        given["top_k"] = 0
    if given.get("top_p") == 0:
        given["top_p"] = TOP_P_OF_ONE
    if fields.dry_sequence_breakers is not None:
        given["dry_sequence_breakers"] = tuple(fields.dry_sequence_breakers)
    check_tokens(fields.allowed_token_ids or [], info, "allowed_token_ids")
    if fields.seed is not None and fields.seed != RANDOM_SEED:
        given["seed"] = fields.seed & INT64_MAX
    return SamplingParams(**given)


def base_request(fields: SamplingFields, info: ModelInfo, **rest: Any) -> GenerateRequest:
    """The request common to all choices of `fields`; `rest` sets its other fields.

    Raises as `sampling_params`, and for a LoRA adapter that the model does not have.
    """
    check_tokens(fields.stop_token_ids or [], info, "stop_token_ids")
    decode_ms = fields.t_max_predict_ms or 0
    return GenerateRequest(
        sampling=sampling_params(fields, info),
        stop=list(as_list(fields.stop)) if fields.stop is not None else [],
        stop_token_ids=fields.stop_token_ids or [],
        shows_stop=bool(fields.include_stop_str_in_output),
        min_tokens=fields.min_tokens or 0,
        max_decode_ms=decode_ms if decode_ms > 0 else None,
        adapters=request_adapters(fields.lora, info),
        **rest,
    )


def expand(request: GenerateRequest, n: int) -> list[GenerateRequest]:
    """`n` requests that differ in nothing but the seed: s, s+1, ... when there is one."""
    seed = request.sampling.seed
    if seed is None:
        return [request] * n
    seeds = [(seed + i) & INT64_MAX for i in range(n)]
    samplings = [msgspec.structs.replace(request.sampling, seed=s) for s in seeds]
    return [msgspec.structs.replace(request, sampling=sampling) for sampling in samplings]


def scored_once(requests: list[GenerateRequest]) -> list[GenerateRequest]:
    """The requests of one prompt, of which the first alone is asked for its log-probabilities."""
    if requests[0].n_prompt_logprobs is None:
        return requests
    rest = [msgspec.structs.replace(each, n_prompt_logprobs=None) for each in requests[1:]]
    return [requests[0], *rest]


def _checked_biases(given: Mapping[int | str, float], info: ModelInfo) -> dict[int, float]:
    biases = {token: bias for token, bias in given.items() if isinstance(token, int)}
    assert len(biases) == len(given), "with_token_ids has looked texts up"
    check_tokens(list(biases), info, "logit_bias")
    if sum(bias == BAN for bias in biases.values()) == info.n_vocab:
        message = f"logit_bias bans all {info.n_vocab} tokens of the vocabulary"
        raise InvalidRequestError(message, param="logit_bias")
    return biases


def check_tokens(tokens: Sequence[int], info: ModelInfo, param: str) -> None:
    """Raise InvalidRequestError when a token id is not in the vocabulary."""
    largest = max(tokens, default=0)
    if largest >= info.n_vocab:
        message = f"{param}: token id {largest} is not in the vocabulary of {info.n_vocab} tokens"
        raise InvalidRequestError(message, param=param)
