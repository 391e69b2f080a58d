"""The policy: the text in force, its versions, putting another in force, and going back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router.api.actions import Body
from services.router.api.once import answered, once
from services.router.api.policy_text import JSON, YAML, text_of
from services.router.handlers import Handlers
from services.router.versions import rows as versions
from services.router.versions.candidate import Candidate, Checks, decoded
from services.router.versions.changes import Change, Changes, Made
from services.router.versions.rows import Version
from shared.database import transaction
from shared.errors import NotFound
from shared.guard import Guard
from shared.security import Caller, caller
from shared.web import Json, decode_cursor, encode_cursor, etag, if_match, read_body

Reader = Annotated[Caller, Depends(caller("supervisor"))]
Admin = Annotated[Caller, Depends(caller("admin"))]
Reason = Annotated[str, Query(max_length=1000, description="why, for the list of versions")]
Number = Annotated[int, Path(ge=1, lt=2**31)]
Accept = Annotated[str, Header(description="application/yaml (default) or application/json")]
Held = Annotated[str | None, Header(alias="If-None-Match")]
LARGEST: Final = 1024 * 1024
_TEXT: Final[dict[str, Any]] = {
    YAML: {"schema": {"type": "string"}},
    JSON: {"schema": {"type": "object"}},
}
_GIVEN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "the text as it was stored, or the same as JSON", "content": _TEXT},
    304: {"description": "nothing changed"},
}


class VersionView(BaseModel):
    """One stored version. `origin` is file, api, rollback or built-in."""

    version: int
    author: str
    reason: str
    origin: str
    created_at: datetime
    sha256: str
    in_force: bool


class Versions(BaseModel):
    items: list[VersionView]
    next_cursor: str | None


class Told(BaseModel):
    line: int
    field: str
    message: str


class StoredView(VersionView):
    """What is in force now. `changed` is false when it was already; `tests` were run."""

    changed: bool
    tests: int
    warnings: list[Told]


class RollbackBody(Body):
    version: Annotated[int, Field(ge=1, lt=2**31)]
    reason: Annotated[str, Field(max_length=1000)] = ""


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/policy", tags=["policy"])
    _reading(router, handlers)
    _listing(router, handlers)
    _changing(router, handlers)
    return router


def _reading(router: APIRouter, handlers: Handlers) -> None:
    engine, policies = handlers.runtime.engine, handlers.policies

    @router.get("", response_class=Response, responses=_GIVEN)
    async def get_policy(
        _: Reader, request: Request, accept: Accept = YAML, if_none_match: Held = None
    ) -> Response:
        """The text in force. Its ETag is its version; `Policy-*` headers say by whom and why."""
        async with transaction(engine) as connection:
            current = await policies.in_force(connection)
            found = await _found(connection, current.version)
        return await text_of(*found, accept, if_none_match)

    @router.get("/versions/{version}", response_class=Response, responses=_GIVEN)
    async def get_version(
        _: Reader, version: Number, accept: Accept = YAML, if_none_match: Held = None
    ) -> Response:
        """The text of one version: what a decision that names it was made under."""
        async with transaction(engine) as connection:
            found = await _found(connection, version)
        return await text_of(*found, accept, if_none_match)


def _listing(router: APIRouter, handlers: Handlers) -> None:
    engine, policies = handlers.runtime.engine, handlers.policies

    @router.get("/versions")
    async def list_versions(
        _: Reader, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Versions:
        """What was ever in force, the latest first."""
        before = decode_cursor(cursor, tuple[int])[0] if cursor else None
        async with transaction(engine) as connection:
            current = await policies.in_force(connection)
            rows = await versions.page(connection, before, limit + 1)
        items = [VersionView(**_row(row, current.version)) for row in rows[:limit]]
        more = len(rows) > limit
        return Versions(items=items, next_cursor=encode_cursor(items[-1].version) if more else None)


def _changing(router: APIRouter, handlers: Handlers) -> None:
    policies = handlers.policies
    allowed = Guard.of(handlers.runtime.settings.allow_private_targets)
    engine = handlers.runtime.engine
    checks = Checks(policies.accounts, allowed, engine, policies.turns, policies.senders)
    changes = Changes(policies, checks)

    @router.put(
        "",
        response_model=StoredView,
        openapi_extra={"requestBody": {"required": True, "content": _TEXT}},
    )
    async def put_policy(who: Admin, request: Request, reason: Reason = "") -> Response:
        """Checks the policy and puts it in force, in every router from its next batch on.

        `If-Match` names the version it was made from. Refused with all that is wrong at once;
        `warnings` tell what is worth knowing, such as open cases of a team that it drops.
        """
        body = await read_body(request, LARGEST)
        change = Change(who.actor, reason, if_match(request.headers.get("if-match")))
        source = decoded(body)
        return await _change(
            handlers, request, who, body + b"\0" + reason.encode(),
            lambda: changes.check(source, change),
            partial(changes.store, change=change, origin="api"),
        )  # fmt: skip

    @router.post("/rollback", response_model=StoredView)
    async def roll_back(who: Admin, request: Request, body: RollbackBody) -> Response:
        """Puts an earlier version in force again, as a new one."""
        seen = if_match(request.headers.get("if-match"))
        reason = body.reason or f"back to version {body.version}"
        change = Change(who.actor, reason, seen)
        return await _change(
            handlers, request, who, await request.body(),
            lambda: changes.check_earlier(body.version),
            partial(changes.store, change=change, origin="rollback"),
        )  # fmt: skip


async def _change(
    handlers: Handlers,
    request: Request,
    who: Caller,
    given: bytes,
    check: Callable[[], Awaitable[Candidate]],
    store: Callable[[AsyncConnection, Candidate], Awaitable[Made]],
) -> Response:
    """Checked, then stored; in force here as soon as it is committed."""
    before = await answered(handlers, request, who, given)
    if before is not None:
        return before
    candidate = await check()
    done: list[Made] = []

    async def work(connection: AsyncConnection) -> Response:
        done.append(await store(connection, candidate))
        return _stored(done[-1])

    response = await once(handlers, request, who, work, given=given)
    for made in done[-1:]:  # an answer given before changes nothing
        handlers.policies.adopt(made.policy)
    return response


def _stored(made: Made) -> Response:
    number = made.version.version
    view = StoredView(
        **_row(made.version, number),
        changed=made.changed,
        tests=made.tests,
        warnings=[Told(**told) for told in made.warnings],
    )
    headers = {"ETag": etag(number), "Location": f"/v1/policy/versions/{number}"}
    return Json(view.model_dump(), headers=headers)


def _row(version: Version, in_force: int) -> dict[str, Any]:
    return {**asdict(version), "in_force": version.version == in_force}


async def _found(connection: AsyncConnection, version: int) -> tuple[Version, str]:
    found = await versions.find(connection, version)
    if found is None:
        raise NotFound(f"there is no version {version}: GET /v1/policy/versions lists them")
    return found
