"""The edge every room shares: problems, bounds, cursors, ETags, times, headers, log lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from structlog.testing import capture_logs

from shared.accounts import Accounts
from shared.blobs import FolderBlobs
from shared.broker.postgres import PostgresBroker
from shared.database import connect
from shared.errors import (
    BrokerUnavailable,
    Conflict,
    Invalid,
    PreconditionFailed,
    Unauthenticated,
)
from shared.runtime import Runtime
from shared.settings import Settings
from shared.web import (
    Json,
    decode_cursor,
    encode_cursor,
    etag,
    if_match,
    read_body,
    to_json,
    unchanged,
)
from shared.web.app import make_app

NOWHERE = "postgresql+asyncpg://nobody@localhost:1/none"
router = APIRouter()


class Question(BaseModel):
    amount: int


@router.get("/conflict")
async def conflict() -> None:
    raise Conflict("jo has it", name="claimed", owner="jo", title="not yours to set")


@router.get("/changed")
async def changed() -> None:
    raise PreconditionFailed("read again", version=7, messages=[{"id": UUID(int=1)}])


@router.get("/closed")
async def closed() -> None:
    raise Unauthenticated("send a key")


@router.get("/away")
async def away() -> None:
    raise BrokerUnavailable("connect to 10.1.2.3:9092 failed")


@router.get("/refused-connection")
async def refused_connection() -> None:
    raise ConnectionRefusedError(111, "10.1.2.3")


@router.get("/bug/{word}")
async def bug(word: str) -> None:
    raise KeyError(f"secret {word}")


@router.post("/questions")
async def question(body: Question) -> int:
    return body.amount


@router.post("/webhooks/bounded")
async def bounded(request: Request) -> int:
    return len(await read_body(request, 10))


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(
        settings=Settings(),
        engine=connect(NOWHERE),
        broker=PostgresBroker(NOWHERE),
        blobs=FolderBlobs(tmp_path),
        accounts=Accounts({}),
    )


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(runtime, [router]))
    async with httpx.AsyncClient(transport=transport, base_url="http://regie") as client:
        yield client


# --- problems --------------------------------------------------------------------------------


async def test_a_refusal_is_a_problem_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/conflict")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/claimed",
        "title": "Claimed",
        "status": 409,
        "name": "claimed",
        "detail": "jo has it",
        "owner": "jo",
    }


async def test_a_412_carries_the_version_and_the_messages(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/changed")).json()
    assert (problem["name"], problem["version"]) == ("version-changed", 7)
    assert problem["messages"] == [{"id": str(UUID(int=1))}]


async def test_a_401_says_how(client: httpx.AsyncClient) -> None:
    assert (await client.get("/closed")).headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/away", "log-unavailable"), ("/refused-connection", "database-unavailable")],
)
async def test_an_outage_is_a_503_without_addresses(
    client: httpx.AsyncClient, path: str, name: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 503
    assert answer.json()["name"] == name
    assert int(answer.headers["retry-after"]) > 0
    assert "10.1.2.3" not in answer.text


async def test_a_bug_is_a_500_that_tells_nothing_but_its_id(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        answer = await client.get("/bug/4711")
    assert answer.status_code == 500
    problem = answer.json()
    assert problem["name"] == "internal-error"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert "4711" not in answer.text
    assert [line for line in lines if line["event"] == "request failed"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"amount": "many"}', b"\xff", b"{}"])
async def test_what_does_not_fit_is_a_422_with_its_fields(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.post("/questions", content=body)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "many" not in answer.text


async def test_unknown_routes_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    missing, wrong = await client.get("/nothing"), await client.delete("/conflict")
    assert (missing.status_code, missing.json()["name"]) == (404, "not-found")
    assert (wrong.status_code, wrong.json()["name"]) == (405, "method-not-allowed")
    assert wrong.headers["allow"] == "GET"


async def test_before_the_parts_are_there_only_probes_answer(runtime: Runtime) -> None:
    ready = asyncio.Event()
    transport = httpx.ASGITransport(make_app(runtime, [router], ready=ready))
    async with httpx.AsyncClient(transport=transport, base_url="http://regie") as client:
        before = await client.get("/conflict")
        assert (before.status_code, before.json()["name"]) == (503, "starting")
        assert (await client.get("/healthz")).status_code == 404  # not held back; not here
        ready.set()
        assert (await client.get("/conflict")).status_code == 409


# --- bodies ----------------------------------------------------------------------------------


async def chunks(count: int, size: int, taken: list[int]) -> AsyncIterator[bytes]:
    for number in range(count):
        taken.append(number)
        yield b"x" * size


async def test_an_announced_size_is_refused_unread(client: httpx.AsyncClient) -> None:
    answer = await client.post("/webhooks/bounded", content=b"x" * 11)
    assert (answer.status_code, answer.json()["limit"]) == (413, 10)


async def test_an_unannounced_size_is_refused_while_it_streams(client: httpx.AsyncClient) -> None:
    answer = await client.post("/webhooks/bounded", content=chunks(100, 4, []))
    assert answer.status_code == 413


async def test_exactly_the_limit_is_taken(client: httpx.AsyncClient) -> None:
    assert (await client.post("/webhooks/bounded", content=b"x" * 10)).json() == 10


async def test_bodies_that_fastapi_reads_are_bounded_as_well(client: httpx.AsyncClient) -> None:
    answer = await client.post("/questions", content=chunks(40, 1 << 16, []))
    assert (answer.status_code, answer.json()["status"]) == (413, 413)


# --- cursors, versions, times ----------------------------------------------------------------


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 3), st.uuids())
def test_a_cursor_brings_back_what_went_in(at: datetime, priority: int, id: UUID) -> None:
    cursor = encode_cursor(at, priority, id)
    assert cursor.isascii()
    assert "=" not in cursor
    assert decode_cursor(cursor, tuple[datetime, int, UUID]) == (at, priority, id)


@given(st.text())
def test_any_other_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(cursor, tuple[datetime, int, UUID])


@pytest.mark.parametrize(
    ("header", "version"), [(None, None), ('"7"', 7), ('W/"7"', 7), ("7", 7), (' "12" ', 12)]
)
def test_if_match_reads_the_etag_back(header: str | None, version: int | None) -> None:
    assert if_match(header) == version


@pytest.mark.parametrize("header", ["*", '"7", "8"', "seven", "", '"-1"'])
def test_if_match_refuses_what_is_no_version(header: str) -> None:
    with pytest.raises(Invalid):
        if_match(header)


def test_a_version_that_is_held_is_unchanged() -> None:
    assert unchanged('"6", W/"7"', etag(7))
    assert not unchanged('"6"', etag(7))
    assert not unchanged(None, etag(7))


def test_times_are_in_utc_with_a_z() -> None:
    amsterdam = timezone(timedelta(hours=2))
    at = datetime(2026, 7, 1, 14, 0, tzinfo=amsterdam)
    assert to_json({"at": [at]}) == b'{"at":["2026-07-01T12:00:00Z"]}'
    assert Json({"at": at}).body == b'{"at":"2026-07-01T12:00:00Z"}'


# --- around every request --------------------------------------------------------------------


async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/conflict", "/nothing", "/bug/x"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_the_request_id_is_the_callers_trace(client: httpx.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    given = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert (await client.get("/conflict", headers=given)).headers["x-request-id"] == trace
    own = (await client.get("/conflict", headers={"traceparent": "nonsense"})).headers
    assert len(own["x-request-id"]) == 32


async def test_the_log_line_has_the_route_and_no_value_of_it(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await client.get("/bug/jo@example.org?q=jo@example.org")
    [line] = [line for line in lines if line["event"] == "request"]
    assert line["route"] == "/bug/{word}"
    assert line["status"] == 500
    assert "jo@example.org" not in str(line)
