"""Fill-in-the-middle prompts of token ids: of `suffix`, and of POST /infill with other files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pyserve.engine.protocol import ModelInfo
from pyserve.schemas.infill import ExtraText, InfillRequest
from pyserve.schemas.validate import UnsupportedParameterError

Tokenize = Callable[..., list[int]]

NO_TOKEN = -1
# Control tokens that stand before the name of a project, and before the name of each of its files.
PROJECT_TOKENS = ("<|repo_name|>", "<|fim_repo|>", "<fim-repo>", "<REPO>", "<reponame>")
FILE_TOKENS = ("<|file_sep|>",)
UNNAMED = "filename"
DEFAULT_ANSWER = 256  # tokens that are left for an answer without a limit of its own


class ProjectTokens(NamedTuple):
    """The control tokens of a vocabulary that knows files of a project."""

    project: int
    file: int


def infill_prompts(
    prompts: Sequence[str | list[int]],
    suffix: str,
    info: ModelInfo,
    tokenize: Tokenize,
) -> list[list[int]]:
    """The token ids of each prompt, the suffix behind it, and the token that asks for the middle.

    tokenize: the engine's. Control tokens that stand in the texts are plain text.
    Raises UnsupportedParameterError for a model that has no tokens for this.
    """
    pre, suf, mid = _middle_tokens(info, "suffix")
    bos = tokenize("", add_special=True, parse_special=False)
    behind = [suf, *_plain(tokenize, suffix), mid]
    return [
        [*bos, pre, *(_plain(tokenize, prompt) if isinstance(prompt, str) else prompt), *behind]
        for prompt in prompts
    ]


def file_prompt(body: InfillRequest, info: ModelInfo, tokenize: Tokenize, n_ctx: int) -> list[int]:
    """The prompt of POST /infill, cut so that it and an answer fit into `n_ctx` tokens.

    Of what is before and after the cursor the nearest is kept, three quarters of the room for what
    is before, or more where the other needs less; other files get what is left, the last ones
    first. tokenize: the engine's. Raises UnsupportedParameterError as `infill_prompts`.
    """
    pre, suf, mid = _middle_tokens(info, "input_prefix")
    bos = tokenize("", add_special=True, parse_special=False)
    written = _plain(tokenize, body.prompt or "")
    before, after = _plain(tokenize, body.input_prefix), _plain(tokenize, body.input_suffix)
    n_answer = min(DEFAULT_ANSWER if body.n_max_tokens is None else body.n_max_tokens, n_ctx // 2)
    n_room = max(0, n_ctx - max(n_answer, 1) - len(bos) - len((pre, suf, mid)) - len(written))
    n_before, n_after = split_room(n_room, len(before), len(after))
    extra = _other_files(body.input_extra or [], tokenize, n_room - n_before - n_after)
    nearest = before[len(before) - n_before :]
    return [*bos, *extra, pre, *nearest, *written, suf, *after[:n_after], mid]


def split_room(n_room: int, n_before: int, n_after: int) -> tuple[int, int]:
    """How many tokens before and after the cursor are kept in a room of `n_room`."""
    n_kept_after = min(n_after, max(n_room // 4, n_room - n_before))
    return min(n_before, n_room - n_kept_after), n_kept_after


def project_tokens(tokenize: Tokenize) -> ProjectTokens | None:
    """Those of the model, found by their usual names; None: it does not have both."""
    project, file = _control_token(PROJECT_TOKENS, tokenize), _control_token(FILE_TOKENS, tokenize)
    return None if project is None or file is None else ProjectTokens(project, file)


def _other_files(extra: Sequence[ExtraText], tokenize: Tokenize, n_room: int) -> list[int]:
    """Texts of other files, with their names; of the first one that does not fit its end."""
    if not extra:
        return []
    tokens = project_tokens(tokenize)
    opening, closing = [], []
    if tokens is not None:
        opening = [tokens.project, *_plain(tokenize, "project\n")]
        closing = [tokens.file, *_plain(tokenize, f"{UNNAMED}\n")]
    n_left = n_room - len(opening) - len(closing)
    chunks: list[list[int]] = []
    for each in reversed(extra):
        name = each.filename or UNNAMED
        if tokens is None:
            head = _plain(tokenize, f"\n\n--- {name} ---\n\n")
        else:
            head = [tokens.file, *_plain(tokenize, f"{name}\n")]
        n_text = n_left - len(head)
        if n_text <= 0:
            break
        text = _plain(tokenize, each.text)[-n_text:]
        chunks.append([*head, *text])
        n_left = n_text - len(text)
    if not chunks:
        return []
    return [*opening, *(token for chunk in reversed(chunks) for token in chunk), *closing]


def _middle_tokens(info: ModelInfo, param: str) -> tuple[int, int, int]:
    tokens = info.fim_pre_token, info.fim_suf_token, info.fim_mid_token
    if NO_TOKEN in tokens:
        message = f"{param} needs a model with fill-in-the-middle tokens; this one has none"
        raise UnsupportedParameterError(message, param=param)
    return tokens


def _plain(tokenize: Tokenize, text: str) -> list[int]:
    return tokenize(text, add_special=False, parse_special=False) if text else []


def _control_token(names: Sequence[str], tokenize: Tokenize) -> int | None:
    """The first of these names that is a control token."""
    for name in names:
        tokens = tokenize(name, add_special=False, parse_special=True)
        if len(tokens) == 1 and tokens != _plain(tokenize, name):
            return tokens[0]
    return None
