"""Parts of the manual that are made of data, and are kept in the repository: `make options`.

The table of the gallery in docs/choosing-a-model.md, and the plots of docs/performance.md of the
rows in docs/measurements/servers.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pyserve.models.fitting import Machine, memory_bytes, tokens_per_s
from pyserve.models.gallery import load_gallery

DOCS = Path(__file__).parent.parent / "docs"
CHOOSING = DOCS / "choosing-a-model.md"
ROWS = DOCS / "measurements" / "servers.md"
IMAGES = DOCS / "images"
GIB = 2**30
CORES = (2, 8)
MARKED = re.compile(r"(<!-- generated: gallery -->\n).*?(<!-- end -->)", re.DOTALL)

SECTION = "## llama-server, AMD Zen 4"
MODEL = "SmolLM2-135M Q4_1"
# As docs/measurements/servers.md names them, and what they are.
LOADS = {
    "decode 1": "short prompts, 1 client",
    "decode 8": "short prompts, 8 clients",
    "decode 32": "short prompts, 32 clients",
    "distinct 8": "long prompts, 8 clients",
    "shared 8": "shared beginning, 8 clients",
    "edits 1": "edits, 1 client",
}
TOKENS, FIRST = 3, 5  # columns of the two figures
WIDTH, BAR, GAP, LABEL, NUMBER = 720, 15, 14, 210, 70
NAMES = ("pyserve", "llama-server")


def with_gallery(page: str) -> str:
    """The page with the table of the gallery as it is now."""
    table = "\n".join(_gallery())
    return MARKED.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", page)


def _gallery() -> Iterator[str]:
    heads = " | ".join(f"tokens/s, {n} cores" for n in CORES)
    yield f"| name | for | memory, GiB | {heads} | licence |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for entry in sorted(load_gallery().models, key=memory_bytes):
        speeds = [f"{tokens_per_s(entry, Machine(0, n)):.0f}" for n in CORES]
        memory = f"{memory_bytes(entry) / GIB:.1f}"
        speeds_text = " | ".join(speeds if entry.task != "embeddings" else ("",) * len(CORES))
        yield f"| `{entry.name}` | {entry.task} | {memory} | {speeds_text} | {entry.license} |"


def rows(page: str) -> dict[str, list[str]]:
    """The cells of the first row of each load of the plotted model."""
    section = page.split(SECTION, 1)[1].split("\n## ", 1)[0]
    found: dict[str, list[str]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > FIRST and cells[0] == MODEL and cells[1] in LOADS:
            found.setdefault(cells[1], cells)
    return found


def plot(title: str, unit: str, page: str, column: int) -> str:
    """An SVG image of bars in pairs, ours and the other server's, in the reader's colours."""
    figures = {load: _pair(cells[column]) for load, cells in rows(page).items()}
    most = max(max(pair) for pair in figures.values())
    pair_height = 2 * BAR + GAP
    height = 56 + pair_height * len(figures)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{title}</title>',
        "<style>text{fill:#222}.a{fill:#2962ff}.b{fill:#9e9e9e}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.a{fill:#82b1ff}}</style>",
        f'<text x="0" y="16" font-weight="bold">{title}, {unit}: {MODEL}</text>',
    ]
    for i, name in enumerate(NAMES):
        x = LABEL + 130 * i
        lines.append(f'<rect class="{"ab"[i]}" x="{x}" y="26" width="12" height="12"/>')
        lines.append(f'<text x="{x + 18}" y="37">{name}</text>')
    for row, load in enumerate(load for load in LOADS if load in figures):
        top = 52 + pair_height * row
        lines.append(f'<text x="0" y="{top + BAR + 4}">{LOADS[load]}</text>')
        for i, value in enumerate(figures[load]):
            width = max(1, round((WIDTH - LABEL - NUMBER) * value / most))
            y = top + BAR * i
            lines.append(
                f'<rect class="{"ab"[i]}" x="{LABEL}" y="{y}" width="{width}" height="{BAR - 2}"/>'
            )
            lines.append(f'<text x="{LABEL + width + 6}" y="{y + BAR - 4}">{value:,}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _pair(cell: str) -> tuple[int, int]:
    ours, theirs = cell.split(", ")
    return int(ours.replace(",", "")), int(theirs.replace(",", ""))


def parts() -> dict[Path, str]:
    """What each file is to have in it."""
    page = ROWS.read_text(encoding="utf-8")
    return {
        CHOOSING: with_gallery(CHOOSING.read_text(encoding="utf-8")),
        IMAGES / "performance-tokens.svg": plot("All streams together", "tokens/s", page, TOKENS),
        IMAGES / "performance-first.svg": plot("First token", "ms (median)", page, FIRST),
    }


def main() -> int:
    for path, text in parts().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
