"""Reads what the user says: a line with history and completion, or several lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

QUOTES = '"""'


class Prompt:
    """history: the file of what was said before, which is made. commands: words to complete."""

    def __init__(self, history: Path, commands: Sequence[str]) -> None:
        keys = KeyBindings()
        keys.add("escape", "enter")(_new_line)
        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            completer=WordCompleter([f"/{name}" for name in commands], sentence=True),
            complete_while_typing=False,
            key_bindings=keys,
        )

    def read(self) -> str:
        """The next message. Raises EOFError at the end, KeyboardInterrupt on Ctrl-C."""
        text = self._session.prompt(">>> ")
        if not text.lstrip().startswith(QUOTES):
            return text.strip()
        lines = [text.lstrip().removeprefix(QUOTES)]
        while not lines[-1].rstrip().endswith(QUOTES):
            lines.append(self._session.prompt("... "))
        return "\n".join(lines).rstrip().removesuffix(QUOTES).strip()


def _history(path: Path) -> History:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(0o600)
    except OSError:  # a read-only home: the history lasts as long as the chat
        return InMemoryHistory()
    return FileHistory(str(path))


def _new_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")
