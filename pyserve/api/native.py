"""POST /completion and /infill, as in llama-server."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.completions.infill import file_prompt
from pyserve.openai.completions.native import NativeAnswer
from pyserve.openai.completions.native_objects import NativeCompletion, NativePart
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.configured.templated import templated_completion
from pyserve.openai.context_limit import usable_context
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.tokens import tokenize_mixed
from pyserve.openai.token_biases import with_token_ids
from pyserve.schemas.infill import InfillRequest
from pyserve.schemas.native import NativeRequest
from pyserve.web.answer.generation import MakeAnswer, generate, generate_stream
from pyserve.web.answer.sse import DataFrames
from pyserve.web.answer.target import Target, choose_target
from pyserve.web.request.body import read_body
from pyserve.web.request.notes import notes
from pyserve.web.request.services import services

endpoint = Endpoint("native", tag="llama-server", usecase="completion", is_below_v1=False)

Body = TypeVar("Body", bound=NativeRequest)

NOT_HERE = {"echo": None, "best_of": None, "suffix": None}


class NativeFrames(DataFrames):
    """llama-server's streams: the last part says that it is the last."""

    end: ClassVar[bytes] = b""


@endpoint.view(
    Operation(
        name="nativeCompletion",
        method="post",
        path="/completion",
        summary="Continue a text, by llama-server's own API",
        details="Several prompts give a list of answers. Streams end with a part whose `stop` is"
        " true. With `--llama-native-completions` also as `/completions`.",
        request=NativeRequest,
        body=examples.NATIVE,
        response=NativeCompletion,
        example=lambda: examples.native().plain(),
        event_types=(NativePart, NativeCompletion),
        events=lambda: examples.native().streamed(),
        ends_with_done=False,
    )
)
def complete(model: str | None = None) -> Response:
    body = read_body(NativeRequest)
    target = choose_target(body, model)
    asked = with_own_defaults(body, target)
    noted = notes()

    def answer(engine: Engine) -> NativeAnswer:
        biased = with_token_ids(asked, engine, splits_texts=True)
        if asked.mixed is not None:
            reads = asked.parse_special is not False
            tokens = tokenize_mixed(engine, asked.mixed, parse_special=reads, param="prompt")
            biased = biased.model_copy(update={"prompt": tokens})
        templated = templated_completion(biased, target.profile.prompt)
        made = NativeAnswer(templated, target.model_id, engine.info(), engine.detokenize)
        noted.unenforced = made.unenforced
        return made

    return replied(asked, target, answer)


@endpoint.view(
    Operation(
        name="infill",
        method="post",
        path="/infill",
        summary="Fill in the middle of a text, for editors",
        details="For models with fill-in-the-middle tokens. Answers are those of `/completion`.",
        request=InfillRequest,
        body=examples.INFILL,
        response=NativeCompletion,
        example=lambda: examples.infill().plain(),
        event_types=(NativePart, NativeCompletion),
        events=lambda: examples.infill().streamed(),
        ends_with_done=False,
    )
)
def infill() -> Response:
    body = read_body(InfillRequest)
    target = choose_target(body)
    asked = with_own_defaults(body, target)
    noted = notes()

    def answer(engine: Engine) -> NativeAnswer:
        info = engine.info()
        n_ctx = usable_context(engine, target.n_ctx)
        prompt = file_prompt(asked, info, engine.tokenize, n_ctx)
        biased = with_token_ids(asked, engine, splits_texts=True)
        made = NativeAnswer(biased, target.model_id, info, engine.detokenize, [prompt])
        noted.unenforced = made.unenforced
        return made

    return replied(asked, target, answer)


def with_own_defaults(body: Body, target: Target) -> Body:
    """`body` with the defaults of the model and the server."""
    update: dict[str, Any] = dict(NOT_HERE)
    if body.parse_special is None:
        update["parse_special"] = services().config.parse_special
    return with_defaults(body, target.profile).model_copy(update=update)


def replied(body: NativeRequest, target: Target, answer: MakeAnswer[NativeAnswer]) -> Response:
    """Run the answer, as a stream or in one piece."""
    if body.stream:
        progress = NativeAnswer.progress if body.return_progress else None
        ping_s = body.sse_ping_interval
        return generate_stream(target, answer, NativeFrames, ping_s=ping_s, progress=progress)
    return generate(target, answer)
