"""Endpoints that misbehave in every way: what becomes of the delivery, when it is tried again, what
is kept of the answer, and that nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.notifier import outcomes
from services.notifier.answers import TargetError
from services.notifier.models import Delivery
from services.notifier.targets.webhook import Webhook
from shared.guard import Guard
from shared.guarded_http import guarded_client
from tests.builders import NOON
from tests.certificates import Authority
from tests.fakes.endpoint import (
    Behaviour,
    Endpoint,
    Greeting,
    banner,
    bomb,
    broken_off,
    deaf,
    endless,
    garbage,
    hang,
    held,
    raw,
    reset,
    slam,
    slowly,
    status,
    trickle,
)
from tests.notifying import MESSAGES, Notifying, notifying
from tests.waiting import until

LIMIT = 0.4  # s, where an outlet has 15
DAY = 86_400.0
KEPT = 16 * 1024


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path) as room:
        yield room


@dataclass(frozen=True)
class Case:
    """error  how what is kept as the error begins; empty: it was a success
    http      the status that is kept
    response  how the kept answer begins
    wait      seconds to the next try
    """

    name: str
    behaviour: Behaviour | Greeting
    error: str = ""
    http: int | None = None
    response: str = ""
    wait: float = 5.0
    greeting: bool = False


def answered(name: str, behaviour: Behaviour, code: int, **more: object) -> Case:
    return Case(name, behaviour, f"http_{code}: HTTP {code}", code, **more)  # type: ignore[arg-type]


def pushed_off(header: str, wait: float, code: int = 429) -> Case:
    name = f"{code} with Retry-After {header[:40]}"
    return answered(name, status(code, b"busy", retry_after=header), code, response="busy",
                    wait=wait)  # fmt: skip


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
CHUNKED = b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n"
TIMEOUT = f"timeout: no answer within {LIMIT:g} s"

SILENCE = [
    Case("times out before it reads", deaf(), TIMEOUT, greeting=True),
    Case("times out after it read", hang(), TIMEOUT),
    Case("a status line byte by byte", slowly(b"HTTP/1.1 200 OK\r\n" * 9), TIMEOUT),
    Case("a header byte by byte", slowly(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 99), TIMEOUT),
    Case("1xx for ever", endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), TIMEOUT),
]
CONNECTIONS = [
    Case("resets at once", slam(), "connection: ", greeting=True),
    Case("resets after it read", reset(), "connection: "),
    Case("closes without a word", raw(b"", close=True), "connection: RemoteProtocolError"),
    Case("closes in the headers", raw(b"HTTP/1.1 200 OK\r\nx: y", close=True), "connection: "),
]
NO_HTTP = [
    Case("something else than HTTP", garbage(), "connection: RemoteProtocolError"),
    Case("a status that is none", raw(b"HTTP/1.1 2000 OK\r\n\r\n", close=True), "connection: "),
    Case(
        "two lengths",
        raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"),
        "connection: ",
    ),
    Case("a header without a name", raw(b"HTTP/1.1 200 OK\r\n: x\r\n\r\n"), "connection: "),
    Case(
        "headers without end",
        endless(b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 999 + b"\r\n"),
        "connection: RemoteProtocolError",
    ),
    Case(
        "one header of a megabyte",
        raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000_000),
        "connection: RemoteProtocolError",
    ),
]
ANSWERS = [
    answered("301", status(301, location="/elsewhere"), 301),
    answered("302 to the cloud", status(302, location="http://169.254.169.254/"), 302),
    answered("303", status(303, location="http://127.0.0.1:1/"), 303),
    answered("307 to us", status(307, location="http://localhost/"), 307),
    answered("308 to a file", status(308, location="file:///etc/passwd"), 308),
    answered("300", status(300), 300),
    answered("304", status(304), 304),
    answered("400", status(400, b"what?"), 400, response="what?"),
    answered("401", status(401), 401),
    answered("404", status(404, b"\xff\x00no"), 404, response="\ufffdno"),
    answered("500 with a body byte by byte", trickle(500), 500, response="."),
    answered(
        "500 without end",
        endless(CHUNKED, b"4000\r\n" + b"x" * 0x4000 + b"\r\n"),
        500,
        response="x" * KEPT,
    ),
    answered("503 broken off", broken_off(503), 503, response="only this"),
    answered(
        "502 by HTTP/1.0", raw(b"HTTP/1.0 502 Bad\r\n\r\nold", close=True), 502, response="old"
    ),
    answered("a bomb", bomb(500), 500),
    answered("600", status(600), 600),
    Case(
        "101",
        raw(b"HTTP/1.1 101 Go\r\nupgrade: websocket\r\n\r\n"),
        "connection: RemoteProtocolError",
    ),
]
BUSY = [
    pushed_off("120", 120.0),
    pushed_off("2", 5.0),  # sooner than we would: our own wait is the longer
    pushed_off("0", 5.0),
    pushed_off("-60", 5.0),
    pushed_off("1.5", 5.0),
    pushed_off("soon", 5.0),
    pushed_off("", 5.0),
    pushed_off("\u0663", 5.0),
    pushed_off("999999", DAY),
    pushed_off("9" * 30, DAY),
    pushed_off("9" * 5000, DAY),
    pushed_off("Tue, 17 Nov 2026 10:00:00 GMT", 3600.0),
    pushed_off("Tuesday, 17-Nov-26 10:00:00 GMT", 3600.0),
    pushed_off("Tue Nov 17 10:00:00 2026", 3600.0),
    pushed_off("Tue, 17 Nov 2026 12:00:00 +0200", 3600.0),
    pushed_off("Mon, 16 Nov 2026 10:00:00 GMT", 5.0),
    pushed_off("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
    pushed_off("Tue, 99 Nov 2026 10:00:00 GMT", 5.0),
    pushed_off("Tue, 17 Nov 99999999 10:00:00 GMT", 5.0),
    pushed_off("Tue, 17 Nov 2026 10:00:00 +9999", 5.0),
    pushed_off("120", 120.0, code=503),
    pushed_off("120", 120.0, code=504),
]  # fmt: skip
SUCCESSES = [
    Case("200 with a body without end", endless(HEAD, b"x" * 4096), http=200,
         response="x" * KEPT),
    Case("200 with a body byte by byte", trickle(), http=200, response="."),
    Case("200 broken off", broken_off(), http=200, response="only this"),
    Case("204", status(204), http=204),
    Case("202", status(202, b"later"), http=202, response="later"),
    Case("299", status(299), http=299),
    Case("a bomb", bomb(), http=200),
    Case("by HTTP/1.0", raw(b"HTTP/1.0 200 OK\r\n\r\nthanks", close=True), http=200,
         response="thanks"),
    Case("after 100 and 103", raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
         b"link: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), http=200,
         response="ok"),
    Case("with a Retry-After", status(200, retry_after="3600"), http=200),
]  # fmt: skip


async def call(room: Notifying, number: int, case: Case) -> Any:
    """One delivery to a path of its own; its row once it was tried."""
    path = f"/{number}"
    if case.greeting:
        room.endpoint.greet(case.behaviour)  # type: ignore[arg-type]
    else:
        room.endpoint.script(path, case.behaviour)  # type: ignore[arg-type]
    await room.hear(room.breach(await room.open_case(), room.webhook(path)))
    found: list[Any] = []

    async def tried() -> bool:
        found[:] = await room.rows(
            "SELECT d.*, a.status, a.response, a.took_ms FROM deliveries d "
            "JOIN attempts a ON a.delivery_id = d.id WHERE d.target LIKE '%' || :path",
            path=path,
        )
        return bool(found)

    await until(tried)
    return found[0]


@pytest.mark.parametrize(
    "cases",
    [SILENCE, CONNECTIONS, NO_HTTP, ANSWERS, BUSY],
    ids=["silence", "connections", "no-http", "answers", "busy"],
)
async def test_what_fails_is_kept_and_tried_again_when_it_should_be(
    room: Notifying, cases: list[Case]
) -> None:
    async with room.sending(timeout=LIMIT):
        for number, case in enumerate(cases):
            row = await call(room, number, case)
            assert (case.name, row.state, row.attempts) == (case.name, "pending", 1)
            assert row.error.startswith(case.error), (case.name, row.error)
            assert (case.name, row.status) == (case.name, case.http)
            assert row.response.startswith(case.response), case.name
            assert len(row.response) <= KEPT, case.name
            assert row.took_ms < 1000 * (LIMIT + 5), f"{case.name}: bounded in all"
            assert row.next_at == NOON + timedelta(seconds=case.wait), case.name
        room.clock.at += timedelta(days=1)
        await room.settled(*["sent"] * len(cases))
    for number in range(len(cases)):
        assert len({request.id for request in room.endpoint.at(f"/{number}")}) == 1
    assert all(request.path[1:].isdigit() for request in room.endpoint.requests), "no redirects"


async def test_a_2xx_is_a_success_whatever_follows_it(room: Notifying) -> None:
    async with room.sending(timeout=LIMIT):
        for number, case in enumerate(SUCCESSES):
            row = await call(room, number, case)
            assert (case.name, row.state, row.error) == (case.name, "sent", "")
            assert (case.name, row.status) == (case.name, case.http)
            assert row.response.startswith(case.response), case.name
            assert len(row.response) <= KEPT, case.name


async def test_a_200_after_the_time_out_is_none(room: Notifying) -> None:
    gate = asyncio.Event()
    room.endpoint.script("/parcels", held(gate, body=b"late"))
    await room.hear(room.breach(await room.open_case()))
    async with room.sending(timeout=LIMIT):
        await room.tried(1)
        gate.set()
        room.clock.at += timedelta(seconds=5)
        await room.settled("sent")
    late, second = await room.rows("SELECT * FROM attempts ORDER BY number")
    assert (late.status, late.response, second.status) == (None, "", 200)
    first, again = room.endpoint.at("/parcels")
    assert first.id == again.id, "whoever took the late one knows the repeat by its id"


async def test_410_is_the_end_and_is_never_tried_again(room: Notifying) -> None:
    room.endpoint.script("/parcels", status(410, b"gone"))
    await room.hear(room.breach(await room.open_case()))
    async with room.sending(timeout=LIMIT):
        await room.settled("failed")
        room.clock.at += timedelta(days=1)
        await room.hear(room.breach(await room.open_case()))
        await room.settled("failed", "failed")
    assert len(room.endpoint.at("/parcels")) == 1
    (attempt,) = await room.rows("SELECT * FROM attempts")
    assert (attempt.status, attempt.response) == (410, "gone")


@pytest.mark.parametrize("end", ["closed", "reset", "reset at reuse"])
async def test_a_kept_connection_may_be_gone_when_it_is_used_again(
    room: Notifying, end: str
) -> None:
    said = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    async def answer_and_reset(request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.transport.abort()

    behaviours: dict[str, list[Behaviour]] = {
        "closed": [raw(said, close=True)],
        "reset": [answer_and_reset],
        "reset at reuse": [raw(said), reset()],
    }
    room.endpoint.script("/parcels", *behaviours[end])
    await room.hear(room.breach(await room.open_case()))
    async with room.sending(timeout=LIMIT):
        await room.settled("sent")
        await room.hear(room.breach(await room.open_case()))
        await ended(room)
    assert len({request.id for request in room.endpoint.at("/parcels")}) == 2


async def ended(room: Notifying) -> None:
    """Where it was gone too late to be seen, the next try finds a new one."""
    states: list[str] = []

    async def tried() -> bool:
        states[:] = [
            row.state
            for row in await room.rows(
                "SELECT state FROM deliveries WHERE attempts > 0 ORDER BY seq"
            )
        ]
        return len(states) == 2 and "sending" not in states

    await until(tried)
    if "pending" in states:
        room.clock.at += timedelta(seconds=5)
    await room.settled("sent", "sent")


# --- TLS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("of a stranger", "certificate verify failed"),
        ("expired", "certificate has expired"),
        ("other host", "certificate is not valid for 'hooks.example.org'"),
        ("no TLS", "SSL"),
    ],
)
async def test_a_certificate_that_is_wrong_is_named_and_tried_again(
    tmp_path: Path, fault: str, words: str
) -> None:
    """Certificates are renewed: what failed today is taken tomorrow. Nothing was sent meanwhile."""
    authority = Authority(tmp_path)
    context = {
        "of a stranger": Authority(tmp_path / "other").server("hooks.example.org"),
        "expired": authority.server("hooks.example.org", expired=True),
        "other host": authority.server("other.example.org"),
        "no TLS": None,
    }[fault]
    async with Endpoint(tls=context) as bad:
        if context is None:
            bad.greet(banner())
        url = f"https://hooks.example.org:{bad.port}/parcels"
        async with guarded_client(Guard.of(bad.host), here, authority.trust()) as http:
            with pytest.raises(TargetError) as found:
                await Webhook(http, lambda: NOON, LIMIT).send(delivery(url))
        assert bad.requests == []
    outcome = outcomes.failed(delivery(url), found.value, NOON, 0.1, NOON, 0.5)
    assert (outcome.state, outcome.code) == ("pending", "connection")
    assert outcome.next_at == NOON + timedelta(seconds=5)
    assert words in outcome.reason


async def test_a_good_certificate_is_taken(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with Endpoint(tls=authority.server("hooks.example.org")) as good:
        url = f"https://hooks.example.org:{good.port}/parcels"
        async with guarded_client(Guard.of(good.host), here, authority.trust()) as http:
            answer = await Webhook(http, lambda: NOON, 5).send(delivery(url))
    assert answer.status == 200


async def test_a_host_that_no_client_can_read_is_refused_and_not_tried_again() -> None:
    async with guarded_client(Guard()) as http:
        with pytest.raises(TargetError) as found:
            await Webhook(http, lambda: NOON, LIMIT).send(delivery("https://xn--localhost-/"))
    assert (found.value.code, found.value.again) == ("forbidden", False)


async def here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def delivery(url: str) -> Delivery:
    return Delivery(
        id=UUID(int=1), case_id=UUID(int=2), effect="breach", target=f"webhook:{url}",
        payload={"type": "deadline.breached", "timestamp": "", "data": {}}, version=1, at=NOON,
        attempts=1, attempts_before=0, expires_at=NOON + timedelta(days=4),
        secrets=("whsec_" + "c2VjcmV0" * 4,),
    )  # fmt: skip


# --- company -----------------------------------------------------------------------------------


async def test_nobody_waits_for_those_who_misbehave(room: Notifying) -> None:
    """Their calls are still under way when the last good delivery arrived."""
    waits = slowly(b"HTTP/1.1 102 Wait\r\n\r\n" * 99)
    bad = (hang(), waits, slowly(b"HTTP/1.1 2" + b"0" * 999))
    for number, behaviour in enumerate(bad):
        room.endpoint.always(f"/bad-{number}", behaviour)
    cases = [await room.open_case() for _ in range(30)]
    for number in range(len(bad)):
        await room.hear(*(room.breach(case, room.webhook(f"/bad-{number}")) for case in cases))
    async with room.sending(timeout=60, drain=0):
        for number in range(len(bad)):
            await room.endpoint.received(1, f"/bad-{number}")
        await room.hear(*(room.breach(case, room.webhook("/good")) for case in cases))
        await room.hear(*(room.reply(case) for case in cases))
        await room.endpoint.received(30, "/good")
        await room.endpoint.received(30, MESSAGES)
        tried = await room.rows("SELECT DISTINCT target FROM attempts")
        assert not any("/bad-" in row.target for row in tried)
