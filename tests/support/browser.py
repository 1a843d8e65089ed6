"""Chromium with the page in it; tests skip where there is no Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.limits import SOON_S

WAIT_MS = SOON_S * 1000
expect.set_options(timeout=WAIT_MS)


def chromium() -> str:
    """The path of the system's Chromium. Skips the test without one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("needs Chromium, which is not installed")


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    path = chromium()
    with sync_playwright() as playwright:
        # Without its own sandbox, which containers do not allow.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Screen:
    """A page in a browser of its own profile, and what a user does with it.

    problems: errors of scripts and the console, violations of the policy, requests to others.
    """

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, **options}
        )
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('policy: ' +"
            " e.violatedDirective + ' ' + e.blockedURI))"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.problems: list[str] = []
        host = urlsplit(url).netloc
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on(
            "console",
            lambda line: self.problems.append(line.text) if line.type == "error" else None,
        )
        self.page.on(
            "request",
            lambda asked: (
                None
                if urlsplit(asked.url).netloc in (host, "")
                else self.problems.append(f"asked {asked.url}")
            ),
        )

    def open(self, path: str = "") -> Page:
        """Load the page, or one of its tabs: `#edit`."""
        self.page.goto(f"{self.url}/{path}")
        return self.page

    def ask(self, text: str) -> None:
        """Send a message in the chat."""
        self.page.get_by_label("Message", exact=True).fill(text)
        self.page.get_by_role("button", name="Send", exact=True).click()

    def answers(self) -> Locator:
        """The answers in the chat."""
        return self.page.locator(".turn.assistant")

    def answered(self, text: str) -> Locator:
        """The last answer, when it is finished and has the text."""
        last = self.answers().last
        expect(last).to_contain_text(text)
        expect(last).to_have_attribute("aria-busy", "false")
        return last

    def press(self, name: str, within: Locator | None = None) -> None:
        """Click the button of that name."""
        place: Any = within or self.page
        place.get_by_role("button", name=name, exact=True).click()

    def set_up(self) -> Locator:
        """The settings of the chat, opened."""
        panel = self.page.get_by_role("complementary", name="Settings")
        if not panel.is_visible():
            self.press("Settings")
        expect(panel.get_by_label("temperature", exact=True)).to_be_visible()
        return panel

    def close(self) -> None:
        """End it. Fails the test if anything went wrong that it did not expect."""
        self.context.close()
        assert self.problems == []
