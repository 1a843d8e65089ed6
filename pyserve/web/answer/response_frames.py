"""How a stream of the Responses API is written."""

from __future__ import annotations

from pyserve.engine.protocol import SamplingParams
from pyserve.openai.responses.events import failure as failure_events
from pyserve.openai.responses.responses import new_response
from pyserve.schemas.responses import ResponseRequest
from pyserve.web.answer.sse import DONE, Failure, TypedFrames, typed_frames


class ResponseFrames(TypedFrames):
    """Named events, closed by `[DONE]` as Open Responses wants them."""

    end = DONE


def response_frames(body: ResponseRequest, model_id: str) -> type[ResponseFrames]:
    """Those of one request: they fail with its response also where its model was not loaded."""

    class Frames(ResponseFrames):
        @classmethod
        def refusal(cls, failure: Failure) -> bytes:
            response = new_response(body, model_id, SamplingParams())
            return typed_frames(failure_events(response, failure.error, 0)) + cls.end

    return Frames
