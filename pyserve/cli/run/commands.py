"""What can be said to the chat itself: lines that begin with a slash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from pyserve.cli.run.answering import named, names
from pyserve.cli.run.session import Session, chat_file, saved_chats, transcript
from pyserve.client.server import Server
from pyserve.errors import InvalidRequestError
from pyserve.spelling import did_you_mean

EXIT = "exit"
ASK = "ask"
# What the chats of other programs call them.
OTHER_NAMES = {
    "?": "help",
    "bye": "exit",
    "quit": "exit",
    "read": "file",
    "regen": "retry",
    "regenerate": "retry",
    "show": "set",
}


class Command(NamedTuple):
    """run: takes the rest of the line; returns EXIT, ASK (for an answer) or what to show."""

    run: Callable[[str], str]
    usage: str
    about: str


class Commands:
    """The commands of one chat. directory: of saved chats."""

    def __init__(self, session: Session, server: Server, directory: Path) -> None:
        self._session = session
        self._server = server
        self._directory = directory
        self.by_name: dict[str, Command] = {
            "help": Command(self._help, "", "this list"),
            "set": Command(self._set, "[NAME [VALUE]]", "a field of the requests: /set top_k 20"),
            "system": Command(self._system, "[TEXT]", "the system prompt; without a text, none"),
            "model": Command(self._model, "[NAME]", "another model of this server"),
            "file": Command(self._file, "PATH", "put a text file before the next message"),
            "retry": Command(self._retry, "", "answer the last question again (also /regenerate)"),
            "undo": Command(self._undo, "", "forget the last question and its answer"),
            "clear": Command(self._clear, "", "begin a new chat"),
            "history": Command(self._history, "", "what was said"),
            "save": Command(self._save, "[NAME]", "keep this chat; without a name, list them"),
            "load": Command(self._load, "[NAME]", "go on with a chat that was kept"),
            "exit": Command(lambda _rest: EXIT, "", "end, as Ctrl-D does (also /bye)"),
        }

    def do(self, line: str) -> str:
        """Do what the line says. Raises PyserveError or OSError."""
        name, _, rest = line.removeprefix("/").partition(" ")
        command = self.by_name.get(OTHER_NAMES.get(name, name))
        if command is None:
            advice = did_you_mean(name, self.by_name).replace("mean ", "mean /")
            raise InvalidRequestError(f"there is no command /{name}: {advice or '/help lists all'}")
        return command.run(rest.strip())

    def _help(self, _rest: str) -> str:
        rows = [(f"/{n} {c.usage}".strip(), c.about) for n, c in self.by_name.items()]
        rows += [('"""', "begins and ends a message of several lines (or: Alt-Enter)")]
        rows += [("Ctrl-C", "stops an answer"), ("Ctrl-D", "ends the chat")]
        width = max(len(left) for left, _ in rows)
        return "\n".join(f"{left:{width}}  {right}" for left, right in rows)

    def _set(self, rest: str) -> str:
        name, _, value = rest.partition(" ")
        if name == "system":  # as Ollama's chat has it, and `/set parameter NAME VALUE`
            return self._system(value.strip().strip('"'))
        if rest:
            self._session.set(value if name == "parameter" else rest)
        encode = msgspec.json.encode
        lines = [f"{name} {encode(v).decode()}" for name, v in self._session.settings.items()]
        return "\n".join(lines) or "the model's own settings"

    def _system(self, rest: str) -> str:
        self._session.system = rest
        return "system prompt set" if rest else "no system prompt"

    def _model(self, rest: str) -> str:
        served = names(self._server)
        if not rest:
            return "\n".join(f"{'*' if n == self._session.model else ' '} {n}" for n in served)
        self._session.model = named(rest, served)
        return f"answers come from {rest}"

    def _file(self, rest: str) -> str:
        if not rest:
            raise InvalidRequestError("/file needs a PATH")
        self._session.attach(Path(rest))
        return f"{rest} goes before the next message"

    def _retry(self, _rest: str) -> str:
        self._session.forget_answer()
        return ASK

    def _undo(self, _rest: str) -> str:
        self._session.forget_question()
        return "forgotten"

    def _clear(self, _rest: str) -> str:
        self._session.clear()
        return "a new chat"

    def _history(self, _rest: str) -> str:
        return "\n".join(transcript(self._session)) or "nothing was said yet"

    def _save(self, rest: str) -> str:
        if not rest:
            return self._kept()
        path = chat_file(self._directory, rest)
        self._session.save(path)
        return f"kept as {rest} in {path.parent}"

    def _load(self, rest: str) -> str:
        if not rest:
            return self._kept()
        self._session.load(chat_file(self._directory, rest))
        return "\n".join(transcript(self._session)) or "nothing was said in it"

    def _kept(self) -> str:
        return "\n".join(saved_chats(self._directory)) or "no chats are kept"
