from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest

from pyserve.api import pages

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


LINK = re.compile(r'(?:src|href)="(?!#|data:)([^"#]+)(?:#[^"]*)?"')
IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*"(\.[^"]+)\"""")
NAMESPACE = re.compile(r"http://www\.w3\.org/\S+?(?=\")")


@pytest.mark.parametrize("prefix", ["/", "/v1/"])
@pytest.mark.parametrize("name", ["docs", ""])
def test_a_page_and_all_it_loads_come_from_here(front, prefix, name):
    page = front.client.get(prefix + name, headers=BROWSER)
    assert page.status_code == 200
    assert page.content_type.startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    links = set(LINK.findall(page.text))
    assert len(links) >= 3
    for link in links:
        response = front.client.get(urljoin(page.request.url, link), headers=BROWSER)
        assert response.status_code == 200
        assert "//" not in link


def test_modules_import_what_there_is_and_none_is_left_over(front):
    open_, seen = ["/ui/app.js", "/ui/docs.js"], set()
    while open_:
        path = open_.pop()
        if path in seen:
            continue
        seen.add(path)
        response = front.client.get(path)
        assert response.status_code == 200, path
        assert response.mimetype == "text/javascript"
        assert not re.search(r"https?://(?=\w)", NAMESPACE.sub("", response.text)), path
        open_ += [urljoin(path, link) for link in IMPORT.findall(response.text)]
    assert seen == {f"/ui/{name}" for name in pages.assets() if name.endswith(".js")}


def test_the_page_names_the_modules_that_it_begins_with(front):
    page = front.client.get("/", headers=BROWSER).text
    named = re.findall(r'rel="modulepreload" href="ui/([^"]+)"', page)
    open_, seen = ["app.js"], set()
    while open_:
        name = open_.pop()
        seen.add(name)
        text = front.client.get(f"/ui/{name}").text
        open_ += [
            found
            for link in re.findall(r'\bfrom "(\.[^"]+)"', text)
            if (found := urljoin(f"/{name}", link)[1:]) not in seen
        ]
    assert sorted(seen - {"app.js"}) == named


def test_files_are_sent_once(front):
    for path in ("/ui/app.js", "/openapi.json", "/docs"):
        first = front.client.get(path)
        assert first.headers["Cache-Control"] == "no-cache"
        again = front.client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        other = front.client.get(path, headers={"If-None-Match": '"other"'})
        assert other.data == first.data


def test_a_prefix_is_before_everything(start):
    front = start(api_prefix="llm/")
    assert front.client.get("/llm/v1/models").get_json()["data"][0]["id"] == "tiny"
    assert front.client.get("/llm//models").status_code == 200
    for path in ("/", "/v1/models", "/health", "/llmx/health"):
        assert front.client.get(path).status_code == 404
    servers = front.client.get("/llm/openapi.json").get_json()["servers"]
    assert [each["url"] for each in servers] == ["/llm/v1", "/llm"]
    about = front.client.get("/llm").get_json()
    assert "POST /llm/v1/chat/completions" in about["endpoints"]


def test_a_prefix_that_a_proxy_has_cut_off_is_shown(start):
    headers = {"X-Forwarded-Prefix": "/outer"}
    front = start(api_prefix="/llm", trusted_proxy=["127.0.0.1"])
    document = front.client.get("/llm/openapi.json", headers=headers).get_json()
    assert [each["url"] for each in document["servers"]] == ["/outer/llm/v1", "/outer/llm"]
    about = front.client.get("/llm", headers=headers).get_json()
    assert "POST /outer/llm/v1/chat/completions" in about["endpoints"]
    untrusting = start().client.get("/openapi.json", headers=headers).get_json()
    assert [each["url"] for each in untrusting["servers"]] == ["/v1", "/"]


@pytest.mark.parametrize("path", ["/llm", "/llm/", "/llm/v1", "/llm/docs", "/llm/v1/docs"])
def test_the_links_of_pages_are_below_the_prefix(start, path):
    front = start(api_prefix="/llm")
    page = front.client.get(path, headers=BROWSER, follow_redirects=True)
    for link in set(LINK.findall(page.text)):
        target = urljoin(page.request.url, link)
        assert urlsplit(target).path.startswith("/llm/")
        assert front.client.get(target, headers=BROWSER).status_code == 200


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/plain"])
def test_programs_get_data_at_the_root(front, accept):
    response = front.client.get("/", headers={"Accept": accept} if accept else {})
    assert response.get_json()["models"] == ["tiny"]
    assert response.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("app.js", "text/javascript"),
        ("css/base.css", "text/css"),
        ("docs.html", "text/html"),
    ],
)
def test_files_have_their_types(front, name, content_type):
    response = front.client.get(f"/ui/{name}")
    assert response.mimetype == content_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        *("/ui/nothing", "/ui/nothing.html", "/ui/..%2fapp.py", "/ui/", "/ui/core", "/ui/core/"),
        *("/ui/package.json", "/ui/core/../app.js/", "/ui/core/%00.js", "/docs/"),
    ],
)
def test_nothing_else_of_the_package_is_served(front, path):
    assert front.client.get(path).status_code == 404
