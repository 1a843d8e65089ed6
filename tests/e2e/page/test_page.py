"""The page in Chromium against a real server: what nobody may break. More is in `tests/page`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Screen, running_browser
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def screen(browser: Browser, model_server: ServerProcess) -> Iterator[Screen]:
    screen = Screen(browser, model_server.url)
    yield screen
    screen.close()


@pytest.mark.model
def test_a_conversation_is_streamed_edited_regenerated_and_kept(screen):
    page = screen.open()
    panel = screen.set_up()
    panel.get_by_role("searchbox").fill("max_tokens")
    panel.get_by_label("max_tokens", exact=True).fill("3")
    panel.get_by_label("max_tokens", exact=True).press("Tab")
    screen.ask("Say this is a test!")
    last = screen.answered("tokens/s")
    expect(last).to_contain_text("The limit of tokens ended the answer.")
    expect(last.locator(".text").last).not_to_be_empty()
    screen.press("Regenerate", last)
    expect(page.locator(".turn.assistant .place")).to_have_text("2/2")
    user = page.locator(".turn.user")
    user.hover()
    screen.press("Edit", user)
    user.get_by_label("Edit the text").fill("Count to ten.")
    screen.press("Send", user)
    expect(page.locator(".turn.user .place")).to_have_text("2/2")
    screen.answered("tokens/s")
    shown = page.locator(".turns").inner_text()
    page.reload()
    page.get_by_role("navigation", name="Conversations").get_by_text("Say this is a test!").click()
    screen.answered("tokens/s")
    assert page.locator(".turns").inner_text() == shown


@pytest.mark.model
def test_an_answer_is_stopped_and_stays(screen):
    page = screen.open()
    panel = screen.set_up()
    panel.get_by_role("searchbox").fill("ignore_eos")
    panel.get_by_label("ignore_eos", exact=True).select_option("true")
    screen.ask("Write a very long story about a cat. ")
    expect(screen.answers().last.locator(".text").last).not_to_be_empty()
    page.keyboard.press("Escape")
    expect(screen.answers().last).to_contain_text("Stopped.")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


@pytest.mark.model
def test_each_tab_is_shown(screen):
    page = screen.open()
    wait_until(lambda: page.evaluate(FIRST_PAINT), SOON_S, "the first paint is told")
    tabs = page.get_by_role("navigation", name="Parts of this page").get_by_role("link")
    for name in tabs.all_inner_texts():
        tabs.get_by_text(name, exact=True).click()
        expect(tabs.get_by_text(name, exact=True)).to_have_attribute("aria-current", "page")
        expect(page.locator("main > *").first).to_be_visible()
