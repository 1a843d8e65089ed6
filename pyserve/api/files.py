"""/v1/files: files that batches read, and those that they write."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from pyserve.api.endpoint import Endpoint
from pyserve.errors import NotFoundError
from pyserve.memory.files import FileRecord
from pyserve.openai.document.operation import Operation
from pyserve.openai.ids import new_id
from pyserve.openai.server.files import FileList, FileObject, file_list, file_object
from pyserve.openai.server.stored import Deleted
from pyserve.schemas.batches import FileFields
from pyserve.schemas.validate import validate
from pyserve.web.batches.replies import (
    check_purpose,
    content_reply,
    share,
    the_archive,
    the_file,
)
from pyserve.web.batches.upload import read_upload
from pyserve.web.request.access import tenant
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services
from pyserve.web.stored.replies import is_ascending, number

MAX_PAGE = 10_000
ID = "file-0123456789ab"
SECONDS = "expires_after[seconds]"

endpoint = Endpoint("files", tag="Files and batches")


def example() -> FileObject:
    return FileObject(
        id=ID,
        bytes=1200,
        created_at=1764000000,
        expires_at=1766592000,
        filename="questions.jsonl",
        purpose="batch",
    )


@endpoint.view(
    Operation(
        name="createFile",
        method="post",
        path="/files",
        summary="Upload a file for a batch",
        details="A form (`multipart/form-data`) with `file`, `purpose` (`batch`) and maybe"
        " `expires_after[anchor]` (`created_at`) and `expires_after[seconds]`.",
        form={"file": "The file.", "purpose": "`batch`.", SECONDS: "3600 to 2592000."},
        response=FileObject,
        example=example,
    )
)
def create() -> Response:
    archive = the_archive()
    owner = tenant()
    max_bytes = services().config.max_file_mib * 2**20
    with archive.files.incoming(owner, share()) as incoming:
        upload = read_upload(incoming, max_bytes)
        fields = validate(FileFields, _nested(upload.fields))
        created = archive.clock()
        ttl_s = archive.ttl_s if fields.expires_after is None else fields.expires_after.seconds
        record = FileRecord(
            id=new_id("file"),
            tenant=owner,
            created=created,
            expires=created + ttl_s,
            purpose=fields.purpose,
            filename=upload.filename or "",
            n_bytes=incoming.n_bytes,
        )
        archive.files.add(record, incoming)
    return json_reply(file_object(record))


@endpoint.view(
    Operation(
        name="listFiles",
        method="get",
        path="/files",
        summary="The stored files",
        query={
            "limit": "Most files, 1 to 10000, which is the default.",
            "order": "`asc`, or `desc`, which is the default.",
            "after": "Those that follow the file of this id.",
            "purpose": "`batch` or `batch_output`: those alone.",
        },
        response=FileList,
        example=lambda: file_list([]),
    )
)
def list_files() -> Response:
    records, has_more = the_archive().files.page(
        tenant(),
        number("limit", MAX_PAGE, 1, MAX_PAGE),
        after=request.args.get("after"),
        purpose=check_purpose(request.args.get("purpose")),
        is_ascending=is_ascending(),
    )
    return json_reply(file_list(records, has_more=has_more))


@endpoint.view(
    Operation(
        name="retrieveFile",
        method="get",
        path="/files/{file_id}",
        summary="What is known of a file",
        response=FileObject,
        example=example,
    )
)
def retrieve(file_id: str) -> Response:
    return json_reply(file_object(the_file(file_id)))


@endpoint.view(
    Operation(
        name="downloadFile",
        method="get",
        path="/files/{file_id}/content",
        summary="The content of a file",
        media_type="application/octet-stream",
    )
)
def content(file_id: str) -> Response:
    return content_reply(the_file(file_id))


@endpoint.view(
    Operation(
        name="deleteFile",
        method="delete",
        path="/files/{file_id}",
        summary="Delete a file",
        details="Batches that read it go on.",
        response=Deleted,
        example=lambda: Deleted(ID, "file"),
    )
)
def delete(file_id: str) -> Response:
    if not the_archive().files.delete(tenant(), file_id):
        raise NotFoundError("there is no file of this id", param="file_id")
    return json_reply(Deleted(file_id, "file"))


def _nested(fields: dict[str, str]) -> dict[str, Any]:
    """`expires_after[anchor]` and `expires_after[seconds]` as one object."""
    found: dict[str, Any] = {}
    for name, text in fields.items():
        outer, bracket, inner = name.partition("[")
        if not bracket:
            found[name] = text
            continue
        value = int(text) if name == SECONDS and text.isascii() and text.isdecimal() else text
        found.setdefault(outer, {})[inner.removesuffix("]")] = value
    return found
