"""A browser, and servers of the fake engine, which says what it is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Screen, running_browser
from tests.support.server import ServerProcess, served


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def echo_server() -> Iterator[ServerProcess]:
    with served("--engine", "fake") as server:
        yield server


@pytest.fixture
def screen(browser: Browser, echo_server: ServerProcess) -> Iterator[Screen]:
    """The page of a server that echoes prompts."""
    screen = Screen(browser, echo_server.url)
    yield screen
    screen.close()
