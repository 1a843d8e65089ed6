"""Looks whether the built manual loads anything from another host: check_manual.py DIRECTORY."""

from __future__ import annotations

import re
import sys
from pathlib import Path

# Links may lead anywhere; what a page loads by itself may not.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\ssrc=["'](?:https?:)?//"""
    r"""|<link\b[^>]*\shref=["'](?:https?:)?//"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def loads_of(text: str) -> list[str]:
    """What a page or a style sheet loads from other hosts."""
    return [found[0] for found in LOADED.finditer(text)]


def main(argv: list[str]) -> int:
    pages = [path for kind in ("html", "css") for path in Path(argv[1]).rglob(f"*.{kind}")]
    problems = [
        f"{path}: {load}" for path in pages for load in loads_of(path.read_text(encoding="utf-8"))
    ]
    if not pages:
        problems = [f"{argv[1]} has no pages"]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
