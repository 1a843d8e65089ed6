"""Examples of the OpenAPI document: requests, and responses made by the real translation.

Ids and times are replaced by fixed ones, so that the document is always the same.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.engine.protocol import (
    Delta,
    Finish,
    GenerateRequest,
    ModelInfo,
    TokenLogprob,
    Usage,
)
from pyserve.openai.answer import Answer, Output, StreamAnswer
from pyserve.openai.chat.chat import ChatAnswer
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.choose import ChooseAnswer, Chosen
from pyserve.openai.completions.completions import CompletionAnswer
from pyserve.openai.completions.native import NativeAnswer
from pyserve.openai.edits import EditAnswer
from pyserve.openai.embeddings import EmbeddingAnswer, NativeEmbeddingAnswer
from pyserve.openai.ids import new_id
from pyserve.openai.moderation.guards import Verdict
from pyserve.openai.moderation.moderation import Moderations, moderated
from pyserve.openai.ranking.classify import ClassifyAnswer
from pyserve.openai.ranking.rerank import RerankAnswer
from pyserve.openai.ranking.score import ScoreAnswer
from pyserve.openai.responses.compaction import CompactAnswer, with_task
from pyserve.openai.responses.events import ResponsesAnswer
from pyserve.openai.responses.history import response_messages
from pyserve.openai.server.models import Model, model_object
from pyserve.openai.tools.formats import TAGGED, AnswerFormat
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.choose import ChooseRequest
from pyserve.schemas.classify import ClassifyRequest
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest
from pyserve.schemas.embeddings import EmbeddingRequest, NativeEmbeddingRequest
from pyserve.schemas.infill import InfillRequest
from pyserve.schemas.native import NativeRequest
from pyserve.schemas.rerank import RerankRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.schemas.score import ScoreRequest

MODEL = "smollm2-135m-instruct"
MODERATION_MODEL = "llama-guard-3-1b"
CREATED = 1764000000
CREATED_TEXT = "2025-11-24T16:00:00Z"  # the same
N_PROMPT = 24

CHAT: Mapping[str, Any] = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "Answer in one short sentence."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
    "temperature": 0.7,
    "max_completion_tokens": 64,
}
COMPLETION: Mapping[str, Any] = {
    "model": MODEL,
    "prompt": "A long time ago in a galaxy far, far away",
    "max_tokens": 32,
    "temperature": 0.7,
}
NATIVE: Mapping[str, Any] = {
    "prompt": "A long time ago in a galaxy far, far away",
    "n_predict": 32,
    "temperature": 0.7,
}
INFILL: Mapping[str, Any] = {
    "input_prefix": "def add(a, b):\n    ",
    "input_suffix": "\n\nprint(add(1, 2))\n",
    "input_extra": [{"filename": "names.py", "text": "ONE = 1\n"}],
    "n_predict": 32,
    "temperature": 0,
}
EDIT: Mapping[str, Any] = {
    "model": MODEL,
    "instruction": "Correct the grammar",
    "input": "She go to school every days.",
    "temperature": 0,
}
CHOOSE: Mapping[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Is a tomato a fruit? Answer yes or no."}],
    "choices": ["Yes", "No"],
}
RERANK: Mapping[str, Any] = {
    "model": MODEL,
    "query": "What do foxes eat?",
    "documents": ["The market opens at nine.", "Foxes hunt mice and rabbits."],
    "top_n": 1,
    "return_documents": True,
}
MODERATION: Mapping[str, Any] = {"input": ["How do foxes hunt?"]}
CLASSIFY: Mapping[str, Any] = {"model": MODEL, "input": "The food was good."}
SCORE: Mapping[str, Any] = {
    "model": MODEL,
    "text_1": "What do foxes eat?",
    "text_2": ["The market opens at nine.", "Foxes hunt mice and rabbits."],
}
EMBEDDING: Mapping[str, Any] = {"model": MODEL, "input": "A red fox in the snow"}
NATIVE_EMBEDDING: Mapping[str, Any] = {"content": "A red fox in the snow"}
RESPONSE: Mapping[str, Any] = {
    "model": MODEL,
    "instructions": "Answer in one short sentence.",
    "input": "What is the capital of France?",
    "max_output_tokens": 64,
}
FORM = AnswerFormat(name="tagged", origin="derived", calls=TAGGED)
INFO = ModelInfo(
    architecture="llama",
    description="llama 135M Q4_1",
    quantization="Q4_1",
    n_params=134515008,
    size_bytes=98362432,
    n_vocab=49152,
    n_embd=576,
    n_layer=30,
    n_ctx_train=8192,
    n_ctx=8192,
    n_seq_max=16,
    n_threads=2,
    has_chat_template=True,
    chat_template="{% for message in messages %}...",
    bos_token="<|im_start|>",
    eos_token="<|im_end|>",
)
_RANDOM = re.compile(
    r"((?:chatcmpl|cmpl|edit|rerank|score|classify|modr)-|(?:resp|msg|cmp|fp)_)[0-9a-f]{12,}"
)
_TIMES = ("created", "created_at", "completed_at")


class Example:
    """An example's answer: the model's output is `pieces`, or a vector."""

    def __init__(self, answer: Answer, pieces: Sequence[str], embedding: bytes = b"") -> None:
        usage = Usage(n_prompt_tokens=N_PROMPT, n_completion_tokens=len(pieces))
        finish = Finish(reason="stop", usage=usage)
        self._answer = answer
        deltas = [Delta(text=piece, n_tokens=1) for piece in pieces]
        self._deltas = [*deltas, Delta(finish=finish, embedding=embedding or None)]

    def plain(self) -> Any:
        """The response, as JSON."""
        output = Output()
        for delta in self._deltas:
            output.push(delta)
        return _steady(_as_json(self._answer.response([output])))

    def streamed(self) -> list[Any]:
        """The chunks or events of its stream, as JSON. REQUIRES: an answer that can be streamed."""
        answer: StreamAnswer = self._answer  # type: ignore[assignment]
        chunks = [answer.open(), *(answer.push(0, delta) for delta in self._deltas), answer.close()]
        return [_steady(_as_json(chunk)) for some in chunks for chunk in some]


def chat() -> Example:
    answer = ChatAnswer(ChatRequest.model_validate(CHAT), MODEL, INFO)
    return Example(answer, ["The capital", " of France", " is Paris."])


def completion() -> Example:
    answer = CompletionAnswer(CompletionRequest.model_validate(COMPLETION), MODEL, INFO, str)
    return Example(answer, [", there lived", " a robot."])


def native() -> Example:
    answer = NativeAnswer(NativeRequest.model_validate(NATIVE), MODEL, INFO, str)
    return Example(answer, [", there lived", " a robot."])


def infill() -> Example:
    answer = NativeAnswer(InfillRequest.model_validate(INFILL), MODEL, INFO, str)
    return Example(answer, ["return", " a + b"])


def edit() -> Example:
    answer = EditAnswer(EditRequest.model_validate(EDIT), MODEL, INFO)
    return Example(answer, ["She goes to school every day."])


def choose() -> Chosen:
    body = ChooseRequest.model_validate(CHOOSE)
    answer = ChooseAnswer(body, MODEL, INFO, list(range(N_PROMPT)), [[10407], [3272]])
    return answer.response(_scored(-0.75, -1.5))


class _Scores:
    """Implements `PairScores` by known ones."""

    def __init__(self) -> None:
        self.requests: list[GenerateRequest] = []
        self.n_prompt_tokens = 2 * N_PROMPT
        self.cut_params: list[str] = []

    def logits(self, _outputs: Sequence[Output]) -> list[float]:
        return [-2.5, 2.25]


def rerank(*, is_cohere: bool = False) -> Any:
    body = RerankRequest.model_validate(RERANK)
    answer = RerankAnswer(body, MODEL, _Scores(), is_cohere=is_cohere)
    return _steady(_as_json(answer.response([])))


def cohere_rerank() -> Any:
    return rerank(is_cohere=True)


def moderation() -> Any:
    verdict = Verdict(0.0625, {"S1: Violent Crimes": 0.046875, "S2: Non-Violent Crimes": 0.015625})
    results = [moderated("Llama Guard", verdict)]
    return _steady(_as_json(Moderations(new_id("modr"), MODERATION_MODEL, results)))


def score() -> Any:
    answer = ScoreAnswer(ScoreRequest.model_validate(SCORE), MODEL, INFO, _Scores())
    return _steady(_as_json(answer.response([])))


def classify() -> Any:
    info = msgspec.structs.replace(INFO, n_ranks=2, rank_labels=("negative", "positive"))
    answer = ClassifyAnswer(ClassifyRequest.model_validate(CLASSIFY), MODEL, info, lambda _: [1])
    output = Output()
    usage = Usage(n_prompt_tokens=N_PROMPT, n_completion_tokens=0)
    finish = Finish(reason="stop", usage=usage)
    output.push(Delta(embedding=struct.pack("<2f", -0.5, 0.5), finish=finish))
    return _steady(_as_json(answer.response([output])))


def _scored(*logprobs: float) -> list[Output]:
    """The outputs of requests for the log-probability of one token."""
    outputs = []
    for logprob in logprobs:
        output = Output()
        usage = Usage(n_prompt_tokens=N_PROMPT, n_completion_tokens=1)
        finish = Finish(reason="length", usage=usage)
        output.push(Delta(logprobs=[TokenLogprob(0, b"", logprob, [])], finish=finish))
        outputs.append(output)
    return outputs


def embedding() -> Example:
    answer = EmbeddingAnswer(EmbeddingRequest.model_validate(EMBEDDING), MODEL, INFO)
    return Example(answer, [], embedding=struct.pack("<3f", 0.25, -0.5, 0.75))


def native_embedding() -> Example:
    body = NativeEmbeddingRequest.model_validate(NATIVE_EMBEDDING)
    answer = NativeEmbeddingAnswer(body, MODEL, INFO)
    return Example(answer, [], embedding=struct.pack("<3f", 0.25, -0.5, 0.75))


def response() -> Example:
    answer = ResponsesAnswer(ResponseRequest.model_validate(RESPONSE), MODEL, INFO)
    return Example(answer, ["The capital", " of France", " is Paris."])


def compaction() -> Example:
    body = with_task(ResponseRequest.model_validate(RESPONSE))
    conversation = Conversation(response_messages(body))
    said = {"type": "message", "role": "user", "status": "completed", "id": "msg_0123456789ab"}
    kept = {**said, "content": [{"type": "input_text", "text": RESPONSE["input"]}]}
    answer = CompactAnswer(body, INFO, conversation, [kept])
    return Example(answer, ["The user asks for", " the capital of France."])


def model() -> Model:
    status = ModelStatus(
        id=MODEL, created=CREATED, state="ready", info=INFO, n_bytes=INFO.size_bytes + (512 << 20)
    )
    return model_object(status)


def _as_json(struct: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(struct))


def _steady(value: Any) -> Any:
    """Replaces random ids and times by fixed ones."""
    if isinstance(value, list):
        return [_steady(part) for part in value]
    if isinstance(value, dict):
        return {
            name: _steady_time(part) if name in _TIMES else _steady(part)
            for name, part in value.items()
        }
    return _RANDOM.sub(r"\g<1>0123456789ab", value) if isinstance(value, str) else value


def _steady_time(value: Any) -> Any:
    """A fixed time in the form of another: Unix seconds, or a text."""
    return value if value is None else CREATED_TEXT if isinstance(value, str) else CREATED
