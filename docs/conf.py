"""Sphinx's settings of the manual: `make docs`.

The source directory is the repository, so that links between the manual, README and ARCHITECTURE
are those that a reader of the repository follows. The references are made when it is built.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "tools")]

import manual_reference  # noqa: E402

import pyserve  # noqa: E402

project = "pyserve"
version = release = pyserve.__version__
html_show_copyright = False
html_show_sphinx = False

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = ["docs/_static"]
myst_heading_anchors = 4
highlight_language = "none"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"pyserve {release}"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_copy_source = False
html_show_sourcelink = False
html_additional_pages = {"index": "to_manual.html"}
templates_path = ["_static"]

TREE = {
    "Using it": (
        "README <../README>",
        "quick-start",
        "choosing-a-model",
        "clients",
        "command-line",
        "page",
        "library",
        "migration",
        "troubleshooting",
    ),
    "APIs": ("api", "anthropic", "ollama", "batches"),
    "Running it": ("models", "deployment", "gateways", "cluster", "cluster-at-scale", "security", "reliability", "reliability-inputs"),
    "Speed": ("performance", "measurements/index"),
    "References": ("options", "generated/api", "generated/library"),
    "Working on it": (
        "../ARCHITECTURE",
        "decisions/index",
        "../CONTRIBUTING",
        "../CHANGELOG",
        "../THIRD_PARTY_NOTICES",
    ),
}
NAMED = re.compile(r"^([a-z_0-9]+(?:, [a-z_0-9]+)*): ", re.MULTILINE)
# Pages that are reached from an index of their own.
BELOW = ("decisions", "measurements")

LIBRARY = """# Library reference

How it is meant is in [the Python library](../library.md); what is named here is the public API.

```{eval-rst}
.. currentmodule:: pyserve

.. autoclass:: LLM
   :members: model, info, logits, close

.. autoclass:: pyserve.client.client.SyncClient
   :members:

.. autoclass:: Client
   :members: models, close

.. autoclass:: SamplingParams
   :exclude-members: body

.. autoclass:: RequestOutput
   :members: text, reasoning, tool_calls, parsed, message

.. autoclass:: CompletionOutput
.. autoclass:: Chunk
.. autoclass:: ToolCall
.. autoclass:: ToolCallPiece
.. autoclass:: TokenLogprob
.. autoclass:: Usage
.. autoclass:: Ranked

.. autoclass:: AsyncLLM
   :members: load, model, info, logits, aclose

.. autoclass:: pyserve.client.async_client.AsyncQuestions
   :members:

.. autoclass:: AsyncClient
   :members: models, aclose
```
"""


def write_references(_app: Any) -> None:
    folder = DOCS / "generated"
    folder.mkdir(exist_ok=True)
    api = manual_reference.api_reference(manual_reference.openapi_document())
    (folder / "api.md").write_text(api, encoding="utf-8")
    (folder / "library.md").write_text(LIBRARY, encoding="utf-8")


def add_tree(_app: Any, name: str, source: list[str]) -> None:
    """Tell the order of the pages; in the repository they are links like others."""
    if name == root_doc:
        for caption, pages in TREE.items():
            source[0] += _tree(pages, f":caption: {caption}\n")
    for folder in BELOW:
        if name == f"docs/{folder}/index":
            names = sorted(path.stem for path in (DOCS / folder).glob("*.md"))
            source[0] += _tree([each for each in names if each != "index"])


def _tree(pages: Any, options: str = "") -> str:
    return "\n\n```{toctree}\n:hidden:\n" + options + "\n" + "\n".join(pages) + "\n```\n"


def as_rst(_app: Any, _what: str, _name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings as this project writes them: paragraphs, "name: what it is", code in `x`."""
    blocks = "\n".join(lines).split("\n\n")
    lines[:] = "\n\n".join(_block(block) for block in blocks).split("\n")


def _block(block: str) -> str:
    if all(line.startswith("    ") for line in block.splitlines()):
        return ".. code-block:: python\n\n" + block
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", block)
    text = re.sub(r"``(?=\w)(?<=\w``)", r"``\\ ", text)  # as in `index`th
    parts = NAMED.split(text)
    if len(parts) == 1:
        return " ".join(text.split())
    named = zip(parts[1::2], parts[2::2], strict=True)
    items = [f"* **{names}**: {' '.join(about.split())}" for names, about in named]
    return "\n".join([*([" ".join(parts[0].split()), ""] if parts[0].strip() else []), *items])


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", as_rst)
    app.connect("builder-inited", write_references)
    app.connect("source-read", add_tree)
