"""GET / (server info, or the chat page), GET /openapi.json, GET /docs, and their static files."""

from __future__ import annotations

from importlib.resources import files

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from pyserve import __version__
from pyserve.openai.document.build import document_json
from pyserve.openai.document.operations import endpoints
from pyserve.openai.server.about import About
from pyserve.web.answer.model_names import usable_models
from pyserve.web.request.replies import json_reply

blueprint = Blueprint("pages", __name__)

JSON, HTML = "application/json", "text/html"
CONTENT_TYPES = {"html": HTML, "js": "text/javascript", "css": "text/css"}
ASSETS = frozenset(f"{page}.{kind}" for page in ("chat", "docs") for kind in CONTENT_TYPES)
# The pages load nothing from elsewhere and run no script but their own.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.get("/")
def about() -> Response:
    if request.accept_mimetypes.best_match([JSON, HTML], JSON) == HTML:
        response = asset("chat.html")
    else:
        names = [status.id for status in usable_models()]
        response = json_reply(About("pyserve", __version__, names, endpoints()))
    response.vary.add("Accept")
    return response


@blueprint.get("/openapi.json")
def openapi() -> Response:
    return Response(document_json(), content_type="application/json")


@blueprint.get("/docs", strict_slashes=True)  # its links are relative
def docs() -> Response:
    return asset("docs.html")


@blueprint.get("/ui/<name>")
def asset(name: str) -> Response:
    """A file of `pyserve/ui`."""
    if name not in ASSETS:
        raise NotFound
    data = (files("pyserve") / "ui" / name).read_bytes()
    content_type = f"{CONTENT_TYPES[name.rpartition('.')[2]]}; charset=utf-8"
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return Response(data, content_type=content_type, headers=headers)
