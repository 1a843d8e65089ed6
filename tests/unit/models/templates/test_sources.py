"""Where the templates of a model come from."""

from __future__ import annotations

from pathlib import Path

from tests.support.catalogs import catalog_of, model_of


class TestTemplates:
    def prompt(self, directory: Path, text: str = "name: x\nparameters: {model: a.gguf}\n"):
        return model_of(catalog_of(directory, x=text), "x").profile.prompt

    def test_beside_the_model_file(self, directory: Path) -> None:
        (directory / "a.gguf.tmpl").write_text("Q: {{.Input}}")
        prompt = self.prompt(directory)
        assert {prompt.chat, prompt.completion, prompt.edit} == {prompt.chat}
        assert prompt.chat is not None
        assert prompt.chat.text == "Q: {{.Input}}"

    def test_a_loose_model_has_it_too(self, directory: Path) -> None:
        (directory / "a.gguf.tmpl").write_text("Q: {{.Input}}")
        prompt = model_of(catalog_of(directory), "a").profile.prompt
        assert prompt.chat is not None

    def test_by_name_and_inline_come_first(self, directory: Path) -> None:
        (directory / "a.gguf.tmpl").write_text("beside")
        (directory / "mine.tmpl").write_text("mine {{.Input}}")
        text = "template: {chat: mine, completion: 'inline {{.Input}}'}\n"
        prompt = self.prompt(directory, "name: x\nparameters: {model: a.gguf}\n" + text)
        texts = [getattr(prompt, kind).text for kind in ("chat", "completion", "edit")]
        assert texts == ["mine {{.Input}}", "inline {{.Input}}", "beside"]

    def test_the_model_files_own(self, directory: Path) -> None:
        (directory / "a.gguf.tmpl").write_text("beside")
        text = "template: {use_tokenizer_template: true}\n"
        prompt = self.prompt(directory, "name: x\nparameters: {model: a.gguf}\n" + text)
        assert (prompt.chat, prompt.has_chat) == (None, False)
