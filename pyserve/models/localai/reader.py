"""Reads LocalAI's YAML files into models, with notes on keys that have no effect."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from pyserve.models.localai.diagnostics import Level, Note
from pyserve.models.localai.keys import WITHOUT_EFFECT
from pyserve.models.localai.schema import SECTIONS, LocalModel
from pyserve.models.localai.written import as_written
from pyserve.models.localai.yaml_file import Document, Path, YamlError, read_yaml

TEXT_BACKENDS = frozenset(
    {
        "", "llama-cpp", "llama.cpp", "llama", "llama-stable", "llama-grammar", "go-llama",
        "llama-cpp-fallback", "llama-cpp-avx", "llama-cpp-avx2", "llama-cpp-avx512",
        "cpu-llama-cpp", "ik-llama-cpp", "gguf", "ggml",
    }
)  # fmt: skip
KNOWN_OPTIONS = {
    "parallel": "n_seq_max",
    "n_parallel": "n_seq_max",
    "cache_ram": "prefix_cache_mib",
    "threads_batch": "n_threads_batch",
    "n_threads_batch": "n_threads_batch",
    "draft_max": "n_draft_max",
    "spec_n_max": "n_draft_max",
    "draft_min": "n_draft_min",
    "spec_n_min": "n_draft_min",
}
OPTION_LIMITS = {
    "n_seq_max": (1, 128),
    "prefix_cache_mib": (0, 2**20),
    "n_threads_batch": (1, 512),
    "n_draft_max": (0, 2**20),
    "n_draft_min": (0, 2**20),
}
SHARES = frozenset({"top_p", "typical_p"})
MODEL_KEYS = frozenset({"name", "parameters", "backend", "alias", "template", "context_size"})


@dataclass(frozen=True)
class LocalEntry:
    """One model of a YAML file. line: where it begins. values: validated.

    options: settings of the engine from `options`.
    """

    file: str
    line: int
    name: str
    values: LocalModel
    options: dict[str, int] = field(default_factory=dict)


def read_models(file: str, text: str) -> tuple[list[LocalEntry], list[Note]]:
    """The models of one file: a mapping, a list of them, or several documents of these.

    file: its name, for notes; without its ending the name of a single model that has none.
    A model with an error is left out; the notes say which.
    """
    try:
        documents = read_yaml(text)
    except YamlError as error:
        return [], [Note("error", file, error.line, "", error.problem)]
    entries: list[LocalEntry] = []
    notes: list[Note] = []
    for document in documents:
        for path, value in _mappings(document):
            reader = _Reader(file, document, path)
            entry = reader.read(value)
            notes += reader.notes
            if entry is not None:
                entries.append(entry)
    if not entries and not notes:
        notes.append(Note("warning", file, 1, "", "there is no model in it"))
    return entries, notes


def _mappings(document: Document) -> Iterator[tuple[Path, Any]]:
    if isinstance(document.value, list):
        yield from (((i,), value) for i, value in enumerate(document.value))
    else:
        yield (), document.value


class _Reader:
    """Reads one model and collects notes."""

    def __init__(self, file: str, document: Document, path: Path) -> None:
        self.notes: list[Note] = []
        self._file = file
        self._document = document
        self._path = path
        self._name = ""

    def read(self, value: Any) -> LocalEntry | None:
        if not isinstance(value, dict) or not MODEL_KEYS & value.keys():
            self._note("warning", (), "this is no model: it has no name and no parameters")
            return None
        value = as_written(value, LocalModel, self._document.text, self._path)
        self._name = str(value.get("name") or "") or self._default_name(value)
        for path in self._document.repeated:
            if path[: len(self._path)] == self._path:
                self._note("warning", path[len(self._path) :], f"{_dotted(path)} is there twice")
        self._note_keys(value)
        try:
            values = LocalModel.model_validate(self._as_taken(value))
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                path = tuple(problem["loc"])
                self._note("error", path, f"{_dotted(path)}: {problem['msg']}{_shown(problem)}")
            return None
        options = self._options(values.options)
        return LocalEntry(self._file, self._document.line(self._path), self._name, values, options)

    def _default_name(self, value: dict[str, Any]) -> str:
        """The name of a model that has none: its file's, for the only model of a file."""
        if self._path or value.get("alias"):
            parameters = value.get("parameters")
            model = parameters.get("model") if isinstance(parameters, dict) else None
            return str(model or f"{self._stem}-{self._document.line(self._path)}")
        return self._stem

    @property
    def _stem(self) -> str:
        return self._file.rsplit(".", 1)[0]

    def _note_keys(self, value: dict[str, Any]) -> None:
        """Note the reason for each key that has no effect."""
        for path in _leaves(value):
            reason = WITHOUT_EFFECT.get(_dotted(path))
            if reason is not None:
                self._note("note", path, f"{_dotted(path)} has no effect: {reason}")
            elif not _is_honoured(path):
                self._note("warning", path, f"{_dotted(path)} is not a key that is known here")

    def _as_taken(self, value: dict[str, Any]) -> dict[str, Any]:
        """The model with numbers that no sampler knows, but LocalAI takes, as it takes them."""
        given = value.get("parameters")
        if not isinstance(given, dict):
            return value
        taken = {key: _taken(key, number) for key, number in given.items()}
        for key, number in taken.items():
            if number is not given[key] and number != given[key]:
                text = f"parameters.{key} is {given[key]}, and counts as {number}, as in LocalAI"
                self._note("warning", ("parameters", key), text)
        return {**value, "parameters": taken}

    def _options(self, options: list[str]) -> dict[str, int]:
        """`key:value` words for the engine."""
        settings: dict[str, int] = {}
        for i, option in enumerate(options):
            key, _, text = option.partition(":")
            name = KNOWN_OPTIONS.get(key.strip())
            if name is None:
                self._note("note", ("options", i), f"option {key[:60]!r} has no effect")
                continue
            least, most = OPTION_LIMITS[name]
            text = text.strip()
            if not text.isdecimal() or not least <= int(text) <= most:
                problem = f"option {key}: must be a number from {least} to {most}"
                self._note("warning", ("options", i), problem)
                continue
            settings[name] = int(text)
        return settings

    def _note(self, level: Level, path: Path, text: str) -> None:
        line = self._document.line((*self._path, *path))
        self.notes.append(Note(level, self._file, line, self._name, text))


def _taken(key: str, number: Any) -> Any:
    """A share above all of it is all of it, and a number of tokens is cut to a whole one."""
    if key in SHARES and isinstance(number, int | float) and 1 < number < math.inf:
        return 1.0
    is_cut = key == "top_k" and isinstance(number, float) and math.isfinite(number)
    return int(number) if is_cut else number


def _leaves(value: dict[str, Any], above: Path = ()) -> Iterator[Path]:
    """The keys of a model, and those inside the sections that are checked key by key."""
    for key, inner in value.items():
        path = (*above, key)
        if _dotted(path) in SECTIONS and isinstance(inner, dict):
            yield from _leaves(inner, path)
        else:
            yield path


def _is_honoured(path: Path) -> bool:
    section = SECTIONS.get(_dotted(path[:-1]), LocalModel)
    return str(path[-1]) in section.model_fields


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def _shown(problem: Any) -> str:
    """The value that was found, if it is short."""
    value = problem.get("input")
    if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 40):  # noqa: PLR2004
        return f", but is {value!r}"
    return ""
