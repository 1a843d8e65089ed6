"""A conversation of ten thousand messages."""

from __future__ import annotations

import json

from playwright.sync_api import expect

N_TURNS = 5_000
MARKDOWN = "Some **bold** text, `code` and\n\n- a list\n- of two\n\n```\na listing\n```\n"
# Pictures of the screen while the wheel turns: the longest time between two of them.
SCROLL = """async () => {
  const log = document.querySelector(".log");
  let last = performance.now(), longest = 0;
  for (let i = 0; i < 60; i += 1) {
    log.scrollTop -= 700;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return longest;
}"""


def conversation() -> str:
    messages = []
    for i in range(N_TURNS):
        for role, text in (("user", f"Question {i}"), ("assistant", f"{MARKDOWN}Answer {i}")):
            n = len(messages)
            parent = n - 1 if n else None
            messages.append(
                {"id": n, "role": role, "content": text, "parent": parent, "created": n}
            )
    leaf = {"title": "long", "leaf": 2 * N_TURNS - 1, "updated": 1, "settings": {}}
    return json.dumps(
        {
            "format": "pyserve-conversations",
            "version": 1,
            "conversations": [{"conversation": leaf, "messages": messages}],
        }
    )


def test_ten_thousand_messages_are_opened_and_scrolled(screen, tmp_path):
    page = screen.open()
    path = tmp_path / "long.json"
    path.write_text(conversation())
    page.get_by_label("Import conversations").set_input_files(path)
    page.locator(".conversations .open", has_text="long").click()
    last = screen.answers().last
    expect(last).to_be_in_viewport()
    expect(last).to_contain_text(f"Answer {N_TURNS - 1}")
    assert page.locator(".turn").count() == 2 * N_TURNS
    # Turns that are far away are text alone, which the browser's own search finds.
    assert page.locator(".turn strong").count() < 200
    first = page.locator(".turn.assistant").first
    assert "Answer 0" in first.text_content()
    longest_ms = page.evaluate(SCROLL)
    print(f"longest time between pictures: {longest_ms:.0f} ms")
    expect(last).not_to_be_in_viewport()
    screen.press("To the end")
    expect(last).to_be_in_viewport()
    page.locator(".log").evaluate("(log) => { log.scrollTop = 0; }")
    expect(first.locator("strong")).to_be_visible()
    screen.press("To the end")
    screen.set_up().get_by_role("searchbox").fill("truncation")
    page.get_by_label("truncation", exact=True).select_option("auto")
    screen.ask("still fluid")
    screen.answered("still fluid")
    expect(page.locator(".turn")).to_have_count(2 * N_TURNS + 2)
