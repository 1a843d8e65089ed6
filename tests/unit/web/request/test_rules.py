from __future__ import annotations

from flask import Flask, url_for

from pyserve.web.request.rules import LazyRule


def test_urls_are_found_and_made_as_by_rules_that_are_not_lazy() -> None:
    made = []
    for rule_class in (Flask.url_rule_class, LazyRule):
        app = Flask("x", static_folder=None)
        app.url_rule_class = rule_class
        app.add_url_rule("/a/<int:n>/<path:rest>", "view", lambda n, rest: f"{n} {rest}")
        assert app.test_client().get("/a/7/b/c").text == "7 b/c"
        with app.test_request_context():
            made += [url_for("view", n=n, rest="b c", q="ü") for n in (1, 2)]
    assert made[2:] == made[:2]
    assert made[0] == "/a/1/b%20c?q=%C3%BC"
