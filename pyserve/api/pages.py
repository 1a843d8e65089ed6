"""GET /, GET /openapi.json, GET /docs, and the files that the page needs."""

from __future__ import annotations

from importlib.resources import files

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from pyserve import __version__
from pyserve.openai.document.build import document_json
from pyserve.openai.document.operations import endpoints
from pyserve.openai.server import About
from pyserve.web.replies import json_reply
from pyserve.web.services import services

blueprint = Blueprint("pages", __name__)

ASSETS = {
    "docs.html": "text/html; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
}
# The pages load nothing from elsewhere and run no script of theirs.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"


@blueprint.get("/")
def about() -> Response:
    names = [status.id for status in services().backend.models()]
    return json_reply(About("pyserve", __version__, names, endpoints()))


@blueprint.get("/openapi.json")
def openapi() -> Response:
    return Response(document_json(), content_type="application/json")


@blueprint.get("/docs", strict_slashes=True)  # its links are relative
def docs() -> Response:
    return asset("docs.html")


@blueprint.get("/ui/<name>")
def asset(name: str) -> Response:
    """A file of `pyserve/ui`."""
    content_type = ASSETS.get(name)
    if content_type is None:
        raise NotFound
    data = (files("pyserve") / "ui" / name).read_bytes()
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(data, content_type=content_type, headers=headers)
