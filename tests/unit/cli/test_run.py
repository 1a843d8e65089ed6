"""A chat's turns and settings, and how its answers are drawn."""

from __future__ import annotations

import io
import os
import select
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.cli.run.markdown import split_blocks
from pyserve.cli.run.screen import Answer, unseen_input
from pyserve.cli.run.session import MAX_FILE_BYTES, Session, chat_file, saved_chats, transcript
from pyserve.errors import InvalidRequestError, NotFoundError
from tests.support.limits import SOON_S


def test_a_request_has_the_system_prompt_the_turns_and_the_settings() -> None:
    session = Session("m", "Be brief.")
    session.set("top-k 20")
    session.set("stop [\"a\", 'b']")
    session.set("seed 1")
    session.set("seed")
    session.ask("Hi")
    session.answer("Hello", reasoning="greet")
    session.ask("More")
    assert session.request() == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello", "reasoning_content": "greet"},
            {"role": "user", "content": "More"},
        ],
        "top_k": 20,
        "stop": "[\"a\", 'b']",  # no JSON: a text
    }
    with pytest.raises(InvalidRequestError):
        session.set("messages []")
    with pytest.raises(InvalidRequestError, match="did you mean temperature"):
        session.set("temprature 1")
    session.set("x_of_another_server 1")
    assert session.request()["x_of_another_server"] == 1


def test_answers_and_questions_are_forgotten() -> None:
    session = Session("m")
    with pytest.raises(InvalidRequestError, match="nothing was asked"):
        session.forget_answer()
    session.ask("one")
    session.answer("1")
    session.forget_answer()
    assert [message["content"] for message in session.messages] == ["one"]
    session.ask("two")  # in place of the one that got no answer
    assert (session.forget_question(), session.messages) == ("two", [])


def test_files_go_before_the_next_message_once(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    session = Session("m")
    session.attach(path)
    session.ask("Explain.")
    session.answer("")
    session.ask("Again.")
    contents = [each["content"] for each in session.messages if each["role"] == "user"]
    assert contents == ["a.py:\n```\nx = 1\n```\n\nExplain.", "Again."]
    path.write_bytes(b"a\xff")
    with pytest.raises(InvalidRequestError, match="byte 1"):
        session.attach(path)
    path.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(InvalidRequestError, match="larger than 1048576 bytes"):
        session.attach(path)


def test_a_chat_is_kept_for_its_user_alone_and_goes_on(tmp_path: Path) -> None:
    session = Session("m", "Be brief.", {"seed": 1})
    session.ask("Hi " * 40)
    session.answer("Hello")
    path = chat_file(tmp_path / "chats", "first")
    session.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = Session("other")
    again.load(path)
    assert (again.model, again.messages) == ("other", session.messages)
    assert (again.system, again.settings) == ("Be brief.", {"seed": 1})
    assert saved_chats(path.parent) == ["first"]
    assert [len(line) for line in transcript(again)] == [66, 16]
    with pytest.raises(NotFoundError, match="'second'"):
        again.load(chat_file(tmp_path, "second"))
    path.write_text("{}")
    with pytest.raises(InvalidRequestError, match="holds no chat"):
        again.load(path)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "x" * 101])
def test_names_of_chats_are_no_paths(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="is no name"):
        chat_file(tmp_path, name)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("one", "one"),
        ("one\n\ntwo", "two"),
        ("# h\ntext\n- a\n- b", "- a\n- b"),
        ("a\n\n```py\nx\n\ny\n", "```py\nx\n\ny\n"),
        ("| a |\n|---|\n| 1 |\n\nend", "end"),
        ("\n\n", "\n\n"),
    ],
)
def test_what_may_still_change_is_the_last_block(text: str, last: str) -> None:
    assert split_blocks(text) == (text.removesuffix(last), last)


@given(st.text(alphabet="ab \n#`-*|>1.", max_size=60))
def test_no_text_is_lost_between_blocks(text: str) -> None:
    done, rest = split_blocks(text)
    assert done + rest == text


def test_an_answer_that_was_stopped_says_about_how_fast_it_was() -> None:
    answer = Answer(n_pieces=11, is_stopped=True, started=1.0, first=2.0, last=4.0)
    assert answer.numbers() == "about 11 tokens · 5.0 tokens/s · first after 1.00 s · stopped"
    answer.usage = {"completion_tokens": 21}
    assert answer.numbers().startswith("21 tokens · 10.0 tokens/s")


def test_what_is_typed_during_an_answer_is_not_shown_and_not_lost() -> None:
    keyboard, terminal = os.openpty()
    with os.fdopen(terminal, "r+b", buffering=0) as raw, io.TextIOWrapper(raw) as stream:
        with unseen_input(stream):
            os.write(keyboard, b"secret\n")
            assert select.select([raw], [], [], SOON_S)[0]  # it has arrived
            assert not termios.tcgetattr(raw.fileno())[3] & termios.ECHO
        assert termios.tcgetattr(raw.fileno())[3] & termios.ECHO
        assert os.read(raw.fileno(), 100) == b"secret\n"
        os.set_blocking(keyboard, False)
        with pytest.raises(BlockingIOError):
            os.read(keyboard, 100)
    os.close(keyboard)
