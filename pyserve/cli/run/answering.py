"""Who answers: a server that runs already, or one of our own; and by which model."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

from pyserve.backend.local_servers import local_servers
from pyserve.cli.plan import model_files
from pyserve.cli.run.own_server import own_server
from pyserve.cli.run.screen import Screen
from pyserve.cli.stopping import stoppable
from pyserve.client.server import Server
from pyserve.config import read_config
from pyserve.errors import InvalidRequestError, PyserveError
from pyserve.spelling import did_you_mean


def chat_server(
    model: str | None, url: str | None, key: str, screen: Screen
) -> AbstractContextManager[Server]:
    """The one at `url`, or one of this machine that has the model, or one of its own."""
    if url:
        return Server(url, key)
    for running in local_servers():
        server = Server(running.url, key)
        with contextlib.suppress(PyserveError):
            if model is None or model in names(server):
                if screen.is_terminal:
                    screen.say(f"{running.url} answers")
                return server
        server.close()
    given = {"models": [model]} if model else {}
    with stoppable():
        model_files(read_config(given), may_pull=True)
    if screen.is_terminal:
        screen.say("loading ...")
    return own_server(model)


def names(server: Server) -> list[str]:
    """The models that the server has."""
    return [str(model["id"]) for model in server.get("/v1/models")["data"]]


def named(name: str, served: list[str]) -> str:
    """That model. Raises InvalidRequestError, with one of a name like it."""
    if name not in served:
        hint = did_you_mean(name, served) or f"it has {', '.join(served)}"
        raise InvalidRequestError(f"this server has no model {name!r}: {hint}")
    return name
