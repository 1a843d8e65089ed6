from __future__ import annotations

from flask import Flask, Response

from pyserve.web.request.notes import NOTE_HEADERS, install, notes


def test_every_note_has_its_header():
    app = Flask("notes")
    install(app)

    @app.get("/")
    def view() -> Response:
        noted = notes()
        noted.model_id, noted.n_dropped, noted.queue_position = "m", 1, 2
        noted.ignored, noted.ignored_tools = ["f"], ["t"]
        noted.ignored_items, noted.unenforced = ["i"], ["u"]
        return Response()

    headers = [name for name, _ in app.test_client().get("/").headers if name.startswith("X-")]
    assert sorted(headers) == sorted(NOTE_HEADERS)
