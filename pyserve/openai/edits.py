"""POST /v1/edits: instruction and input to engine requests, outputs to a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import FinishReason, GenerateRequest, ModelInfo
from pyserve.models.templates.prompter import Prompter
from pyserve.openai.answer import Output, TokenUsage, new_head, token_usage
from pyserve.openai.configured.templated import segments_of
from pyserve.openai.sampling import base_request, expand
from pyserve.openai.scheduling import scheduling
from pyserve.openai.structured.constraint import constraint_of, grammar_param
from pyserve.openai.structured.validation import SchemaViolation
from pyserve.schemas.edits import EditRequest

SYSTEM_MESSAGE = (
    "You edit text. Change the given text as the instruction says."
    " Answer with the edited text alone: no explanation, no quotation marks."
)
# Instruction, input, edited text. Small models explain instead of editing unless shown how, and
# leave sentences out unless shown a text of several; the examples stand first, so their computation
# is shared by all edits.
EXAMPLES = (
    (
        "Correct the grammar",
        "The dogs was barking all night and nobody slept. In the morning my father go outside and"
        " looks for them. He find nothing, only a open gate and a empty bowl. We was all tired, and"
        " my sister have a headache.",
        "The dogs were barking all night and nobody slept. In the morning my father went outside"
        " and looked for them. He found nothing, only an open gate and an empty bowl. We were all"
        " tired, and my sister had a headache.",
    ),
    (
        "Say it in other words",
        "The meeting was cancelled because of the storm.",
        "Because of the storm, the meeting did not take place.",
    ),
)
# For models without a chat template: headings that instruction-tuned models know, and the first
# example alone, for they do as the last one does.
PLAIN_HEAD = "Each instruction below is followed by a text and by the edited text.\n\n"
PLAIN_STOP = "\n###"
SPARE_TOKENS = 512


class EditChoice(msgspec.Struct, frozen=True):
    """One edited text."""

    text: str
    index: int
    finish_reason: FinishReason
    logprobs: None = None
    stop_reason: str | int | None = None
    schema_violation: SchemaViolation | UnsetType = UNSET


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """The response; id, model and finish_reason go beyond the specification."""

    object: Literal["edit"] = "edit"
    id: str
    created: int
    model: str
    choices: list[EditChoice]
    usage: TokenUsage


class EditAnswer:
    """Implements `Answer` for an edit request. Choice i*n+j is the j-th of input i."""

    prompt_param = "input"

    def __init__(
        self, body: EditRequest, model: str, info: ModelInfo, prompter: Prompter | None = None
    ) -> None:
        self.grammar_param = grammar_param(body)
        self._constraint = constraint_of(body)
        self.unenforced = self._constraint.unenforced
        self._n = body.n or 1
        self._head = new_head("edit", model, info)
        self.requests = edit_requests(body, info, prompter)

    def response(self, outputs: Sequence[Output]) -> Edit:
        choices = [self._choice(index, output) for index, output in enumerate(outputs)]
        return Edit(
            id=self._head.id,
            created=self._head.created,
            model=self._head.model,
            choices=choices,
            usage=token_usage([output.finish for output in outputs], self._n),
        )

    def _choice(self, index: int, output: Output) -> EditChoice:
        reason = output.finish.reason
        found = self._constraint.violation(output.text) if reason == "stop" else None
        violation = UNSET if found is None else found
        return EditChoice(
            self._trimmed(output.text),
            index,
            reason,
            stop_reason=output.finish.stop_reason,
            schema_violation=violation,
        )

    def _trimmed(self, text: str) -> str:
        """The answer without outer white space; a constrained one is kept as it is."""
        return text if self.requests[0].grammar else text.strip()


def edit_requests(
    body: EditRequest, info: ModelInfo, prompter: Prompter | None = None
) -> list[GenerateRequest]:
    """The n engine requests of each input, input by input.

    prompter: the templates of the model's configuration. Raises TemplateError.
    """
    requests: list[GenerateRequest] = []
    base = base_request(body, info, grammar=constraint_of(body).grammar, **scheduling(body))
    for text in body.inputs:
        # A token is at least a byte: enough for an answer as long as the input, and then some.
        enough = len(text.encode()) + SPARE_TOKENS
        max_tokens = enough if body.max_tokens is None else body.n_max_tokens
        request = msgspec.structs.replace(base, max_tokens=max_tokens, draft=text)
        if prompter is not None and prompter.has_edit:
            segments = segments_of(prompter.edit(body.instruction, text))
            request = msgspec.structs.replace(request, segments=segments)
        elif info.has_chat_template:
            messages = edit_messages(body.instruction, text)
            request = msgspec.structs.replace(request, messages=messages)
        else:
            prompt = edit_prompt(body.instruction, text)
            stop = [*base.stop, PLAIN_STOP]
            request = msgspec.structs.replace(request, prompt=prompt, stop=stop)
        requests += expand(request, body.n or 1)
    return requests


def edit_messages(instruction: str, text: str) -> list[dict[str, str]]:
    """The conversation that asks a chat model for the edited text."""
    messages = [{"role": "system", "content": SYSTEM_MESSAGE}]
    for example_instruction, example_text, edited in EXAMPLES:
        messages.append({"role": "user", "content": _task(example_instruction, example_text)})
        messages.append({"role": "assistant", "content": edited})
    return [*messages, {"role": "user", "content": _task(instruction, text)}]


def _task(instruction: str, text: str) -> str:
    return f"{instruction}:\n\n{text}" if text else instruction


def edit_prompt(instruction: str, text: str) -> str:
    """The task as plain text, for a model without a chat template."""
    task = _section(instruction, text, "").removesuffix("\n\n")
    return PLAIN_HEAD + _section(*EXAMPLES[0]) + task


def _section(instruction: str, text: str, edited: str) -> str:
    head = f"### Instruction:\n{instruction}\n\n### Input:\n{text}\n\n"
    return f"{head}### Response:\n{edited}\n\n"
