"""Who sees little, uses no mouse, or has a phone. Axe finds the faults that programs can find."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser import Screen

TABS = ("chat", "complete", "edit", "compare", "dashboard", "api")
SERIOUS = ("serious", "critical")
TEXT = (
    "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n\n"
    "```py\nx\n```\n\n$$\\frac{a}{b}$$\n"
)


def faults(screen: Screen) -> list[str]:
    found = Axe().run(screen.page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


# Axe is not a script of the page: its policy is off here, and nowhere else.
@pytest.fixture(params=["light", "dark"])
def seen(request, browser, echo_server):
    screen = Screen(browser, echo_server.url, color_scheme=request.param, bypass_csp=True)
    yield screen
    screen.close()


def test_no_tab_has_a_serious_fault(seen):
    for tab in TABS:
        page = seen.open(f"#{tab}")
        expect(page.locator("main > *")).to_be_visible()
        if tab == "api":
            expect(page.locator("#ChatRequest")).to_be_attached()
        assert faults(seen) == [], tab


def test_a_conversation_and_its_settings_have_no_serious_fault(seen):
    seen.open()
    seen.set_up()
    seen.ask(TEXT)
    seen.answered("Title")
    assert faults(seen) == []
    seen.page.get_by_role("button", name="Models", exact=False).first.click()
    assert faults(seen) == []


def test_everything_is_reached_by_the_keyboard(screen):
    page = screen.open()
    screen.ask("hello")
    screen.answered("hello")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.innerText")
        )
    wanted = {
        "Chat",
        "API",
        "New chat",
        "Search conversations",
        "Model",
        "Settings",
        "Conversation",
    }
    wanted |= {"Regenerate", "Edit", "Copy the text", "Message", "Send"}
    assert wanted <= {str(name).strip() for name in reached}


@pytest.mark.parametrize("tab", TABS)
def test_nothing_is_wider_than_a_phone(browser, echo_server, tab):
    screen = Screen(browser, echo_server.url, viewport={"width": 360, "height": 740})
    page = screen.open(f"#{tab}")
    expect(page.locator("main > *")).to_be_visible()
    if tab == "chat":
        screen.ask(f"{TEXT}\n\n{'long' * 100}\n")
        screen.answered("Title")
    wide = page.evaluate(
        "[...document.querySelectorAll('.top, main, main > *, .talk, .turn, .composer, .plot')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth + 1)"
        ".map((one) => one.className || one.tagName)"
    )
    assert wide == []
    screen.close()
