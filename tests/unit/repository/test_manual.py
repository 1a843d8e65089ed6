"""The manual says what is so: options, messages, generated parts, and no outside hosts."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from pyserve.cli import COMMANDS
from pyserve.cli.options import click_option
from pyserve.config import serve_options
from tests.support.manual import blocks
from tests.support.scripts import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tools"))

import check_manual
import manual_parts
import manual_reference

DOCS = REPOSITORY / "docs"
FLAG = re.compile(r"`(--?[a-z][a-z0-9-]*)`")
QUOTED = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
# What stands for a part that differs from case to case.
OPEN = {"NAME", "FILE"}


def flags_of_serve() -> set[str]:
    found: set[str] = set()
    for option in serve_options():
        command = click_option(option)(lambda: None)
        for parameter in command.__click_params__:
            found |= {*parameter.opts, *parameter.secondary_opts}
    return found


def table_rows(page: str) -> list[list[str]]:
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_option_that_another_one_becomes_is_there() -> None:
    ours = {flag for row in table_rows("migration.md") for flag in FLAG.findall(row[1])}
    assert len(ours) > 40
    assert ours - flags_of_serve() == set()


@pytest.mark.parametrize("page", ["performance", "choosing-a-model", "clients"])
def test_every_option_that_is_advised_is_there(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert set(FLAG.findall(text)) - flags_of_serve() == set()


def test_the_flags_of_llama_server_are_its_own() -> None:
    source = REPOSITORY / "vendor" / "llama.cpp" / "common" / "arg.cpp"
    if not source.is_file():
        pytest.skip("the vendored source is not unpacked here")
    known = set(re.findall(r'"(--?[a-zA-Z][a-zA-Z0-9-]*)"', source.read_text(encoding="utf-8")))
    page = (DOCS / "migration.md").read_text(encoding="utf-8")
    section = page.split("## llama-server", 1)[1].split("\n## ", 1)[0]
    theirs = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `-")]
    flags = {flag for cell in theirs for flag in FLAG.findall(cell)}
    assert len(flags) > 40
    assert flags - known == set()


def test_every_message_that_is_explained_is_said_somewhere() -> None:
    sources = [*(REPOSITORY / "pyserve").rglob("*.py"), *(REPOSITORY / "native").rglob("*.h")]
    said = " ".join(path.read_text(encoding="utf-8") for path in sources)
    said = re.sub(r'"\s+f?"', "", said)  # texts of several lines
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = QUOTED.findall(page)
    assert len(messages) > 7
    for message in messages:
        for part in re.split(r"'?NAME'?|FILE", message):
            assert part.strip() in said, message


def test_every_code_that_is_explained_is_one() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    codes = set(re.findall(r"^\| \d{3} `(\w+)`", page, re.MULTILINE))
    errors = (REPOSITORY / "pyserve" / "errors.py").read_text(encoding="utf-8")
    assert len(codes) > 6
    assert codes - set(re.findall(r'code = "(\w+)"', errors)) == set()


def test_generated_parts_are_as_their_data() -> None:
    for path, text in manual_parts.parts().items():
        assert path.read_text(encoding="utf-8") == text, f"make options writes {path.name}"


def test_the_plots_have_all_loads() -> None:
    page = manual_parts.ROWS.read_text(encoding="utf-8")
    assert set(manual_parts.rows(page)) == set(manual_parts.LOADS)


def test_the_reference_has_every_operation() -> None:
    document = manual_reference.openapi_document()
    reference = manual_reference.api_reference(document)
    for path, item in document["paths"].items():
        for method in set(item) & set(manual_reference.METHODS):
            assert f"### {method.upper()} {path}\n" in reference


def test_every_page_has_a_place_in_the_manual() -> None:
    conf = (DOCS / "conf.py").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert page.stem == "index" or f'"{page.stem}"' in conf


def test_pages_link_to_pages_that_are_there() -> None:
    for page in [*DOCS.rglob("*.md"), REPOSITORY / "README.md"]:
        if "generated" in page.parts:
            continue
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / Path(target)).exists(), f"{page.name}: {target}"


def test_every_command_of_a_block_is_one() -> None:
    n_checked = 0
    for block in blocks():
        for line in block.text.splitlines():
            words = line.split("#")[0].split()
            if words[:1] != ["pyserve"] or len(words) == 1:
                continue
            n_checked += 1
            where = f"{block.page}: {line}"
            assert words[1] in COMMANDS or words[1].startswith("-"), where
            if words[1] in COMMANDS:
                known = flags_of(words[1])
                used = {word.split("=")[0] for word in words if word.startswith("--")}
                assert used - known == set(), where
    assert n_checked > 20


def flags_of(name: str) -> set[str]:
    module, attribute, _help = COMMANDS[name]
    command = getattr(importlib.import_module(module), attribute)
    subcommands = getattr(command, "commands", {}).values()
    found = {"--help"}
    for each in (command, *subcommands):
        for parameter in each.params:
            found |= {*parameter.opts, *parameter.secondary_opts}
    return found


@pytest.mark.parametrize(
    ("text", "is_outside"),
    [
        ('<script defer src="https://host/x.js">', True),
        ('<link rel="stylesheet" href="//host/x.css">', True),
        ("body { background: url(http://host/x.png) }", True),
        ('<script src="_static/x.js"><link href="../x.css"><a href="https://host/">', False),
    ],
)
def test_what_a_page_loads_from_other_hosts_is_found(text: str, is_outside: bool) -> None:
    assert bool(check_manual.loads_of(text)) is is_outside
