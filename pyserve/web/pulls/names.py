"""Removes models, and gives them further names, for whoever may change this machine's files."""

from __future__ import annotations

from pathlib import Path

from flask import request

from pyserve.backend.protocol import ModelStatus
from pyserve.errors import InvalidRequestError, PermissionDeniedError
from pyserve.models.copies import add_name, has_name, remove_name
from pyserve.models.gallery import load_gallery
from pyserve.models.remove import remove_model
from pyserve.models.routing import not_found
from pyserve.web.answer.model_names import model_names, usable_models
from pyserve.web.pulls.pull import own_directory
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.services import services
from pyserve.web.request.wait_budget import request_patience

UNLOAD_S = 10.0


def remove(name: str, *, is_forced: bool = False) -> None:
    """Remove a model's file, or a further name of a model.

    is_forced: without waiting for its requests, which fail. Raises ModelNotFoundError,
    InvalidRequestError for a name that stands for another, PermissionDeniedError for files
    elsewhere, ModelBusyError.
    """
    parts = services()
    directory = own_directory(parts)
    if not remove_name(directory, name):
        status = exactly(name)
        if status.id != name:
            message = f"{name!r} stands for {status.id!r}: its file is removed by that name alone"
            raise InvalidRequestError(message, param="model")
        path = Path(status.model_path)
        if status.parent is not None or path.parent != directory:
            message = f"{name!r} is no file of the models directory, and stays"
            raise PermissionDeniedError(message, param="model")
        parts.backend.unload(
            status.id,
            wait_s=request_patience().at_most(UNLOAD_S),
            is_forced=is_forced,
            on_wait=ClientWatch(request.environ).check,
        )
        remove_model(path.name, directory, load_gallery())
    parts.backend.reload()


def give_name(model: str, name: str, param: str) -> str:
    """Give a model a further name, or have one that was given mean it; returns the model's id.

    param: the field of the name.
    """
    parts = services()
    directory = own_directory(parts)
    status = exactly(model)
    check_name(name, param)
    remove_name(directory, name)
    add_name(directory, name, status.id)
    parts.backend.reload()
    return status.id


def check_name(name: str, param: str) -> None:
    """Raises InvalidRequestError for a name that is a model's own."""
    parts = services()
    known = model_names(parts.config, usable_models()).find(name, with_patterns=False)
    if known is not None and not has_name(own_directory(parts), name):
        raise InvalidRequestError(f"{name!r} is a model already", param=param)


def exactly(name: str) -> ModelStatus:
    """The model of that name, which no pattern stands for. Raises ModelNotFoundError."""
    statuses = usable_models()
    found = model_names(services().config, statuses).find(name, with_patterns=False)
    for status in statuses:
        if status.id == found:
            return status
    raise not_found(name, [status.id for status in statuses])
