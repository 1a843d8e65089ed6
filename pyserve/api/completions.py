"""POST /v1/completions."""

from __future__ import annotations

from flask import Response, request

from pyserve.api import native
from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.models.templates.go.marked import Marked
from pyserve.openai.completions.completions import Completion, CompletionAnswer
from pyserve.openai.completions.infill import infill_prompts
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.configured.templated import segments_of, templated_completion
from pyserve.openai.context_limit import usable_context
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.prompt_cut import answered_cut
from pyserve.openai.server.tokens import RenderedTokens
from pyserve.openai.token_biases import with_token_ids
from pyserve.schemas.completions import CompletionRequest
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.leasing import ask_engine
from pyserve.web.answer.reports import with_reports
from pyserve.web.answer.target import Target, choose_target
from pyserve.web.request.body import read_body
from pyserve.web.request.notes import notes
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

endpoint = Endpoint("completions", tag="Text", usecase="completion")


@endpoint.view(
    Operation(
        name="createCompletion",
        method="post",
        path="/completions",
        summary="Continue a text",
        details="No template is used. Streams end with `data: [DONE]`.",
        request=CompletionRequest,
        body=examples.COMPLETION,
        response=Completion,
        example=lambda: examples.completion().plain(),
        event_types=(Completion,),
        events=lambda: examples.completion().streamed(),
    )
)
def create(model: str | None = None) -> Response:
    if services().config.llama_native_completions and not _is_below_v1():
        return native.complete(model)
    body, target = _read(model)
    body = with_reports(body)
    noted = notes()

    def answer(engine: Engine) -> CompletionAnswer:
        info, prompts = engine.info(), _infilled(body, engine)
        biased = with_token_ids(body, engine)
        templated = _cut(templated_completion(biased, target.profile.prompt), engine)
        if body.return_token_ids:
            prompts = [_tokens_of(each, body, engine) for each in prompts or templated.prompts]
        made = CompletionAnswer(templated, target.model_id, info, engine.detokenize, prompts)
        noted.unenforced = made.unenforced
        return made

    if not body.stream:
        return generate(target, answer)
    progress = CompletionAnswer.progress if body.return_progress else None
    return generate_stream(target, answer, ping_s=body.sse_ping_interval, progress=progress)


@endpoint.view(
    Operation(
        name="renderCompletion",
        method="post",
        path="/completions/render",
        summary="The tokens of a completion's prompts, without an answer",
        details="Takes the body of completions; routers that cache by prefixes ask for them.",
        request=CompletionRequest,
        body=examples.COMPLETION,
        response=RenderedTokens,
        is_list=True,
        example=lambda: [RenderedTokens([19556, 905])],
    )
)
def render(model: str | None = None) -> Response:
    body, target = _read(model)

    def answer(engine: Engine) -> list[RenderedTokens]:
        templated = _cut(templated_completion(body, target.profile.prompt), engine)
        prompts = _infilled(body, engine) or templated.prompts
        return [RenderedTokens(_tokens_of(each, body, engine)) for each in prompts]

    return json_reply(ask_engine(target, answer))


def _read(model: str | None) -> tuple[CompletionRequest, Target]:
    body = read_body(CompletionRequest)
    target = choose_target(body, model)
    body = with_defaults(body, target.profile)
    if body.parse_special is None:
        parse_special = services().config.parse_special
        body = body.model_copy(update={"parse_special": parse_special})
    return body, target


def _infilled(body: CompletionRequest, engine: Engine) -> list[list[int]] | None:
    """The prompts with what stands behind their answers; None: nothing does."""
    if not body.suffix:
        return None
    return infill_prompts(body.prompts, body.suffix, engine.info(), engine.tokenize)


def _cut(body: CompletionRequest, engine: Engine) -> CompletionRequest:
    """The request with the tokens of its prompts, cut, where that is asked for."""
    cut = answered_cut(body, usable_context(engine, body.context_limit))
    if cut is None:
        return body
    whole = [_tokens_of(each, body, engine) for each in body.prompts]
    kept = [cut.of(tokens) for tokens in whole]
    return body if kept == whole else body.model_copy(update={"prompt": kept})


def _tokens_of(prompt: str | list[int], body: CompletionRequest, engine: Engine) -> list[int]:
    """The tokens that the engine would make of a prompt."""
    if isinstance(prompt, Marked):
        return engine.tokenize_segments(segments_of(prompt))
    if isinstance(prompt, str):
        reads = body.parse_special is not False
        return engine.tokenize(prompt, add_special=True, parse_special=reads)
    return prompt


def _is_below_v1() -> bool:
    return (request.blueprint or "").startswith("v1.")
