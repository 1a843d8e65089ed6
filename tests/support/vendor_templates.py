"""The chat templates in the vendored archive, which are no part of this repository."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from pyserve.engine.markers import HEADER_MARKERS, shown_marks
from pyserve.openai.tools.formats import control_marks
from tests.support.scripts import load_script

VENDOR = Path(__file__).resolve().parents[2] / "vendor"
FOLDER = Path("models/templates")
PART = "templates"
# Control tokens that say which of the others end an answer.
_ENDINGS = ("<|call|>", "<|calls|>", "<|return|>", "<turn|>")


@functools.cache
def vendor_templates() -> dict[str, str]:
    """The sources of the templates by their names; {} where the archive is not there.

    They are read from the unpacked tree (`vendor/fetch.py --with templates`), else out of the
    archive that the build has left.
    """
    unpacked = VENDOR / "llama.cpp" / FOLDER
    if unpacked.is_dir():
        return _read(unpacked)
    fetch = load_script("vendor/fetch.py")
    pin = fetch.load_pin(VENDOR / "llama.cpp.toml")
    archive = VENDOR / ".download" / pin.file
    if not archive.is_file():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        fetch._unpack(pin, archive, [pin.parts[PART]], Path(folder))
        return _read(Path(folder) / FOLDER)


def _read(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))}


def controls_of(template: str) -> list[str]:
    """The control tokens of a vocabulary for this template."""
    marks = [mark for mark in shown_marks(template) if control_marks(mark) == (mark,)]
    marks += [mark for mark in (*HEADER_MARKERS, *_ENDINGS) if mark in template]
    marks += ["<|flush|>"] if "<|calls|>" in marks else []
    return list(dict.fromkeys(marks))
