"""`Endpoint`: views, each declared with the operations of the OpenAPI document that it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from flask import Blueprint, Response

from pyserve.errors import NotSupportedError
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.error_shape import OPENAI, ErrorShape

View = TypeVar("View", bound=Callable[..., Response])


class Endpoint:
    """Views of one kind.

    tag: the heading of its operations in the document.
    usecase: LocalAI's usecase of the models that may answer; None: the views do not generate, and
    do not count against `--max-streams`.
    needs_key: refused without an API key, where keys are set. errors: how they are told, as
    `pyserve.web.request.families` decides by its paths. is_below_v1: its paths are also there below
    `/v1`, and with the model in them.
    """

    def __init__(
        self,
        name: str,
        *,
        tag: str,
        usecase: str | None = None,
        needs_key: bool = True,
        errors: ErrorShape = OPENAI,
        is_below_v1: bool = True,
    ) -> None:
        self.blueprint = Blueprint(name, __name__)
        self.tag = tag
        self.usecase = usecase
        self.needs_key = needs_key
        self.errors = errors
        self.is_below_v1 = is_below_v1
        self.operations: list[Operation] = []
        self.operations_of_model: list[Operation] = []

    def view(self, *operations: Operation, **options: Any) -> Callable[[View], View]:
        """Serve the operations by the decorated view, which takes the parameters of their paths.

        options: Flask's options of a route.
        """
        plain = [
            replace(
                each,
                tag=self.tag,
                errors=self.errors,
                asks_model=each.asks_model or self.usecase is not None,
                needs_key=self.needs_key,
                is_below_v1=self.is_below_v1,
            )
            for each in operations
        ]
        has_model = self.is_below_v1 and self.usecase is not None
        of_model = [_of_model(each) for each in plain] if has_model else []
        self.operations += plain
        self.operations_of_model += of_model

        def add(view: View) -> View:
            for each in (*plain, *of_model):
                rule = each.path.replace("{", "<path:").replace("}", ">")
                methods = [each.method.upper()]
                self.blueprint.add_url_rule(rule, view_func=view, methods=methods, **options)
            return view

        return add

    def not_built(self, name: str, path: str, what: str, method: str = "post") -> None:
        """Refuse a method of `path`, by which other servers do `what`, with 501."""

        def refuse(**_: str) -> NoReturn:
            raise NotSupportedError(f"this server does not {what}")

        refuse.__name__ = name
        summary = f"Not here: {what}"
        self.view(Operation(name=name, method=method, path=path, summary=summary, status=501))(
            refuse
        )


def all_operations(endpoints: Iterable[Endpoint]) -> list[Operation]:
    """The operations in the order of the document: those with the model in the path are last."""
    endpoints = list(endpoints)
    return [
        *(operation for each in endpoints for operation in each.operations),
        *(operation for each in endpoints for operation in each.operations_of_model),
    ]


def _of_model(operation: Operation) -> Operation:
    return replace(
        operation,
        name=f"{operation.name}OfModel",
        path=f"/engines/{{model}}{operation.path}",
        tag=f"{operation.tag}, with the model in the path",
    )
