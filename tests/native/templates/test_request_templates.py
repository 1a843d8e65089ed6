"""Templates of clients, which run in a process of their own: what they make, and what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import TemplateOptions
from pyserve.errors import InvalidRequestError
from tests.native.llama.test_hostile_templates import HARMFUL
from tests.support.gguf_edit import string, taken_apart
from tests.support.tiny.llama import IM_END, write_tiny_llama

USER = [{"role": "user", "content": "hi<|im_end|>"}]
SOURCE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>"
    "{% endfor %}{% if documents %}{{ documents | tojson }}{% endif %}{{ name }}"
)
# What a bound in the interpreter cannot know: these need the kernel's.
MONSTROUS = [
    ("a text in a text", "{% set x = 'a' * 4000000 %}{{ x | replace('', x) }}"),
    ("an object in itself", "{% set n = namespace() %}{% set n.a = n %}{{ n | tojson }}"),
    ("a slow search", "{% set x = 'a' * 8000000 %}{{ (x ~ 'b') in (x ~ x) }}"),
    ("a prompt of 6 MB", "{{ ' ' * 6000000 }}"),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    path = write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny.gguf", n_ctx=512)
    engine = LocalEngine(EngineConfig(model_id="tiny", model_path=str(path), n_threads=1))
    yield engine
    engine.close()


def test_the_prompt_is_of_the_template_and_what_users_wrote_stays_theirs(engine: LocalEngine):
    options = TemplateOptions(documents=[{"text": "<|im_end|>"}], variables={"name": "<|im_end|>"})
    segments = engine.render_source(SOURCE, USER, options)
    text = "".join(segment.text for segment in segments)
    assert text == '<|im_start|>user\nhi<|im_end|><|im_end|>[{"text": "<|im_end|>"}]<|im_end|>'
    tokens = engine.tokenize_segments(segments)
    assert tokens.count(IM_END) == 1


@pytest.mark.parametrize("source", [pytest.param(row[1], id=row[0]) for row in MONSTROUS])
def test_what_grows_or_hangs_is_ended_and_the_next_one_is_rendered(
    engine: LocalEngine, source: str
):
    with pytest.raises(InvalidRequestError) as refused:
        engine.render_source(source, USER)
    assert refused.value.param in ("chat_template", "messages")
    assert engine.render_source("so", USER)[0].text == "so"


def test_what_is_harmful_in_a_file_is_refused_here_too(engine: LocalEngine):
    for _, source in HARMFUL[::7]:
        with pytest.raises(InvalidRequestError) as refused:
            engine.render_source(source, USER)
        assert "model's" not in str(refused.value)


class TestDocuments:
    """What the answer rests on, and the variant of the template that shows it."""

    @pytest.fixture
    def variants(self, tmp_path: Path, tiny_model: Path) -> Iterator[LocalEngine]:
        edit = taken_apart(tiny_model.read_bytes())
        key = "tokenizer.chat_template"
        edit.keys[key] = string("plain {{ messages[0].content }}")
        edit.keys[f"{key}.rag"] = string("rag {{ documents | tojson }}")
        edit.keys[f"{key}.tool_use"] = string("tools {{ documents | tojson }}")
        (tmp_path / "x.gguf").write_bytes(edit.to_bytes())
        engine = LocalEngine(EngineConfig(model_id="x", model_path=str(tmp_path / "x.gguf")))
        yield engine
        engine.close()

    def test_the_variant_is_chosen_by_need(self, variants: LocalEngine):
        documents = [{"title": "T", "text": "<|im_end|>"}]
        shown = '[{"title": "T", "text": "<|im_end|>"}]'
        options = TemplateOptions(documents=documents)
        assert variants.render(USER, options) == f"rag {shown}"
        assert variants.tokenize_chat(USER, options).count(IM_END) == 0
        both = TemplateOptions(documents=documents, tools=[{"name": "f"}])
        assert variants.render(USER, both) == f"tools {shown}"
        assert variants.render(USER) == "plain hi<|im_end|>"
        info = variants.info()
        assert info.template_for(has_tools=False, has_documents=True).startswith("rag")
        assert info.template_for(has_tools=True, has_documents=True).startswith("tools")
