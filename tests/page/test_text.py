"""What models say is Markdown, code and formulas, and never live HTML."""

from __future__ import annotations

from playwright.sync_api import expect

MARKDOWN = """
# Title

Some **bold**, *slanted* and `code`.

| a | b |
|---|--:|
| 1 | 2 |

- one
  - two

```python
print("hello")
```

$$\\frac{a}{b}$$

Also \\(x^2\\).
"""

HOSTILE = """
<script>window.hacked = 1</script> <img src=x onerror="window.hacked = 1">
<iframe src="javascript:window.hacked=1"></iframe> <svg onload="window.hacked=1">

[a](javascript:window.hacked=1) [b](data:text/html,<script>1</script>) [c](/v1/models)
![picture](http://203.0.113.1/x.png) ![d](x" onerror="window.hacked=1)

```"><img src=x onerror=window.hacked=1>
</code></pre><script>window.hacked = 1</script>
```

| <b>e</b> | <img src=x onerror=window.hacked=1> |
|---|---|
| <script>window.hacked=1</script> | $<img src=x onerror=window.hacked=1>$ |

$$\\text{<img src=x onerror=window.hacked=1>} \\href{javascript:window.hacked=1}{x}$$
"""


def test_markdown_is_shown_as_it_is_meant(screen):
    page = screen.open()
    screen.ask(MARKDOWN)
    text = screen.answered("Also").locator(".text").last
    expect(text.locator("h3")).to_have_text("Title")
    assert text.locator("strong").inner_text() == "bold"
    assert text.locator("em").inner_text() == "slanted"
    assert text.locator("tbody td").all_inner_texts() == ["1", "2"]
    assert text.locator("li li").inner_text() == "two"
    assert text.locator(".code .string").all_inner_texts() == ['"hello"']
    assert text.locator("math mfrac").count() == 1
    assert text.locator("math msup").count() == 1
    screen.press("Copy", text)
    assert page.evaluate("navigator.clipboard.readText()") == 'print("hello")'


def test_output_of_a_model_is_never_live(screen):
    page = screen.open()
    screen.ask(HOSTILE)
    text = screen.answered("href").locator(".text").last
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 100))")
    assert page.evaluate("window.hacked") is None
    assert text.locator("img, script, iframe, svg, [onerror], [onload]").count() == 0
    links = text.locator("a").evaluate_all("(all) => all.map((one) => one.href)")
    assert links == ["http://203.0.113.1/x.png"]
    assert "<script>window.hacked = 1</script>" in text.inner_text()


def test_streamed_text_is_as_that_which_came_whole(screen):
    page = screen.open()
    screen.ask(f"{MARKDOWN} #slow=5")
    streamed = screen.answered("Also").locator(".text").last.inner_html()
    page.reload()
    page.locator(".conversations .open").first.click()
    assert screen.answered("Also").locator(".text").last.inner_html() == streamed
