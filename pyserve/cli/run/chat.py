"""`pyserve run`: asks one question, or chats."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec

from pyserve.cli.completion import model_names
from pyserve.cli.errors import explained
from pyserve.cli.run.answering import chat_server, named, names
from pyserve.cli.run.commands import ASK, EXIT, Commands
from pyserve.cli.run.prompt import Prompt
from pyserve.cli.run.screen import Answer, Screen
from pyserve.cli.run.session import Session
from pyserve.cli.target import key_option, url_option
from pyserve.client.server import Server
from pyserve.config import default_store_dir
from pyserve.errors import PyserveError

CHAT = "/v1/chat/completions"
INTERRUPTED = 130
MAX_NAME_CHARS = 256


@click.command()
@click.argument("model", required=False, shell_complete=model_names)
@click.argument("prompt", nargs=-1)
@click.option("--system", default="", help="System prompt.")
@click.option("--file", "files", multiple=True, type=click.Path(path_type=Path), help="Text file to put before the prompt. May be repeated.")  # fmt: skip  # noqa: E501
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Field of the request, such as temperature=0.2. May be repeated.")  # fmt: skip  # noqa: E501
@click.option("--json-schema", metavar="FILE|JSON", help="The answer is JSON that obeys this schema.")  # fmt: skip  # noqa: E501
@click.option("--grammar", metavar="FILE|TEXT", help="The answer obeys this GBNF grammar.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's whole response.")
@click.option("--plain", is_flag=True, help="Print the text as it is, not as Markdown.")
@click.option("--quiet", is_flag=True, help="Do not print tokens per second.")
@url_option
@key_option
def run(
    model: str | None,
    prompt: tuple[str, ...],
    system: str,
    files: tuple[Path, ...],
    settings: tuple[str, ...],
    json_schema: str | None,
    grammar: str | None,
    as_json: bool,
    plain: bool,
    quiet: bool,
    url: str | None,
    key: str,
) -> None:
    """Chat with a MODEL in the terminal, or ask it one PROMPT.

    A server of yours that runs on this machine and has the model answers, or that of --url. Where
    there is none, one is started for the chat, set by the variables of the environment that
    `pyserve serve` reads; a MODEL that is not here is pulled.

    What is piped in is part of the prompt:  git diff | pyserve run MODEL "Write a commit message."
    """
    piped = "" if sys.stdin.isatty() else _piped()
    question = "\n\n".join(text for text in (piped.strip(), " ".join(prompt)) if text)
    is_chat = not question and sys.stdin.isatty()
    if not is_chat and not question:
        raise click.UsageError("give a PROMPT, or pipe one in")
    screen = Screen(as_markdown=not plain, verbose=not quiet and (is_chat or sys.stdout.isatty()))
    with explained(), ExitStack() as stack:
        session = Session(model or "", system)
        for setting in settings:
            name, equals, value = setting.partition("=")
            if not equals:
                raise click.UsageError(f"--set {setting}: give NAME=VALUE")
            session.set(f"{name} {value}")
        session.settings.update(_form(json_schema, grammar))
        for path in files:
            session.attach(path)
        server = stack.enter_context(chat_server(model, url, key, screen))
        session.model = _named(server, model, is_strict=url is not None)
        if is_chat:
            Chat(session, server, screen).run()
        elif as_json:
            session.ask(question)
            click.echo(msgspec.json.format(_post(server, session)).decode())
        else:
            session.ask(question)
            if ask(session, server, screen).is_stopped:
                sys.exit(INTERRUPTED)


class Chat:
    """Questions and answers until the user has enough. Thread: main thread."""

    def __init__(self, session: Session, server: Server, screen: Screen) -> None:
        self._session = session
        self._server = server
        self._screen = screen
        directory = default_store_dir()
        self._commands = Commands(session, server, directory / "chats")
        self._prompt = Prompt(directory / "chat_history", list(self._commands.by_name))

    def run(self) -> None:
        self._screen.say(f"{self._session.model}: /help lists what can be said, Ctrl-D ends.")
        while True:
            try:
                text = self._prompt.read()
            except EOFError:
                return
            except KeyboardInterrupt:
                continue
            try:
                if text and not self._take(text):
                    return
            except PyserveError as error:
                self._screen.say(error.message, "red")
            except OSError as error:
                self._screen.say(f"{error.filename}: {error.strerror}", "red")

    def _take(self, text: str) -> bool:
        """Whether the chat goes on."""
        if not text.startswith("/"):
            self._session.ask(text)
        elif (said := self._commands.do(text)) == EXIT:
            return False
        elif said != ASK:
            self._screen.say(said)
            return True
        try:
            ask(self._session, self._server, self._screen)
        except PyserveError as error:
            self._screen.say(error.message, "red")
            self._screen.say("/retry asks once more")
        return True


def ask(session: Session, server: Server, screen: Screen) -> Answer:
    """Have the last question answered, and keep the answer."""
    answer = screen.show(_chunks(session, server))
    if answer.ignored:
        screen.say(f"without effect: {', '.join(answer.ignored)}", "yellow")
    session.answer(answer.content, answer.reasoning)
    return answer


def _chunks(session: Session, server: Server) -> Generator[Any]:
    body = {**session.request(), "stream": True, "stream_options": {"include_usage": True}}
    yield from server.stream(CHAT, body)


def _post(server: Server, session: Session) -> bytes:
    return msgspec.json.encode(server.post(CHAT, session.request()))


def _named(server: Server, wanted: str | None, *, is_strict: bool) -> str:
    """The wanted model, or the server's first.

    is_strict: the server was named too, so it has to have the model; one of our own has it, but
    perhaps by the name of its file.
    """
    served = names(server)
    if wanted and (is_strict or wanted in served):
        return named(wanted, served)
    return served[0]


def _form(json_schema: str | None, grammar: str | None) -> dict[str, Any]:
    """The fields that hold an answer to a schema or a grammar."""
    fields: dict[str, Any] = {}
    if json_schema is not None:
        if not json_schema.lstrip().startswith(("{", "true", "false")):
            Path(json_schema).stat()  # raises: it is to be a file
        try:
            schema = msgspec.json.decode(_text(json_schema))
        except msgspec.DecodeError as error:
            raise click.UsageError(f"--json-schema: {error}") from error
        form = {"name": "answer", "schema": schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": form}
    if grammar is not None:
        fields["grammar"] = _text(grammar)
    return fields


def _text(text: str) -> str:
    """The content of the file of that name, if there is one, or the text itself."""
    is_name = "\n" not in text and len(text) < MAX_NAME_CHARS
    return Path(text).read_text() if is_name and Path(text).is_file() else text


def _piped() -> str:
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = f"what is piped in is no UTF-8 text: byte {error.start}"
        raise click.ClickException(text) from error
