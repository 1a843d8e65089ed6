"""Conversations: turns and their versions, files, tools, settings, search, export and import."""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect

from tests.support.limits import SOON_S
from tests.support.server import wait_until

END_PX = 48


def test_turns_have_versions_and_branches(screen):
    page = screen.open()
    screen.ask("first")
    screen.answered("first")
    screen.ask("second")
    screen.answered("second")
    first = page.locator(".turn.user").first
    first.hover()
    screen.press("Edit", first)
    first.get_by_label("Edit the text").fill("other")
    screen.press("Send", first)
    screen.answered("other")
    expect(page.locator(".turn")).to_have_count(2)
    screen.press("Version before", page.locator(".turn.user").first)
    expect(page.locator(".turn")).to_have_count(4)
    screen.answered("second")
    screen.press("Branch into a new conversation", screen.answers().first)
    expect(page.locator(".turn")).to_have_count(2)
    expect(page.locator(".conversations li")).to_have_count(2)
    screen.press("Delete this turn and what follows", screen.answers().first)
    screen.press("Delete", page.get_by_role("dialog"))
    expect(page.locator(".turn")).to_have_count(1)


def test_who_stays_at_the_end_is_kept_there_however_fast_an_answer_comes(screen):
    page = screen.open()
    screen.ask("\n".join(f"line {i}" for i in range(99)))
    screen.answered("line 98")
    log = page.locator(".log")
    left = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight"
    wait_until(lambda: log.evaluate(left) < END_PX, SOON_S, "the end is shown")
    page.mouse.move(640, 300)
    page.mouse.wheel(0, -400)
    expect(page.get_by_role("button", name="To the end")).to_be_visible()
    assert log.evaluate(left) > END_PX


def test_an_answer_is_edited_and_continued(screen):
    page = screen.open()
    screen.ask("hello")
    screen.press("Edit", screen.answered("hello"))
    page.get_by_label("Edit the text").fill("Once upon")
    screen.press("Save", screen.answers().last)
    screen.press("Continue the answer", screen.answered("Once upon"))
    expect(page.locator(".turn.assistant .place")).to_have_text("3/3")
    assert screen.answered("Once upon").locator(".text").last.inner_text().startswith("Once upon")


def test_escape_stops_an_answer_and_what_came_stays(screen):
    page = screen.open()
    screen.ask("one two three #hold=2")
    expect(screen.answers().last).to_contain_text("one")
    page.keyboard.press("Escape")
    screen.answered("Stopped.")
    page.reload()
    page.locator(".conversations .open").first.click()
    screen.answered("Stopped.")
    expect(screen.answers().last).to_contain_text("one")
    screen.ask("four five #hold=1")
    expect(screen.answers().last).to_contain_text("four")
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.get_by_role("button", name="New chat", exact=True)).not_to_be_in_viewport()
    page.reload()
    screen.press("Conversations")
    page.locator(".conversations .open").first.click()
    screen.answered("did not come to its end")


def test_errors_are_shown_and_can_be_tried_again(screen):
    page = screen.open()
    screen.ask("this #fail=1")
    screen.answered("the script says so")
    screen.press("Regenerate", screen.answers().last)
    expect(page.locator(".turn.assistant .place")).to_have_text("2/2")
    screen.answered("the script says so")


def test_files_go_with_a_message(screen, tmp_path):
    page = screen.open()
    (tmp_path / "notes.txt").write_text("the secret word\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\xff")
    page.get_by_label("Files to attach").set_input_files(
        [tmp_path / "notes.txt", tmp_path / "picture.png"]
    )
    expect(page.get_by_text("picture.png is no text file")).to_be_visible()
    expect(page.locator(".chips li")).to_have_count(1)
    screen.ask("What is it?")
    screen.answered("the secret word")
    expect(page.locator(".turn.user .file summary")).to_contain_text("notes.txt")


def test_settings_are_sent_shown_and_kept_in_presets(screen):
    page = screen.open()
    panel = screen.set_up()
    panel.get_by_label("System prompt").fill("Be brief.")
    panel.get_by_label("temperature", exact=True).fill("3")
    panel.get_by_label("temperature", exact=True).press("Tab")
    expect(panel.get_by_text("This must be at most 2.")).to_be_visible()
    panel.get_by_label("temperature", exact=True).fill("0.5")
    panel.get_by_role("searchbox").fill("dry_base")
    expect(panel.get_by_label("dry_base", exact=True)).to_be_visible()
    expect(panel.get_by_text("Base of DRY's penalty")).to_be_visible()
    panel.get_by_label("Name of a new preset").fill("mine")
    screen.press("Save as preset", panel)
    with page.expect_request("**/chat/completions") as sent:
        screen.ask("hi")
    body = sent.value.post_data_json
    assert body["temperature"] == 0.5
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    screen.answered("hi")
    screen.press("New chat")
    panel.get_by_label("Preset", exact=True).select_option("Default")
    expect(panel.get_by_label("System prompt")).to_have_value("")
    panel.get_by_label("Preset", exact=True).select_option("mine")
    expect(panel.get_by_label("System prompt")).to_have_value("Be brief.")


def test_formats_and_tools_are_checked_and_sent(screen):
    page = screen.open()
    panel = screen.set_up()
    panel.get_by_label("Tools as JSON").fill("{")
    expect(panel.get_by_text("This is no JSON")).to_be_visible()
    screen.press("Insert an example", panel)
    panel.get_by_label("Format", exact=True).select_option("schema")
    with page.expect_request("**/chat/completions") as sent:
        screen.ask("hi")
    body = sent.value.post_data_json
    assert body["tools"][0]["function"]["name"] == "get_weather"
    assert body["tool_choice"] == "auto"
    schema = body["response_format"]["json_schema"]["schema"]
    assert "confidence" in schema["properties"]
    expect(screen.answers().last).to_have_attribute("aria-busy", "false")


def test_conversations_are_searched_renamed_exported_and_imported(screen, tmp_path):
    page = screen.open()
    for word in ("apple", "banana"):
        screen.press("New chat")
        screen.ask(f"about {word}s")
        screen.answered(word)
    items = page.locator(".conversations li")
    expect(items).to_have_count(2)
    page.get_by_label("Search conversations").fill("BANANA")
    expect(items).to_have_count(1)
    items.first.hover()
    screen.press("Rename about bananas")
    page.get_by_label("Name of the conversation").fill("fruit")
    page.keyboard.press("Enter")
    expect(items.first).to_contain_text("fruit")
    with page.expect_download() as loaded:
        screen.press("Export all")
    path = tmp_path / "all.json"
    loaded.value.save_as(path)
    assert len(json.loads(path.read_text())["conversations"]) == 2
    page.get_by_label("Search conversations").fill("")
    page.get_by_label("Import conversations").set_input_files(path)
    expect(items).to_have_count(4)
    path.write_text('{"format": "other"}')
    page.get_by_label("Import conversations").set_input_files(path)
    expect(page.get_by_text("Not imported: the file has no conversations")).to_be_visible()
    items.first.hover()
    page.get_by_role("button", name="Delete fruit").first.click()
    screen.press("Delete", page.get_by_role("dialog"))
    expect(items).to_have_count(3)


def test_a_request_is_shown_as_curl_and_python(screen):
    page = screen.open()
    page.get_by_label("Message", exact=True).fill("it's")
    screen.press("Copy as curl or Python")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"curl {screen.url}/v1/chat/completions")
    screen.press("Copy", dialog.locator(".code").last)
    assert "client.chat.completions.create(" in page.evaluate("navigator.clipboard.readText()")


def test_what_is_copied_needs_no_secure_address(screen):
    # Browsers have no clipboard for pages that came by HTTP from another machine.
    screen.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page = screen.open()
    area = page.get_by_label("Message", exact=True)
    area.fill("copied")
    screen.press("Copy as curl or Python")
    screen.press("Copy", page.get_by_role("dialog").locator(".code").first)
    expect(page.get_by_text("Copied.", exact=True)).to_be_attached()
    page.keyboard.press("Escape")
    area.fill("")
    area.press("Control+V")
    expect(area).to_have_value(re.compile("^curl http.*copied", re.DOTALL))


def test_two_windows_of_one_browser_show_the_same_conversations(screen):
    page = screen.open()
    screen.ask("first")
    screen.answered("first")
    other = screen.context.new_page()
    other.goto(screen.url)
    other.locator(".conversations .open").first.click()
    expect(other.locator(".turn")).to_have_count(2)
    screen.ask("second")
    screen.answered("second")
    expect(other.locator(".turn")).to_have_count(4)
    expect(other.locator(".turn").last).to_contain_text("second")
    page.locator(".conversations li").first.hover()
    screen.press("Delete first")
    screen.press("Delete", page.get_by_role("dialog"))
    expect(other.locator(".turn")).to_have_count(0)
    expect(other.get_by_text("deleted in another tab")).to_be_visible()
    expect(other.locator(".conversations")).to_contain_text("stay in this browser")


def test_a_server_that_is_gone_and_comes_back_is_seen(screen):
    page = screen.open()
    screen.ask("here")
    screen.answered("here")
    state = page.locator("#tools .state")
    expect(state).to_have_class("state ready")
    page.route("**/v1/**", lambda route: route.abort())
    screen.ask("gone")
    screen.answered("the server cannot be reached")
    expect(state).to_have_class("state failed")
    page.unroute("**/v1/**")
    expect(state).to_have_class("state ready")
    screen.press("Regenerate", screen.answers().last)
    screen.answered("gone")
    assert all("ERR_FAILED" in line for line in screen.problems)
    screen.problems.clear()


def test_a_context_that_is_full_says_what_to_do(screen):
    screen.open()
    screen.ask("word " * 5000)
    screen.answered("Begin a new chat, delete turns, or set truncation to auto.")
    screen.problems.clear()


def test_a_browser_without_room_says_so_and_the_chat_goes_on(screen):
    page = screen.open()
    screen.ask("kept")
    screen.answered("kept")
    page.evaluate(
        "() => { IDBObjectStore.prototype.put = () => {"
        " throw new DOMException('it is full', 'QuotaExceededError') } }"
    )
    status = page.locator("p.status")
    for act in (
        lambda: screen.ask("lost"),
        lambda: screen.press("Branch into a new conversation", screen.answers().first),
        lambda: screen.set_up().get_by_label("temperature", exact=True).fill("0.5"),
    ):
        page.evaluate("document.querySelector('p.status').textContent = ''")
        act()
        page.keyboard.press("Tab")
        expect(status).to_have_text("This could not be saved in the browser: it is full")
    screen.answered("lost")
