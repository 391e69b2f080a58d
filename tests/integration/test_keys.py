"""Keys and idempotency keys, where the database has its say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response

from shared import api_keys, idempotency
from shared.api_keys import Grant
from shared.database import connect, transaction
from shared.errors import Conflict, DatabaseUnavailable, Invalid, NotFound
from shared.security import FRESH, FRESH_AT_INGEST, KeyRing
from shared.web import Json
from tests.builders import NOON
from tests.doors import Line
from tests.rooms import SetClock

ADMIN = "an-admin-key-that-is-long-enough-for-regie"
ROUTE = ("k1", "POST /v1/cases/1/replies")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def ring(engine: AsyncEngine, clock: SetClock) -> KeyRing:
    return KeyRing(engine, ADMIN, clock)


async def make(engine: AsyncEngine, grant: Grant) -> str:
    async with transaction(engine) as connection:
        return await api_keys.create(connection, grant)


async def revoke(engine: AsyncEngine, key: str) -> None:
    async with transaction(engine) as connection:
        await api_keys.revoke(connection, key)


# --- keys --------------------------------------------------------------------------------------


async def test_a_key_brings_its_role_and_scope(engine: AsyncEngine, ring: KeyRing) -> None:
    key = await make(engine, Grant("agent", agent="jo", teams=("parcels",)))
    caller = await ring.find(key)
    assert caller is not None
    assert (caller.role, caller.actor) == ("agent", "jo")
    assert caller.teams == {"parcels"}
    assert caller.key_id == key.split("_")[1]


async def test_only_the_hash_is_stored(engine: AsyncEngine) -> None:
    key = await make(engine, Grant("operator"))
    async with transaction(engine) as connection:
        row = (await connection.execute(text("SELECT * FROM api_keys"))).one()
    assert key.rpartition("_")[2] not in str(row)
    assert key.rpartition("_")[2].encode() not in bytes(row.hash)


async def test_any_other_key_is_nobodys(engine: AsyncEngine, ring: KeyRing) -> None:
    key = await make(engine, Grant("operator"))
    for wrong in ("", "regie", "regie__", key[:-1], key + "x", key.upper(), "other" + key[5:]):
        assert await ring.find(wrong) is None
    assert await ring.find(key) is not None


async def test_the_admin_key_of_the_environment(ring: KeyRing, engine: AsyncEngine) -> None:
    caller = await ring.find(ADMIN)
    assert caller is not None
    assert caller.may("admin")
    assert await KeyRing(engine, "", lambda: NOON).find("") is None


async def test_a_revoked_key_ends_within_five_seconds_and_a_minute_at_ingest(
    engine: AsyncEngine, ring: KeyRing, clock: SetClock
) -> None:
    key = await make(engine, Grant("integrator"))
    assert await ring.find(key) is not None
    await revoke(engine, key)
    clock.at = NOON + timedelta(seconds=59)
    assert await ring.find(key, FRESH_AT_INGEST) is not None
    assert await ring.find(key, FRESH) is None
    assert await ring.find(key, FRESH_AT_INGEST) is None


async def test_a_key_expires_on_time(engine: AsyncEngine, ring: KeyRing, clock: SetClock) -> None:
    key = await make(engine, Grant("operator", expires_at=NOON + timedelta(seconds=2)))
    assert await ring.find(key) is not None
    clock.at = NOON + timedelta(seconds=2)
    assert await ring.find(key) is None


async def test_ingest_knows_a_key_while_the_database_is_away(
    database_url: str, tmp_path: Path, clock: SetClock
) -> None:
    line = Line(database_url, tmp_path)
    await line.mend()
    engine = connect(line.url)
    ring = KeyRing(engine, "", clock)
    key = await make(engine, Grant("integrator"))
    await ring.find(key)
    await line.cut()
    clock.at = NOON + timedelta(seconds=50)
    assert await ring.find(key, FRESH_AT_INGEST) is not None
    with pytest.raises(DatabaseUnavailable):
        await ring.find(key, FRESH)
    clock.at = NOON + timedelta(seconds=61)
    with pytest.raises(DatabaseUnavailable):
        await ring.find(key, FRESH_AT_INGEST)
    await engine.dispose()


async def test_an_agents_key_names_the_agent(engine: AsyncEngine) -> None:
    with pytest.raises(Invalid):
        await make(engine, Grant("agent"))
    with pytest.raises(NotFound):
        await revoke(engine, "nothing")


# --- idempotency keys ----------------------------------------------------------------------------


async def act(engine: AsyncEngine, key: str, body: bytes, answer: Response) -> Response:
    """A route that remembers."""
    print_ = idempotency.fingerprint(body)
    async with transaction(engine) as connection:
        before = await idempotency.begin(connection, key, *ROUTE, print_)
        if before is not None:
            return before.response()
        await idempotency.finish(connection, key, *ROUTE, print_, answer)
    return answer


async def test_a_repeat_gets_the_first_answer(engine: AsyncEngine) -> None:
    first = Json({"n": 1}, 201, {"ETag": '"7"', "X-Request-Id": "a"})
    await act(engine, "k", b"body", first)
    again = await act(engine, "k", b"body", Json({"n": 2}))
    assert (again.status_code, bytes(again.body)) == (201, b'{"n":1}')
    assert again.headers["etag"] == '"7"'
    assert again.headers["idempotent-replayed"] == "true"
    assert "x-request-id" not in again.headers


async def test_another_body_is_refused_and_another_route_is_not(engine: AsyncEngine) -> None:
    await act(engine, "k", b"body", Json({}))
    with pytest.raises(Invalid):
        await act(engine, "k", b"other", Json({}))
    async with transaction(engine) as connection:
        print_ = idempotency.fingerprint(b"other")
        assert await idempotency.begin(connection, "k", "k2", ROUTE[1], print_) is None


async def test_while_the_first_is_at_work_the_second_is_told_so(engine: AsyncEngine) -> None:
    print_ = idempotency.fingerprint(b"body")
    async with transaction(engine) as connection:
        assert await idempotency.begin(connection, "k", *ROUTE, print_) is None
        with pytest.raises(Conflict) as caught:
            await act(engine, "k", b"body", Json({}))
        assert caught.value.problem == "request-in-flight"
    # It was given up without an answer: the next one does the work.
    assert (await act(engine, "k", b"body", Json({"n": 3}))).status_code == 200


async def test_many_at_once_have_one_effect(engine: AsyncEngine) -> None:
    results = await asyncio.gather(
        *(act(engine, "k", b"body", Json({"n": n})) for n in range(8)), return_exceptions=True
    )
    answers = {bytes(each.body) for each in results if isinstance(each, Response)}
    assert len(answers) == 1
    assert all(isinstance(each, Response | Conflict) for each in results)


async def test_after_a_day_the_key_is_free_and_after_nine_forgotten(engine: AsyncEngine) -> None:
    await act(engine, "k", b"body", Json({"n": 1}))
    async with transaction(engine) as connection:
        await connection.execute(
            text("UPDATE idempotency SET created_at = now() - interval '25 hours'")
        )
    assert bytes((await act(engine, "k", b"new", Json({"n": 2}))).body) == b'{"n":2}'
    async with transaction(engine) as connection:
        await connection.execute(
            text("UPDATE idempotency SET created_at = now() - interval '10 days'")
        )
        await idempotency.forget_old(connection)
        left = await connection.scalar(text("SELECT count(*) FROM idempotency"))
    assert left == 0


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_bounds(engine: AsyncEngine, key: str) -> None:
    with pytest.raises(Invalid):
        await act(engine, key, b"", Json({}))
