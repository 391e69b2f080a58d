"""The doors on a real log: what is refused, what is parked, what is durable before a 2xx."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.ingest import service
from shared import parking
from shared.api_keys import Grant
from shared.channels.providers import standard_webhooks
from shared.events import MessageReceived
from shared.runtime import Runtime, Service
from shared.telemetry import METRICS
from shared.topics import DELIVERIES_REPORTED, MESSAGES_RECEIVED, dead_letters_of
from tests import servers
from tests.doors import Door, Line, make_runtime, open_door
from tests.rooms import SECRETS
from tests.waiting import until

PARKED = dead_letters_of(MESSAGES_RECEIVED)
WHATSAPP = "/webhooks/desk-whatsapp"


@pytest.fixture(scope="module")
async def open_ingest(
    postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    async with servers.fresh_database(postgres_url, template=_template) as url:
        runtime = make_runtime(url, tmp_path_factory.mktemp("ingest"))
        async with open_door(runtime, [webhooks_of(runtime)]) as door:
            yield door


@pytest.fixture
async def door(open_ingest: Door) -> Door:
    """One that has accepted nothing yet."""
    root = open_ingest.runtime.blobs.root
    root.unlink() if root.is_file() else shutil.rmtree(root, ignore_errors=True)
    await open_ingest.clear("log_record", "idempotency", "api_keys")
    return open_ingest


def webhooks_of(runtime: Runtime) -> Service:
    """Ingest without its mail door, whose port is fixed in the example file."""
    return replace(service(runtime), tasks={})


def meta(body: bytes, secret: str = SECRETS["META_APP_SECRET"]) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


def update(*items: dict[str, Any], statuses: list[dict[str, Any]] | None = None) -> bytes:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": "31612345678",
            "phone_number_id": "106540352242922",
        },
        "contacts": [{"profile": {"name": "Jo"}, "wa_id": "31687654321"}],
        "messages": list(items),
        "statuses": statuses or [],
    }
    change = {"field": "messages", "value": value}
    entry = {"id": "102290129340398", "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def words(text: str = "Where is my parcel?", id: str = "") -> dict[str, Any]:
    return {
        "from": "31687654321",
        "id": id or f"wamid.{uuid4().hex}",
        "timestamp": str(int(time.time())),
        "type": "text",
        "text": {"body": text},
    }


def refused(account: str, reason: str) -> float:
    labels = {"account": account, "reason": reason}
    return METRICS.get_sample_value("regie_webhooks_refused_total", labels) or 0.0


async def nothing_stored(door: Door) -> bool:
    return not await door.rows("SELECT 1 FROM log_record") and not list(
        door.runtime.blobs.root.glob("*/*")
    )


# --- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": "nonsense"},
        {"X-Hub-Signature-256": "sha256=é".encode("latin-1").decode("latin-1")},
        {"X-Hub-Signature": "sha1=00"},
    ],
)
async def test_a_wrong_signature_is_a_401_and_a_counter(
    door: Door, headers: dict[str, str]
) -> None:
    before = refused("desk-whatsapp", "unauthenticated")
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await door.http.post(WHATSAPP, content=update(words()), headers=raw)
    assert answer.status_code == 401
    assert answer.json()["name"] == "unauthenticated"
    assert await nothing_stored(door)
    assert refused("desk-whatsapp", "unauthenticated") == before + 1


async def test_a_signature_for_other_bytes_is_refused(door: Door) -> None:
    body = update(words())
    answer = await door.http.post(WHATSAPP, content=body + b" ", headers=meta(body))
    assert answer.status_code == 401
    assert await nothing_stored(door)


async def test_the_generic_door_checks_its_signature_too(door: Door) -> None:
    body = json.dumps({"from": {"address": "1001"}, "text": "Hello"}).encode()
    now = int(time.time())
    sign = standard_webhooks.sign(SECRETS["PORTAL_SECRET"], "msg_1", now, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": sign}
    url = "/webhooks/service-portal"
    wrong = await door.http.post(url, content=body + b" ", headers=headers)
    old = await door.http.post(
        url, content=body, headers={**headers, "webhook-timestamp": str(now - 3600)}
    )
    assert (wrong.status_code, old.status_code) == (401, 401)
    right = await door.http.post(url, content=body, headers=headers)
    assert right.status_code == 200
    assert len(await door.records(MESSAGES_RECEIVED)) == 1


@pytest.mark.parametrize("path", ["/webhooks/nobody", "/webhooks/nobody/mime"])
async def test_an_unknown_account_is_a_404(door: Door, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await door.http.request(method, path, content=b"{}")
        assert (answer.status_code, answer.json()["name"]) == (404, "unknown-account")


async def test_an_account_without_webhooks_is_a_404(door: Door) -> None:
    assert (await door.http.post("/webhooks/post-room", content=b"x")).status_code == 404


async def test_a_body_over_the_limit_is_refused_while_it_streams(door: Door) -> None:
    url = door.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {WHATSAPP} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    for _ in range(50):  # 3.2 MB, and the end of it never comes
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)  # until we are cut off
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"too-large"' in answer
    assert await nothing_stored(door)
    writer.close()


async def test_a_client_that_sends_on_still_hears_the_413(door: Door) -> None:
    answer = await door.http.post(WHATSAPP, content=b"x" * (8 << 20))
    assert answer.status_code == 413


async def test_an_announced_size_over_the_limit_is_refused_at_once(door: Door) -> None:
    url = door.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {WHATSAPP} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    writer.write(head.encode())
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_the_handshake_answers_the_challenge_and_refuses_a_wrong_token(door: Door) -> None:
    query = {
        "hub.mode": "subscribe",
        "hub.challenge": "1158201444",
        "hub.verify_token": SECRETS["META_VERIFY_TOKEN"],
    }
    right = await door.http.get(WHATSAPP, params=query)
    assert (right.status_code, right.text) == (200, "1158201444")
    wrong = await door.http.get(WHATSAPP, params={**query, "hub.verify_token": "guess"})
    assert wrong.status_code == 403


# --- accepted --------------------------------------------------------------------------------


async def test_a_signed_message_is_on_the_log_when_the_200_comes(door: Door) -> None:
    body = update(words(id="wamid.one"))
    answer = await door.http.post(WHATSAPP, content=body, headers=meta(body))
    assert answer.status_code == 200
    [record] = await door.records(MESSAGES_RECEIVED)
    event = msgspec.json.decode(record.value, type=MessageReceived)
    assert (event.account, event.text) == ("desk-whatsapp", "Where is my parcel?")
    assert len(record.key) == 16
    assert b"31687654321" not in record.key


async def test_statuses_go_to_the_deliveries(door: Door) -> None:
    status = {
        "id": "wamid.sent",
        "status": "delivered",
        "timestamp": str(int(time.time())),
        "recipient_id": "31687654321",
    }
    body = update(statuses=[status])
    assert (await door.http.post(WHATSAPP, content=body, headers=meta(body))).status_code == 200
    assert len(await door.records(DELIVERIES_REPORTED)) == 1
    assert not await door.records(MESSAGES_RECEIVED)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe{}", b"{}", b'{"object":"page"}',
     b'{"object":"whatsapp_business_account","entry":{}}',
     b'{"object":"whatsapp_business_account","entry":[{"changes":[7]}]}'],
)  # fmt: skip
async def test_a_signed_body_of_the_wrong_shape_is_parked_with_its_bytes(
    door: Door, body: bytes
) -> None:
    answer = await door.http.post(WHATSAPP, content=body, headers=meta(body))
    assert answer.status_code == 200
    assert not await door.records(MESSAGES_RECEIVED)
    parked = await door.records(PARKED)
    assert parked
    item = parking.read(parked[0].value)
    assert item.account == "desk-whatsapp"
    assert item.reason
    assert await door.runtime.blobs.get(item.body.ref) == body


async def test_one_bad_item_parks_alone(door: Door) -> None:
    body = update(words("good"), {"type": "text"})
    assert (await door.http.post(WHATSAPP, content=body, headers=meta(body))).status_code == 200
    assert len(await door.records(MESSAGES_RECEIVED)) == 1
    [parked] = await door.records(PARKED)
    item = parking.read(parked.value)
    assert json.loads(await door.runtime.blobs.get(item.raw.ref) or b"") == {"type": "text"}
    assert await door.runtime.blobs.get(item.body.ref) == body


async def test_a_body_over_256_kb_waits_in_the_blob_store(door: Door) -> None:
    text = "é" * 200_000
    headers = await door.key(Grant("integrator"))
    body = {"account": "service-portal", "from": {"address": "1001"}, "text": text}
    answer = await door.http.post("/v1/messages", json=body, headers=headers)
    assert answer.status_code == 202
    [record] = await door.records(MESSAGES_RECEIVED)
    event = msgspec.json.decode(record.value, type=MessageReceived)
    assert len(event.text) == 10_000
    assert event.text_blob is not None
    assert await door.runtime.blobs.get(event.text_blob.ref) == text.encode()


# --- POST /v1/messages -------------------------------------------------------------------------


def posting(**more: Any) -> dict[str, Any]:
    return {
        "account": "service-portal",
        "from": {"scheme": "customer_no", "address": "1001"},
        "text": "Where is my parcel?",
        **more,
    }


async def test_a_posted_message_needs_an_integrators_key(door: Door) -> None:
    url = "/v1/messages"
    assert (await door.http.post(url, json=posting())).status_code == 401
    wrong = {"Authorization": "Bearer regie_0123456789_" + "x" * 43}
    assert (await door.http.post(url, json=posting(), headers=wrong)).status_code == 401
    agent = await door.key(Grant("agent", agent="jo"))
    assert (await door.http.post(url, json=posting(), headers=agent)).status_code == 403
    other = await door.key(Grant("integrator", accounts=("post-room",)))
    assert (await door.http.post(url, json=posting(), headers=other)).status_code == 403
    past = datetime.now(UTC) - timedelta(seconds=1)
    expired = await door.key(Grant("integrator", expires_at=past))
    assert (await door.http.post(url, json=posting(), headers=expired)).status_code == 401
    assert await nothing_stored(door)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"{}",
        json.dumps({"account": "nobody", "from": {"address": "1"}, "text": "x"}).encode(),
        json.dumps({"account": "service-portal", "text": "x"}).encode(),
        json.dumps({"account": "service-portal", "from": {"address": "1"}}).encode(),
        json.dumps({"account": ["x"], "from": 7, "text": {}}).encode(),
    ],
)
async def test_what_cannot_be_taken_is_a_422_that_says_why(door: Door, body: bytes) -> None:
    answer = await door.http.post("/v1/messages", content=body, headers=door.headers)
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) > 20
    assert await nothing_stored(door)


async def test_the_same_request_is_the_same_message(door: Door) -> None:
    headers = await door.key(Grant("integrator", accounts=("service-portal",)))
    keyed = {**headers, "Idempotency-Key": "order-17"}
    answers = await asyncio.gather(
        *(door.http.post("/v1/messages", json=posting(), headers=keyed) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await door.http.post("/v1/messages", json=posting(text="Another"), headers=keyed)
    assert (other.status_code, other.json()["name"]) == (422, "idempotency-key-reused")
    events = [
        msgspec.json.decode(record.value, type=MessageReceived)
        for record in await door.records(MESSAGES_RECEIVED)
    ]
    assert len({event.id for event in events}) == 1


async def test_without_a_key_each_request_is_a_message(door: Door) -> None:
    first, second = [
        (await door.http.post("/v1/messages", json=posting(), headers=door.headers)).json()["id"]
        for _ in range(2)
    ]
    assert first != second


async def test_an_integrators_own_id_names_the_message_for_ever(door: Door) -> None:
    url = "/v1/messages"
    first = await door.http.post(url, json=posting(id="a-1"), headers=door.headers)
    again = await door.http.post(url, json=posting(id="a-1"), headers=door.headers)
    assert first.json() == again.json()
    changed = await door.http.post(url, json=posting(id="a-1", text="No"), headers=door.headers)
    assert changed.status_code == 422


async def test_a_key_is_free_again_after_a_day(door: Door) -> None:
    headers = {**door.headers, "Idempotency-Key": "daily"}
    first = (await door.http.post("/v1/messages", json=posting(), headers=headers)).json()["id"]
    await door.rows("UPDATE idempotency SET created_at = now() - interval '25 hours' RETURNING key")
    body = posting(text="The next day")
    second = await door.http.post("/v1/messages", json=body, headers=headers)
    assert second.status_code == 202
    assert second.json()["id"] != first


async def test_html_that_is_too_long_is_refused_before_it_is_cleaned(door: Door) -> None:
    body = posting(html=f"<p>x</p><style>{'a' * 1_100_000}</style>")
    answer = await door.http.post("/v1/messages", json=body, headers=door.headers)
    assert (answer.status_code, answer.json()["name"]) == (413, "too-large")


async def test_a_message_that_is_not_routed_is_a_404(door: Door) -> None:
    answer = await door.http.post("/v1/messages", json=posting(), headers=door.headers)
    found = await door.http.get(answer.headers["location"], headers=door.headers)
    assert (found.status_code, found.json()["name"]) == (404, "message-not-routed")


# --- away ------------------------------------------------------------------------------------


async def test_no_2xx_while_the_log_is_away_and_recovery_by_itself(
    database_url: str, tmp_path: Path
) -> None:
    line = Line(database_url, tmp_path)
    await line.mend()
    runtime = make_runtime(line.url, tmp_path)
    async with open_door(runtime, [webhooks_of(runtime)]) as door:
        body = update(words())
        await line.cut()
        started = time.monotonic()
        answer = await door.http.post(WHATSAPP, content=body, headers=meta(body))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert time.monotonic() - started < 10

        async def unready() -> bool:
            return (await door.http.get("/readyz")).status_code == 503

        await until(unready)
        reasons = (await door.http.get("/readyz")).json()["reasons"]
        assert {reason["what"] for reason in reasons} == {"log"}
        assert (await door.http.get("/healthz")).status_code == 200
        await line.mend()

        async def taken() -> bool:
            answer = await door.http.post(WHATSAPP, content=body, headers=meta(body))
            return answer.status_code == 200

        await until(taken)
        assert len(await door.records(MESSAGES_RECEIVED)) == 1
    await line.cut()


async def test_no_2xx_while_the_blob_store_is_away(door: Door) -> None:
    shutil.rmtree(door.runtime.blobs.root, ignore_errors=True)
    door.runtime.blobs.root.write_text("a file where the folder should be")
    answer = await door.http.post(WHATSAPP, content=b"{", headers=meta(b"{"))
    assert (answer.status_code, answer.json()["name"]) == (503, "blobs-unavailable")
    assert not await door.rows("SELECT 1 FROM log_record")
    # What needs no blob is taken all the same.
    body = update(words())
    assert (await door.http.post(WHATSAPP, content=body, headers=meta(body))).status_code == 200
