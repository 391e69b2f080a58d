"""The operator's routes over a real log: lag, dead letters and their replay, positions, probes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest import service as ingest
from shared.accounts import load_accounts
from shared.api_keys import Grant
from shared.broker import Message
from shared.broker.headers import pack, unpack
from shared.database import transaction
from shared.ids import new_id
from shared.ops import dead_letter_subscription
from shared.runtime import Runtime, Service, Subscription
from shared.topics import MESSAGES_RECEIVED
from tests.doors import Door, make_runtime, open_door
from tests.rooms import SECRETS
from tests.waiting import until

WHATSAPP = "/webhooks/desk-whatsapp"
GROUP = "test.reader"


class Reader:
    """A group that reads messages.received when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.let.set()
        self.handled = 0

    async def handle(self, connection: AsyncConnection, items: Sequence[Any]) -> None:
        await self.let.wait()
        self.handled += len(items)

    def service(self) -> Service:
        subscription = Subscription(GROUP, (MESSAGES_RECEIVED,), self.handle)
        return Service(name="reader", subscriptions=(subscription,))


def rooms(runtime: Runtime, reader: Reader) -> list[Service]:
    letters = Service("dead-letters", subscriptions=(dead_letter_subscription(runtime),))
    return [replace(ingest(runtime), tasks={}), letters, reader.service()]


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
async def door(database_url: str, tmp_path: Path, reader: Reader) -> AsyncIterator[Door]:
    runtime = make_runtime(database_url, tmp_path)
    async with open_door(runtime, rooms(runtime, reader)) as door:
        yield door


async def send(door: Door, body: bytes) -> None:
    digest = hmac.new(SECRETS["META_APP_SECRET"].encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={digest}"}
    assert (await door.http.post(WHATSAPP, content=body, headers=headers)).status_code == 200


async def get(door: Door, path: str, **query: str) -> Any:
    answer = await door.http.get(path, params=query, headers=door.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def letters(door: Door, count: int, **query: str) -> list[Any]:
    """The list, once it has this many."""
    found: list[Any] = []

    async def there() -> bool:
        found[:] = (await get(door, "/ops/dead-letters", **query))["items"]
        return len(found) == count

    await until(there)
    return found


def to_number(number: str) -> bytes:
    """A good message for one of our numbers."""
    message = {"from": "31687654321", "id": "wamid.a", "timestamp": "1767225600", "type": "text"}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "3188", "phone_number_id": number},
        "contacts": [{"profile": {"name": "Jo"}, "wa_id": "31687654321"}],
        "messages": [{**message, "text": {"body": "Hello"}}],
    }
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


# --- who ---------------------------------------------------------------------------------------


async def test_the_routes_are_for_operators(door: Door) -> None:
    agent = await door.key(Grant("agent", agent="jo"))
    operator = await door.key(Grant("operator"))
    for path in ("/ops/lag", "/ops/dead-letters", "/ops/positions", "/ops/accounts"):
        assert (await door.http.get(path)).status_code == 401
        assert (await door.http.get(path, headers=agent)).status_code == 403
        assert (await door.http.get(path, headers=operator)).status_code == 200


async def test_metrics_are_open_here_and_closed_through_a_proxy(door: Door) -> None:
    here = await door.http.get("/metrics")
    assert here.status_code == 200
    for name in ("regie_consumer_lag_messages", "regie_outbox_pending", "regie_measured 1.0"):
        assert name in here.text
    proxied = {"X-Forwarded-For": "203.0.113.9"}
    assert (await door.http.get("/metrics", headers=proxied)).status_code == 401
    operator = {**await door.key(Grant("operator")), **proxied}
    assert (await door.http.get("/metrics", headers=operator)).status_code == 200


async def test_readiness_of_one_room(door: Door) -> None:
    assert (await door.http.get("/readyz?service=ingest")).json() == {"ready": True, "reasons": []}
    other = await door.http.get("/readyz?service=notifier")
    assert (other.status_code, other.json()["reasons"][0]["what"]) == (503, "notifier")


# --- lag ---------------------------------------------------------------------------------------


async def test_lag_is_seen_while_work_waits_and_gone_after(door: Door, reader: Reader) -> None:
    async def place() -> dict[str, Any]:
        found = await get(door, "/ops/lag")
        [group] = [group for group in found["groups"] if group["group"] == GROUP]
        parts = [part for topic in group["topics"] for part in topic["partitions"]]
        assert len(parts) == 12
        return max(parts, key=lambda part: part["end"])

    reader.let.clear()
    await send(door, to_number("106540352242922"))

    async def waits() -> bool:
        return bool((await place())["lag"])

    await until(waits)
    part = await place()
    assert (part["end"], part["committed"], part["lag"]) == (1, 0, 1)
    assert part["lag_seconds"] > 0
    assert part["status"] == "OK"
    reader.let.set()

    async def done() -> bool:
        return bool((await place())["lag"] == 0)

    await until(done)
    part = await place()
    assert (part["committed"], part["lag_seconds"], part["eta_seconds"]) == (1, 0, 0)


async def test_deadlines_at_risk_are_counted_by_team_and_channel(door: Door) -> None:
    await door.rows(
        "INSERT INTO deadlines SELECT gen_random_uuid(), n, 'first_response', 'running', now(),"
        " now() - interval '1 minute', NULL, CASE WHEN n < 3 THEN 'pipeline_lag' ELSE '' END,"
        " 'parcels', 'whatsapp', 'chat', 1, NULL, '' FROM generate_series(1, 4) n RETURNING 1"
    )
    risks: list[Any] = []

    async def counted() -> bool:
        risks[:] = (await get(door, "/ops/lag"))["deadlines_at_risk"]
        return bool(risks)

    await until(counted)
    [risk] = risks
    assert (risk["team"], risk["channel"], risk["count"]) == ("parcels", "whatsapp", 2)
    assert risk["earliest"].endswith("Z")


# --- dead letters ------------------------------------------------------------------------------


async def test_a_parked_item_is_listed_once_and_shown_with_its_bytes(door: Door) -> None:
    for _ in range(3):
        await send(door, b'{"object":"page"}')
    [letter] = await letters(door, 1)
    assert letter["account"] == "desk-whatsapp"
    assert letter["reason"]

    async def counted() -> bool:
        [letter] = await letters(door, 1)
        return bool(letter["count"] == 3)

    await until(counted)
    shown = await get(door, f"/ops/dead-letters/{letter['id']}")
    assert b64decode(shown["raw"]) == shown["raw_text"].encode() == b'{"object":"page"}'


async def test_what_cannot_be_read_yet_stays_and_can_be_discarded(door: Door) -> None:
    await send(door, b"{")
    [letter] = await letters(door, 1)
    url = f"/ops/dead-letters/{letter['id']}"
    again = await door.http.post(f"{url}/replay", headers=door.headers)
    assert (again.status_code, again.json()["name"]) == (409, "still-unreadable")
    gone = await door.http.post(f"{url}/discard", json={"note": "a test"}, headers=door.headers)
    assert gone.json()["state"] == "discarded"
    assert (await door.http.post(f"{url}/discard", headers=door.headers)).status_code == 409
    assert not await letters(door, 0)
    [kept] = await letters(door, 1, state="discarded")
    assert kept["note"] == "a test"


async def test_a_parked_message_comes_in_once_its_account_exists(
    database_url: str, tmp_path: Path, reader: Reader
) -> None:
    runtime = make_runtime(database_url, tmp_path)
    async with open_door(runtime, rooms(runtime, reader)) as door:
        await send(door, to_number("200"))
        [letter] = await letters(door, 1)
        assert "200" in letter["reason"]
    account = (
        "accounts: {branch: {channel: whatsapp, provider: meta, phone_number_id: '200',"
        " app_secret: '${META_APP_SECRET}', verify_token: v, access_token: a},"
        " desk-whatsapp: {channel: whatsapp, provider: meta, phone_number_id: '1',"
        " app_secret: '${META_APP_SECRET}', verify_token: v, access_token: a}}"
    )
    wider = make_runtime(database_url, tmp_path)
    wider = replace(wider, accounts=load_accounts(account, "channels.yaml", SECRETS))
    async with open_door(wider, rooms(wider, reader)) as door:
        url = f"/ops/dead-letters/{letter['id']}/replay"
        assert (await door.http.post(url, headers=door.headers)).status_code == 200
        [record] = await door.records(MESSAGES_RECEIVED)
        assert json.loads(record.value)["account"] == "branch"
        assert (await door.http.post(url, headers=door.headers)).status_code == 409
        assert not await letters(door, 0)


async def test_poison_is_listed_and_replayed_to_its_topic(door: Door, reader: Reader) -> None:
    headers = (("ce_id", b"x-1"), ("ce_type", b"message.received"))
    await door.runtime.broker.publish([Message(MESSAGES_RECEIVED, b"k", b"{}", headers)])
    [letter] = await letters(door, 1)
    assert (letter["topic"], letter["type"]) == ("messages.received.dlq", "message.received")
    body = {"ids": [letter["id"]]}
    answer = await door.http.post("/ops/dead-letters/replay", json=body, headers=door.headers)
    assert answer.status_code == 200

    async def back() -> bool:
        return len(await door.records(MESSAGES_RECEIVED)) == 2

    await until(back)
    first, second = await door.records(MESSAGES_RECEIVED)
    assert (first.key, first.value) == (second.key, second.value)
    *same, (name, _), (known, _) = unpack(second.headers)
    assert (tuple(same), name) == (unpack(first.headers), "ce_replayedat"), "a late arrival"
    assert known == "dlq_dedupe", "and known for the same one"
    # It is poison still, and so waits again.
    [again] = await letters(door, 1)
    assert (again["id"], again["count"]) == (letter["id"], 2)


async def test_the_list_is_paged(door: Door) -> None:
    for number in range(5):
        await send(door, b'{"number": %d}' % number)
    await letters(door, 5)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await get(door, "/ops/dead-letters", limit="2", cursor=cursor)
        seen += [item["id"] for item in page["items"]]
        if not (cursor := page["next_cursor"] or ""):
            break
    assert len(seen) == len(set(seen)) == 5


async def test_a_value_no_text_column_takes_is_a_422(door: Door) -> None:
    answer = await door.http.get("/ops/dead-letters?account=%00", headers=door.headers)
    assert (answer.status_code, answer.json()["name"]) == (422, "invalid")


async def test_the_contract_names_its_key_and_its_problems(door: Door) -> None:
    document = (await door.http.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    post = document["paths"]["/v1/messages"]["post"]
    assert post["security"] == [{"HTTPBearer": []}]
    assert "application/problem+json" in post["responses"]["4XX"]["content"]
    body = post["requestBody"]["content"]["application/json"]["schema"]
    assert {"account", "from", "text"} <= set(body["properties"])
    assert "$ref" not in str(body)


# --- positions and accounts --------------------------------------------------------------------


async def test_a_position_is_set_within_what_the_log_keeps(door: Door, reader: Reader) -> None:
    await send(door, to_number("106540352242922"))

    async def read() -> bool:
        return reader.handled == 1

    await until(read)
    [place] = [
        item
        for item in (await get(door, "/ops/positions"))["items"]
        if item["group"] == GROUP and item["next"] == 1
    ]
    wanted = {"group": GROUP, "topic": MESSAGES_RECEIVED, "partition": place["partition"]}

    async def put(**more: Any) -> Any:
        body = {**wanted, **more}
        return await door.http.put("/ops/positions", json=body, headers=door.headers)

    assert (await put(next=99)).status_code == 422
    assert (await put(next=-1)).status_code == 422
    assert (await put(partition=12, next=0)).status_code == 422
    assert (await put(topic="nothing", next=0)).status_code == 422
    assert (await put(group="nobody", next=0)).status_code == 404
    assert (await put(next="start")).json()["next"] == 0

    async def read_again() -> bool:
        return reader.handled == 2

    await until(read_again)


async def test_accounts_tell_when_they_last_heard_something(door: Door) -> None:
    await send(door, to_number("106540352242922"))
    found = {item["name"]: item for item in (await get(door, "/ops/accounts"))["items"]}
    assert found["desk-whatsapp"]["last_event_at"].endswith("Z")
    assert found["desk-whatsapp"]["webhook"] == WHATSAPP
    assert found["post-room"]["webhook"] is None


async def test_a_delivery_goes_again_only_where_its_room_can_send_it(door: Door) -> None:
    """Never through the log, which has no such topic."""
    letter = new_id()
    async with transaction(door.runtime.engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO dead_letters (id, topic, dedupe, key, value, headers, reason, "
                "first_at, last_at) VALUES (:id, 'deliveries', 'd1', '', '{}', :headers, "
                "'gone [/x]', now(), now())"
            ),
            {"id": letter, "headers": pack(())},
        )
    answer = await door.http.post(f"/ops/dead-letters/{letter}/replay", headers=door.headers)
    assert answer.status_code == 409
    assert await door.rows("SELECT 1 FROM outbox WHERE topic = 'deliveries'") == []
