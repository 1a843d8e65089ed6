"""`suffix`: fill-in-the-middle prompts of token ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyserve.engine.protocol import ModelInfo
from pyserve.schemas.validate import UnsupportedParameterError

NO_TOKEN = -1


def infill_prompts(
    prompts: Sequence[str | list[int]],
    suffix: str,
    info: ModelInfo,
    tokenize: Callable[..., list[int]],
) -> list[list[int]]:
    """The token ids of each prompt, the suffix behind it, and the token that asks for the middle.

    tokenize: the engine's. Control tokens that stand in the texts are plain text.
    Raises UnsupportedParameterError for a model that has no tokens for this.
    """
    pre, suf, mid = info.fim_pre_token, info.fim_suf_token, info.fim_mid_token
    if NO_TOKEN in (pre, suf, mid):
        message = "suffix needs a model with fill-in-the-middle tokens; this one has none"
        raise UnsupportedParameterError(message, param="suffix")

    def tokens_of(text: str) -> list[int]:
        return tokenize(text, add_special=False, parse_special=False)

    bos = tokenize("", add_special=True, parse_special=False)
    behind = [suf, *tokens_of(suffix), mid]
    return [
        [*bos, pre, *(tokens_of(prompt) if isinstance(prompt, str) else prompt), *behind]
        for prompt in prompts
    ]
