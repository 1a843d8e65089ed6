from __future__ import annotations

from flask import Flask, Response

from pyserve.web.request.notes import LISTS, MAX_SHOWN_NAMES, NOTE_HEADERS, install, notes


def test_every_note_has_its_header():
    app = Flask("notes")
    install(app)

    @app.get("/")
    def view() -> Response:
        noted = notes()
        noted.model_id, noted.n_dropped, noted.queue_position = "m", 1, 2
        noted.n_compacted = 3
        noted.ignored, noted.ignored_tools = ["f"], ["t"]
        noted.ignored_items, noted.unenforced = ["i"], ["u"]
        return Response()

    headers = [name for name, _ in app.test_client().get("/").headers if name.startswith("X-")]
    assert sorted(headers) == sorted(NOTE_HEADERS)


def test_lists_are_bounded_and_tell_how_many_more_there_are():
    app = Flask("notes")
    install(app)
    names = [f"{i}\r\nX-Evil: é" for i in range(MAX_SHOWN_NAMES + 7)]

    @app.get("/")
    def view() -> Response:
        noted = notes()
        noted.ignored_tools, noted.ignored_items, noted.unenforced = names, names, names
        return Response()

    headers = app.test_client().get("/").headers
    for name in LISTS[1:]:
        shown = headers[name].split(", ")
        assert (len(shown), shown[-1]) == (MAX_SHOWN_NAMES + 1, "+7"), name
