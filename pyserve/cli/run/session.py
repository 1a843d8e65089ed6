"""What a chat consists of: turns and settings. Pure but for the files that it saves and reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pyserve.errors import InvalidRequestError, NotFoundError
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.unsupported import GENERATION
from pyserve.spelling import did_you_mean

Message = dict[str, Any]

MAX_FILE_BYTES = 1 << 20
_NAME = re.compile(r"[\w.-]{1,100}")
_SHOWN_CHARS = 60
# Those that are known; others go to the server as they are, unless they look like one of these.
FIELDS = {*ChatRequest.model_fields, *GENERATION.refused, *GENERATION.named}


class SavedChat(msgspec.Struct, omit_defaults=True):
    """The form of a chat's file."""

    model: str
    messages: list[Message]
    system: str = ""
    settings: dict[str, Any] = {}


@dataclass
class Session:
    """One chat. messages: user and assistant in turn. files: texts for the next message."""

    model: str
    system: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_unanswered(self) -> bool:
        """Whether the last question has no answer."""
        return bool(self.messages) and self.messages[-1]["role"] == "user"

    def ask(self, text: str) -> None:
        """The next turn of the user, with the attached files before it.

        It takes the place of a question that got no answer.
        """
        if self.is_unanswered:
            self.messages.pop()
        parts = [f"{name}:\n```\n{content.rstrip()}\n```" for name, content in self.files]
        self.files.clear()
        self.messages.append({"role": "user", "content": "\n\n".join([*parts, text])})

    def answer(self, content: str, reasoning: str = "") -> None:
        message: Message = {"role": "assistant", "content": content}
        if reasoning:
            message["reasoning_content"] = reasoning
        self.messages.append(message)

    def forget_answer(self) -> None:
        """As if the last question had just been asked.

        Raises InvalidRequestError when none was.
        """
        while self.messages and self.messages[-1]["role"] != "user":
            self.messages.pop()
        if not self.messages:
            raise InvalidRequestError("nothing was asked yet")

    def forget_question(self) -> str:
        """The last question, which was not asked then. Raises InvalidRequestError."""
        self.forget_answer()
        return str(self.messages.pop()["content"])

    def clear(self) -> None:
        self.messages.clear()
        self.files.clear()

    def request(self) -> dict[str, Any]:
        """The body that asks for the next answer."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        body = {"model": self.model, "messages": [*system, *self.messages]}
        return {**body, **self.settings}

    def set(self, text: str) -> None:
        """`NAME VALUE`: a field of the requests; `NAME` alone forgets it.

        The value is JSON, or else a text. Raises InvalidRequestError.
        """
        name, _, value = text.strip().partition(" ")
        name = name.replace("-", "_")
        if name in ("model", "messages", "stream"):
            raise InvalidRequestError(f"{name} is not set in this way")
        if name not in FIELDS and (hint := did_you_mean(name, ChatRequest.model_fields)):
            raise InvalidRequestError(f"there is no field {name!r}: {hint}")
        if not value.strip():
            self.settings.pop(name, None)
            return
        try:
            self.settings[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            self.settings[name] = value.strip()

    def attach(self, path: Path) -> None:
        """Read a text file for the next message. Raises InvalidRequestError or OSError."""
        with path.expanduser().open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise InvalidRequestError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        try:
            self.files.append((path.name, data.decode()))
        except UnicodeDecodeError as error:
            raise InvalidRequestError(f"{path} is no UTF-8 text: byte {error.start}") from error

    def save(self, path: Path) -> None:
        """Raises OSError."""
        saved = SavedChat(self.model, self.messages, self.system, self.settings)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_suffix(".part")
        part.touch(0o600)
        part.write_bytes(msgspec.json.format(msgspec.json.encode(saved), indent=2))
        part.replace(path)

    def load(self, path: Path) -> None:
        """Become the saved chat, with the model of now. Raises NotFoundError or OSError."""
        try:
            saved = msgspec.json.decode(path.read_bytes(), type=SavedChat)
        except FileNotFoundError as error:
            raise NotFoundError(f"no chat is saved as {path.stem!r}") from error
        except msgspec.MsgspecError as error:
            raise InvalidRequestError(f"{path} holds no chat: {error}") from error
        self.messages, self.system, self.settings = saved.messages, saved.system, saved.settings
        self.files.clear()


def chat_file(directory: Path, name: str) -> Path:
    """Where the chat of that name is saved. Raises InvalidRequestError."""
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise InvalidRequestError(f"{name!r} is no name: letters, digits, '-', '_' and '.'")
    return directory / f"{name}.json"


def saved_chats(directory: Path) -> list[str]:
    """Their names."""
    return sorted(path.stem for path in directory.glob("*.json"))


def transcript(session: Session) -> Iterator[str]:
    """A line for each turn, shortened."""
    for message in session.messages:
        text = " ".join(str(message["content"]).split())
        short = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
        yield f"{message['role']}: {short}"
