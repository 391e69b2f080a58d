"""Results: recording a version of one, reading them, and the files they hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router import commands as cmd
from services.router.api import views
from services.router.api.acting import Action, act
from services.router.api.actions import Body
from services.router.api.documents import read_document
from services.router.handlers import Handlers
from shared.blobs import blob_for
from shared.channels.bodies import file_name
from shared.channels.posted import Object, PostedAttachment
from shared.database import transaction
from shared.errors import Forbidden, NotFound, TooLarge
from shared.events import Attachment
from shared.security import Caller, caller
from shared.web.schemas import request_schema

Agent = Annotated[Caller, Depends(caller("agent"))]
LARGEST_FILES: Final = 25 * 1024 * 1024


class FileView(BaseModel):
    """A file of a result. `url`: its bytes."""

    name: str
    content_type: str
    size: int | None
    sha256: str
    url: str


class ResultView(BaseModel):
    """One version of a named output; versions count from 1 within the name."""

    name: str
    version: int
    state: str
    author: str
    at: datetime
    data: dict[str, Any]
    files: list[FileView]


class ResultBody(Body):
    """What a step put out. A draft may be filled in further; each POST is a new version, and holds
    all of it. `files` in base64, 25 MB together."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
    state: Literal["draft", "final"]
    data: Object = Field(default_factory=dict)
    files: Annotated[list[PostedAttachment], Field(max_length=50)] = Field(default_factory=list)


_RESULTS: Final = text(
    "SELECT name, version, state, author, at, data, files FROM results WHERE case_id = :id "
    "AND (:history OR version = (SELECT max(version) FROM results AS newest "
    "WHERE newest.case_id = :id AND newest.name = results.name)) ORDER BY name, version"
)
_FILE: Final = text(
    "SELECT files -> CAST(:number AS int) FROM results "
    "WHERE case_id = :id AND name = :name AND version = :version"
)


async def results_of(connection: AsyncConnection, case_id: UUID, history: bool) -> list[ResultView]:
    """The newest version of each name, or all."""
    rows = await connection.execute(_RESULTS, {"id": case_id, "history": history})
    return [_view(case_id, row) for row in rows.mappings()]


def _view(case_id: UUID, row: Any) -> ResultView:
    at = f"/v1/cases/{case_id}/results/{quote(row['name'], safe='')}/{row['version']}/files"
    files = [
        FileView(
            name=file["name"],
            content_type=file["content_type"],
            size=file.get("size"),
            sha256=file.get("sha256", ""),
            url=f"{at}/{number}",
        )
        for number, file in enumerate(row["files"], start=1)
    ]
    return ResultView(**{**row, "files": files})


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/cases/{case_id}/results", tags=["results"])

    @router.post("", status_code=201, openapi_extra=request_schema(ResultBody))
    async def record(case_id: UUID, who: Agent, request: Request) -> Response:
        """Records the next version of a result. 422 `unknown-result` names those the case's
        product lists; a handoff that needs one asks for its newest version to be final."""
        body = await read_document(request, ResultBody)
        if sum(len(file.content) for file in body.files) > LARGEST_FILES:
            raise TooLarge(f"the files may take {LARGEST_FILES} bytes together: send fewer")
        if body.files:
            await _keep(handlers, who, case_id, body)
        command = cmd.RecordResult(
            who.actor, body.name, body.state, body.data,
            tuple(_attachment(n, file, case_id) for n, file in enumerate(body.files, start=1)),
        )  # fmt: skip
        action = Action(
            lambda *_: command,
            versioned=True,
            status=201,
            render=lambda case, item: {
                "name": body.name,
                "version": next(r.version for r in case.results if r.name == body.name),
                "state": body.state,
                "case": item.model_dump(),
            },
        )
        return await act(handlers, request, who, case_id, action)

    @router.get(
        "/{name}/{version}/files/{number}",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def file(case_id: UUID, name: str, version: int, number: int, who: Agent) -> Response:
        """The bytes of one file of a version, to be saved; counted from 1."""
        async with transaction(handlers.runtime.engine) as connection:
            await views.one(connection, case_id, handlers, who)
            values = {"id": case_id, "name": name, "version": version, "number": number - 1}
            found = (await connection.scalar(_FILE, values) if number > 0 else None) or {}
        blob = found.get("blob")
        content = await handlers.runtime.blobs.get(blob["ref"]) if blob else None
        if content is None:
            raise NotFound("there is no such file: read the case for its results")
        named = f"attachment; filename*=UTF-8''{quote(found['name'], safe='')}"
        headers = {"Content-Disposition": named}
        return Response(content, headers=headers, media_type="application/octet-stream")

    return router


async def _keep(handlers: Handlers, who: Caller, case_id: UUID, body: ResultBody) -> None:
    """On disk before the event that points at them, and only for whoever may record them."""
    async with transaction(handlers.runtime.engine) as connection:
        item = await views.one(connection, case_id, handlers, who)
    if not who.writes_team(item.team):
        raise Forbidden(f"this case is with team {item.team}: only they record results on it")
    owner = case_id.bytes
    contents = {blob_for(file.content, owner).ref: file.content for file in body.files}
    await handlers.runtime.blobs.put(list(contents.items()))


def _attachment(number: int, file: PostedAttachment, case_id: UUID) -> Attachment:
    blob = blob_for(file.content, case_id.bytes)
    return Attachment(
        name=file_name(file.name) or f"file {number}",
        content_type=file.content_type,
        size=blob.size,
        blob=blob,
        sha256=blob.sha256,
    )
