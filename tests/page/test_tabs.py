"""The other tabs, models, keys, prefixes."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.browser import Screen
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, served, short_dir, wait_until

KEY = "secret-key-1"
PREFIXED = ["--engine", "fake", "--api-prefix", "/llm"]


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_a_text_is_completed_and_inserted(screen):
    page = screen.open("#complete")
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("one two ")
    screen.press("Complete")
    expect(page.get_by_role("region", name="Completion", exact=True)).to_contain_text("one two")
    screen.press("Insert it")
    expect(prompt).to_have_value(re.compile("one two one two"))
    page.get_by_label("Where").select_option("cursor")
    prompt.evaluate("(area) => area.setSelectionRange(3, 4)")
    with page.expect_request("**/completions") as sent:
        screen.press("Complete")
    body = sent.value.post_data_json
    assert body["prompt"] == "one"
    assert body["suffix"].startswith("two")
    # The fake engine has no tokens for that.
    expect(page.get_by_role("alert")).to_contain_text("fill-in-the-middle")
    assert all("400" in line for line in screen.problems)
    screen.problems.clear()


def test_an_edit_shows_what_has_changed(screen):
    page = screen.open("#edit")
    page.get_by_label("Text", exact=True).fill("a text with words")
    page.get_by_label("Instruction").fill("change it")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".diff ins").first).to_be_visible()
    result = page.get_by_role("region", name="Result").inner_text()
    screen.press("Use as the text")
    assert page.get_by_label("Text", exact=True).input_value().strip() == result.strip()


def test_two_answers_are_compared(screen):
    page = screen.open("#compare")
    right = page.get_by_role("region", name="right", exact=True)
    right.get_by_text("Settings").click()
    right.get_by_label("System prompt").fill("Other rules.")
    right.get_by_text("Settings").click()
    sent = []
    page.on("request", lambda asked: sent.append(asked.post_data_json) if asked.post_data else None)
    for text in ("who are you", "and then"):
        screen.ask(text)
        for side in ("left", "right"):
            answers = page.get_by_role("region", name=f"Answers, {side}")
            expect(answers.locator(".text").last).to_contain_text(text)
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    roles = [[message["role"] for message in body["messages"]] for body in sent]
    assert sorted(map(len, roles)) == [1, 2, 3, 4]
    assert roles[0][:1] == ["user"]
    assert roles[1] == ["system", "user"]
    screen.press("Left settings to the right")
    screen.press("Clear")
    screen.ask("again")
    expect(page.get_by_role("region", name="Answers, right")).to_contain_text("first token")
    assert [len(body["messages"]) for body in sent[4:]] == [1, 1]


def test_the_dashboard_follows_the_server(screen):
    page = screen.open("#dashboard")
    requests = page.locator(".plot", has_text="Requests")
    page.evaluate(
        "fetch('v1/chat/completions', {method: 'POST', headers: {'Content-Type':"
        " 'application/json'}, body: JSON.stringify({messages: [{role: 'user', content:"
        " 'a #hold=1'}], stream: true})}).then((response) => { window.held = response; })"
    )
    expect(requests.get_by_role("img")).to_have_attribute("aria-label", re.compile("running 1"))
    page.evaluate("window.held.body.cancel()")
    expect(requests.get_by_role("img")).to_have_attribute("aria-label", re.compile("running 0"))
    expect(page.get_by_role("region", name="Models")).to_contain_text("ready")
    expect(page.get_by_role("region", name=re.compile("Used in"))).to_contain_text("fake")
    expect(page.get_by_label("Events").last).to_contain_text("is ready")
    expect(page.locator(".plot", has_text="by key")).to_be_visible()


def test_models_are_loaded_and_unloaded(screen):
    page = screen.open()
    page.get_by_role("button", name=re.compile("^Models")).click()
    dialog = page.get_by_role("dialog")
    screen.press("Unload fake", dialog)
    expect(dialog).to_contain_text("unloaded")
    screen.press("Load fake", dialog)
    expect(dialog.get_by_role("button", name="Unload fake")).to_be_visible()


@pytest.mark.parametrize("path", ["#api/ChatRequest", "docs#ChatRequest", "v1/docs#ChatRequest"])
def test_the_document_is_shown(screen, path):
    page = screen.open(path)
    expect(page.locator("#ChatRequest")).to_be_in_viewport()
    page.get_by_label("Find an endpoint or type").fill("chat/completions")
    page.get_by_role("link", name="post /v1/chat/completions", exact=True).click()
    expect(page.locator("#createChatCompletion")).to_be_in_viewport()
    expect(page.locator("#ollamaChat")).to_contain_text(f"curl -X POST {screen.url}/api/chat")
    expect(page.locator("#deleteModel")).to_contain_text("curl -X DELETE ")


def test_a_key_is_asked_for_and_kept_for_the_tab(browser):
    with served("--engine", "fake", "--api-key", KEY) as server:
        screen = Screen(browser, server.url)
        page = screen.open()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("API key", exact=True)).to_be_focused()
        screen.press("Close", dialog)
        screen.press("Enter the key")
        page.keyboard.type(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_label("Model", exact=True)).to_have_value("fake")
        screen.ask("hello there")
        screen.answered("hello there")
        screen.press("Copy as curl or Python")
        shown = page.get_by_role("dialog").inner_text()
        assert KEY not in shown
        assert "PYSERVE_API_KEY" in shown
        assert page.evaluate("JSON.stringify(localStorage)").count(KEY) == 0
        page.reload()
        expect(page.get_by_label("Model", exact=True)).to_have_value("fake")
        assert all("401" in line for line in screen.problems)
        screen.problems.clear()
        screen.close()


def test_the_page_is_whole_below_a_prefix(browser):
    with short_dir() as directory, ServerProcess(directory, PREFIXED) as server:
        server.start(wait=False)
        wait_until(lambda: is_healthy(f"{server.url}/llm/health"), SOON_S, "it is healthy")
        for path in ("llm", "llm/", "llm/v1/"):
            screen = Screen(browser, server.url)
            screen.open(path)
            screen.ask("hello there")
            screen.answered("hello there")
            screen.close()


def test_light_dark_and_as_the_system_has_it(browser, echo_server):
    screen = Screen(browser, echo_server.url, color_scheme="dark")
    page = screen.open()
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(colour)
    screen.press("Light, dark or as the system")
    light = page.evaluate(colour)
    assert light == "rgb(255, 255, 255)" != dark
    screen.press("Light, dark or as the system")
    page.reload()
    assert page.evaluate(colour) == dark
    screen.close()
