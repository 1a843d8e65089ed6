"""The models as Codex lists them, which asks `GET /models?client_version=...`.

Source: `ModelInfo` of openai/codex, codex-rs/protocol/src/openai_models.rs.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.openai.tools.recognition import may_think

MAX_OUTPUT_BYTES = 10_000  # of a command that the agent shows to the model
INSTRUCTIONS = (
    "You are a coding agent on the user's machine. Read files and run commands by calling tools,"
    " make the change that was asked for, check it, and say briefly what you did."
)
EFFORTS = {
    "low": "Thinks briefly",
    "medium": "Thinks as long as most tasks need",
    "high": "Thinks long",
}


class EffortPreset(msgspec.Struct, frozen=True):
    """A reasoning effort that can be chosen."""

    effort: str
    description: str


class TruncationPolicy(msgspec.Struct, frozen=True):
    """How much of a command's output the agent keeps."""

    mode: Literal["bytes", "tokens"] = "bytes"
    limit: int = MAX_OUTPUT_BYTES


class CodexModel(msgspec.Struct, frozen=True, kw_only=True):
    """What Codex has to know of a model. priority: the lowest comes first."""

    slug: str
    display_name: str
    description: str | None
    default_reasoning_level: str | None
    supported_reasoning_levels: list[EffortPreset]
    shell_type: str = "shell_command"
    visibility: str = "list"
    supported_in_api: bool = True
    priority: int
    upgrade: None = None
    base_instructions: str = INSTRUCTIONS
    supports_reasoning_summaries: bool
    support_verbosity: bool = False
    default_verbosity: None = None
    apply_patch_tool_type: None = None
    truncation_policy: TruncationPolicy = TruncationPolicy()
    supports_parallel_tool_calls: bool = False
    context_window: int | None
    experimental_supported_tools: list[Any] = []
    input_modalities: tuple[str, ...] = ("text",)


def codex_model(status: ModelStatus, priority: int) -> CodexModel:
    """The model as Codex lists it; its context is known once it has been loaded."""
    info = status.info
    thinks = info is not None and may_think(info.file_template)
    return CodexModel(
        slug=status.id,
        display_name=status.id,
        description=status.profile.description or None,
        default_reasoning_level="medium" if thinks else None,
        supported_reasoning_levels=[EffortPreset(*each) for each in EFFORTS.items() if thinks],
        priority=priority,
        supports_reasoning_summaries=thinks,
        context_window=None if info is None else info.n_ctx,
    )
