"""`Note`: an error, warning or remark about a line of a model's YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Note:
    """A remark. level: `error` keeps a model from being served, `note` is harmless.

    model: its name, "" = the whole file. line: 1 is the first, 0 = not about a line.
    """

    level: Level
    file: str
    line: int
    model: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        about = f" {self.model}:" if self.model else ""
        return f"{where}: {self.level}:{about} {self.text}"
