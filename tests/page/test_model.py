"""What only a real model shows: calls of tools, schemas, probabilities."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Screen
from tests.support.server import ServerProcess, served

DEFAULT_MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def model_server() -> Iterator[ServerProcess]:
    with served(DEFAULT_MODEL) as server:
        yield server


@pytest.fixture
def screen(browser: Browser, model_server: ServerProcess) -> Iterator[Screen]:
    screen = Screen(browser, model_server.url)
    yield screen
    screen.close()


def limited(screen: Screen):
    """The settings, with a limit on answers."""
    panel = screen.set_up()
    panel.get_by_role("searchbox").fill("max_tokens")
    panel.get_by_label("max_tokens", exact=True).fill("64")
    panel.get_by_label("max_tokens", exact=True).press("Tab")
    return panel


@pytest.mark.model
def test_a_tool_is_called_and_answered_by_hand(screen):
    page = screen.open()
    panel = limited(screen)
    screen.press("Insert an example", panel)
    panel.get_by_label("Tool choice").select_option("required")
    screen.ask("What is the weather in Paris?")
    result = page.get_by_label("Result of get_weather")
    expect(result).to_be_visible()
    assert "city" in json.loads(page.locator(".call pre").inner_text())
    result.fill('{"sky": "clear"}')
    panel.get_by_label("Tool choice").select_option("none")
    with page.expect_request("**/chat/completions") as sent:
        screen.press("Send the results")
    roles = [message["role"] for message in sent.value.post_data_json["messages"]]
    assert roles == ["user", "assistant", "tool"]
    expect(screen.answers()).to_have_count(2)
    expect(screen.answers().last).to_contain_text("tokens/s")
    expect(result).to_have_count(0)


@pytest.mark.model
def test_an_answer_follows_a_schema_and_shows_its_probabilities(screen):
    page = screen.open()
    panel = limited(screen)
    panel.get_by_label("Format", exact=True).select_option("schema")
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    panel.get_by_label("The format").fill(json.dumps(schema))
    panel.get_by_label("Ask for the probability of each token").check()
    screen.ask("Is water wet?")
    expect(screen.answers().last).to_contain_text("first token")
    last = screen.answers().last
    assert isinstance(json.loads(last.locator(".text").last.inner_text())["yes"], bool)
    screen.press("Token probabilities", last)
    last.locator(".token").first.focus()
    page.keyboard.press("ArrowRight")
    tip = page.get_by_role("tooltip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("%")
    expect(tip.locator(".chosen")).to_have_count(1)
