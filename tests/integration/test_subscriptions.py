"""Webhooks out: signed, scoped, tried on time, disabled when they must be, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.notifier.handlers import Handlers
from shared import api_keys
from shared.database import driver, transaction
from shared.events import CasePriorityChanged
from tests.builders import NOON
from tests.fakes.endpoint import status, trickle
from tests.notifying import received
from tests.subscribing import Subscribing, opened, subscribing
from tests.waiting import until


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Subscribing]:
    async with subscribing(database_url, tmp_path) as desk:
        yield desk


# --- what arrives ------------------------------------------------------------------------------


async def test_an_event_arrives_as_the_official_library_wants_it(
    database_url: str, tmp_path: Path
) -> None:
    # The official library compares with the real time.
    async with subscribing(database_url, tmp_path, datetime.now(UTC)) as desk:
        made = await desk.subscribe("case.*")
        case = await desk.case()
        change = desk.room.change(case, opened())
        await desk.room.hear(change, change)
        async with desk.room.sending():
            (request,) = await desk.endpoint.received(1, "/hook")
            await desk.settled("sent")
        body = Webhook(made["secret"]).verify(request.body, dict(request.headers))
        assert set(body) == {"type", "timestamp", "data"}
        assert body["type"] == "case.opened"
        assert body["data"]["case_id"] == str(case)
        assert body["data"]["url"] == f"/v1/cases/{case}"
        assert (body["data"]["seq"], body["data"]["version"]) == (1, 1)
        assert (body["data"]["team"], body["data"]["channel"]) == ("parcels", "whatsapp")
        with pytest.raises(WebhookVerificationError):
            Webhook(made["secret"]).verify(request.body + b" ", dict(request.headers))
        (item,) = (await desk.feed())["items"]
        assert {name: item[name] for name in body} == body


async def test_only_what_was_asked_for_arrives(desk: Subscribing) -> None:
    await desk.subscribe("case.opened", path="/opened")
    await desk.subscribe("deadline.*", path="/deadlines")
    await desk.subscribe("*", path="/all")
    case = await desk.case()
    await desk.room.hear(desk.room.change(case, opened()), desk.room.warning(case))
    rows = await desk.room.rows(
        "SELECT s.url, f.type FROM deliveries d JOIN feed f USING (event_id) "
        "JOIN subscriptions s ON d.target = 'subscription:' || s.id ORDER BY s.url, f.type"
    )
    assert [(row.url.rpartition("/")[2], row.type) for row in rows] == [
        ("all", "case.opened"), ("all", "deadline.warned"),
        ("deadlines", "deadline.warned"), ("opened", "case.opened"),
    ]  # fmt: skip


async def test_every_due_time_of_an_endpoint_that_never_recovers(desk: Subscribing) -> None:
    await desk.subscribe()
    desk.endpoint.always("/hook", status(503))
    await desk.happen()
    waits = []
    async with desk.room.sending():
        for attempt in range(1, 10):
            await desk.room.tried(attempt)
            (row,) = await desk.room.rows("SELECT next_at FROM deliveries")
            waits.append((row.next_at - desk.room.clock.at).total_seconds())
            desk.room.clock.at = row.next_at
        await desk.settled("failed")
    assert waits == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    requests = desk.endpoint.at("/hook")
    assert len({request.id for request in requests}) == 1
    assert len({request.body for request in requests}) == 1


@pytest.mark.parametrize("header", ["3600", "Tue, 17 Nov 2026 10:00:00 GMT"])
async def test_retry_after_is_honoured(desk: Subscribing, header: str) -> None:
    await desk.subscribe()
    desk.endpoint.script("/hook", status(429, retry_after=header))
    await desk.happen()
    async with desk.room.sending():
        await desk.room.tried(1)
    (row,) = await desk.room.rows("SELECT next_at FROM deliveries")
    assert row.next_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize("code", [429, 503])
async def test_an_endpoint_that_asks_for_silence_gets_it_from_all_its_events(
    desk: Subscribing, code: int
) -> None:
    await desk.subscribe()
    await desk.subscribe(path="/other")
    desk.endpoint.script("/hook", status(code, retry_after="120"))
    await desk.happen()
    async with desk.room.sending():
        await desk.settled("pending", "sent")
        await desk.happen(3)
        await desk.endpoint.received(4, "/other")
        await desk.settled(*["pending"] * 4, *["sent"] * 4)
        assert len(desk.endpoint.at("/hook")) == 1
        desk.room.clock.at += timedelta(seconds=121)
        await desk.settled(*["sent"] * 8)
    assert len(desk.endpoint.at("/hook")) == 5


async def test_no_redirect_is_followed(desk: Subscribing) -> None:
    await desk.subscribe()
    desk.endpoint.script("/hook", status(307, location=desk.url("/elsewhere")))
    await desk.happen()
    async with desk.room.sending():
        await desk.room.tried(1)
    assert desk.endpoint.at("/elsewhere") == []


async def test_a_url_that_was_changed_gets_what_waits(desk: Subscribing) -> None:
    made = await desk.subscribe()
    await desk.happen(2)
    changed = await desk.ask(
        "PATCH", f"/subscriptions/{made['id']}", json={"url": desk.url("/new")}
    )
    assert changed["url"].endswith("/new")
    async with desk.room.sending():
        await desk.settled("sent", "sent")
    assert (len(desk.endpoint.at("/new")), len(desk.endpoint.at("/hook"))) == (2, 0)


async def test_what_waits_for_a_deleted_one_is_never_sent(desk: Subscribing) -> None:
    made = await desk.subscribe()
    await desk.happen(3)
    await desk.ask("DELETE", f"/subscriptions/{made['id']}")
    await desk.refused(404, "GET", f"/subscriptions/{made['id']}")
    await desk.happen()
    async with desk.room.sending():
        await desk.tidied()
        await desk.settled("failed", "failed", "failed")
    await desk.tidied()
    assert desk.endpoint.requests == []
    assert await desk.room.rows("SELECT * FROM targets") == []


# --- what may be subscribed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("case.open", "case.opened"), ("deadlines.*", "deadline.*"), ("promise.breached", "promise.")],
)
async def test_an_unknown_event_is_refused_with_the_nearest(
    desk: Subscribing, name: str, nearest: str
) -> None:
    body = {"url": desk.url(), "events": ["case.opened", name]}
    problem = await desk.refused(422, "POST", "/subscriptions", json=body)
    assert problem["name"] == "unknown-event"
    assert f"'{name}'" in problem["detail"]
    assert nearest in problem["detail"]


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example.org", "ftp://hooks.example.org/", "http://hooks.example.org/in",
        "https://", "https://u:p@hooks.example.org/", "https://hooks.example.org/#part",
        "https://localhost/", "https://desk/", "https://desk.internal/", "https://10.0.0.1/",
        "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://[::1]/",
        "https://[::ffff:7f00:1]/", "https://[64:ff9b::7f00:1]/", "https://[fd00::1]/",
        "https://169.254.169.254/latest/", "http://169.254.169.254/", "https://[fd00:ec2::254]/",
        "https://192.168.1.1:8443/in", "http://127.0.0.1:1/in", "https://hooks.example.org:x/",
        "https://hooks.example.org/a b", "https://hooks.example.org/" + "a" * 2_000,
    ],
)  # fmt: skip
async def test_a_url_that_leads_inside_or_nowhere_is_refused(desk: Subscribing, url: str) -> None:
    problem = await desk.refused(422, "POST", "/subscriptions", json={"url": url, "events": ["*"]})
    assert problem["name"] in ("url-refused", "target-forbidden", "invalid")
    made = await desk.subscribe()
    await desk.refused(422, "PATCH", f"/subscriptions/{made['id']}", json={"url": url})


async def test_a_private_endpoint_that_only_the_policy_names_is_not_called(
    database_url: str, tmp_path: Path
) -> None:
    """What the operator's file allows its teams is no leave for a key: the connection looks."""
    async with subscribing(database_url, tmp_path, allowed=()) as desk:
        body = {"url": "https://hooks.example.org/in", "events": ["*"]}
        answer = await desk.http.post("/v1/subscriptions", json=body)
        assert answer.status_code == 201
        await desk.room.run("UPDATE subscriptions SET url = :url", url=desk.url())
        await desk.happen()
        async with desk.room.sending():
            await desk.settled("failed")
        assert desk.endpoint.requests == []
        (row,) = await desk.room.rows("SELECT error FROM attempts")
        assert "REGIE_ALLOW_PRIVATE_TARGETS" in row.error


# --- whose it is -------------------------------------------------------------------------------


async def test_a_key_manages_its_own_and_an_admin_all(desk: Subscribing) -> None:
    shop = await desk.key(agent="shop")
    other, agent = await desk.key(), await desk.key("agent", agent="shop")
    mine = await desk.subscribe(headers=shop)
    theirs = await desk.subscribe(headers=other)
    for headers, ids in ((shop, [mine["id"]]), (other, [theirs["id"]]), (agent, []),
                         (None, [mine["id"], theirs["id"]])):  # fmt: skip
        listed = await desk.ask("GET", "/subscriptions", headers)
        assert [item["id"] for item in listed["items"]] == ids
        assert not any("secret" in item for item in listed["items"])
    path = f"/subscriptions/{mine['id']}"
    await desk.happen()
    (delivery,) = await desk.room.rows(
        "SELECT id FROM deliveries WHERE target = :t", t=f"subscription:{mine['id']}"
    )
    for stranger in (other, agent):
        for method, rest in (("GET", path), ("PATCH", path), ("DELETE", path),
                             ("POST", f"{path}/rotate"), ("POST", f"{path}/test"),
                             ("POST", f"{path}/replay"), ("GET", f"{path}/attempts"),
                             ("GET", f"{path}/replays"), ("GET", f"/deliveries/{delivery.id}"),
                             ("GET", f"/deliveries/{delivery.id}/attempts"),
                             ("POST", f"/deliveries/{delivery.id}/replay")):  # fmt: skip
            given: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
            await desk.refused(404, method, rest, stranger, **given)
    replaced = await desk.key(agent="shop")
    await desk.ask("PATCH", path, replaced, json={"events": ["case.*"]})
    assert (await desk.ask("GET", path, shop))["events"] == ["case.*"]
    await desk.refused(403, "GET", "/subscriptions", await desk.key("operator"))


SCOPES: list[tuple[dict[str, Any], list[str]]] = [
    ({"role": "integrator"}, ["claims", "parcels"]),
    ({"role": "integrator", "teams": ["parcels"]}, ["parcels"]),
    ({"role": "integrator", "teams": ["care"]}, ["care"]),
    ({"role": "integrator", "accounts": ["service-portal"]}, ["claims"]),
    ({"role": "agent", "agent": "jo"}, ["claims", "parcels"]),
    ({"role": "agent", "agent": "jo", "teams": ["care", "claims"]}, ["care", "claims"]),
    ({"role": "supervisor", "agent": "su"}, ["care", "claims", "parcels"]),
    ({"role": "admin"}, ["care", "claims", "parcels"]),
]


@pytest.mark.parametrize(("grant", "teams"), SCOPES)
async def test_a_key_gets_what_its_scope_reaches_by_every_way(
    desk: Subscribing, grant: dict[str, Any], teams: list[str]
) -> None:
    headers = await desk.key(**grant)
    await desk.subscribe(headers=headers)
    await desk.happen(team="parcels")
    await desk.happen(team="claims", account="service-portal")
    await desk.happen(team="care", confidential=True)
    planned = await desk.room.rows(
        "SELECT f.team FROM deliveries d JOIN feed f USING (event_id) ORDER BY f.team"
    )
    assert [row.team for row in planned] == teams
    items = (await desk.feed(headers))["items"]
    assert sorted(item["data"]["team"] for item in items) == teams


async def test_a_revoked_key_gets_nothing_more(desk: Subscribing) -> None:
    headers = await desk.key()
    made = await desk.subscribe(headers=headers)
    await desk.happen()
    async with transaction(desk.room.runtime.engine) as connection:
        await api_keys.revoke(connection, headers["Authorization"].removeprefix("Bearer "))
    await desk.happen()
    async with desk.room.sending():
        await desk.settled("failed")
    assert desk.endpoint.requests == []
    shown = await desk.ask("GET", f"/subscriptions/{made['id']}")
    assert shown["enabled"] is False
    assert "revoked" in shown["disabled_reason"]


async def test_what_happened_after_its_key_had_expired_is_known_to_be_missed(
    desk: Subscribing,
) -> None:
    first = await desk.key(agent="shop", expires_at=NOON + timedelta(hours=1))
    made = await desk.subscribe(headers=first)
    path = f"/subscriptions/{made['id']}"
    for _ in range(6):
        await desk.happen()
        desk.room.clock.at += timedelta(minutes=20)
    assert len(await desk.states()) == 3, "nothing is planned without a key"
    async with desk.room.sending():
        await desk.settled(*["failed"] * 3)
        second = await desk.key(agent="shop")
        changed = await desk.ask("PATCH", path, second, json={})
        assert (changed["enabled"], changed["missed_after"]) == (True, "3")
        await desk.ask("POST", f"{path}/replay", second, json={})
        await desk.replayed()
        await desk.settled(*["sent"] * 6)
    assert (await desk.ask("GET", path, second))["missed_after"] is None


async def test_a_narrower_key_is_sent_nothing_it_may_not_read(desk: Subscribing) -> None:
    """Not even what was planned, or sent, while a wider key of its owner had the subscription."""
    made = await desk.subscribe(headers=await desk.key(agent="shop"))
    await desk.happen(team="parcels")
    await desk.happen(team="claims")
    narrow = await desk.key(agent="shop", teams=["parcels"])
    await desk.ask("PATCH", f"/subscriptions/{made['id']}", narrow, json={"url": desk.url("/me")})
    async with desk.room.sending():
        await desk.settled("dropped", "sent")
        (barred,) = await desk.room.rows("SELECT * FROM deliveries WHERE state = 'dropped'")
        await desk.ask("POST", f"/deliveries/{barred.id}/replay", narrow)
        await desk.settled("dropped", "sent")
    assert [request.json()["data"]["team"] for request in desk.endpoint.requests] == ["parcels"]
    assert barred.error.startswith("barred: ")


async def test_a_repeat_under_an_idempotency_key_makes_nothing_twice(desk: Subscribing) -> None:
    """A second subscription would post everything twice, under a secret that nobody knows."""
    once = {"Idempotency-Key": "k1"}
    body = {"url": desk.url(), "events": ["*"]}
    first, again = [
        await desk.http.post("/v1/subscriptions", json=body, headers=once) for _ in range(2)
    ]
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len((await desk.ask("GET", "/subscriptions"))["items"]) == 1
    other = await desk.http.post(
        "/v1/subscriptions", json=body | {"events": ["case.*"]}, headers=once
    )
    assert (other.status_code, other.json()["name"]) == (422, "idempotency-key-reused")
    rotations = [
        (await desk.http.post(f"/v1/subscriptions/{first.json()['id']}/rotate", headers=once))
        for _ in range(2)
    ]
    assert len({each.json()["secret"] for each in rotations}) == 1


# --- secrets -----------------------------------------------------------------------------------


async def test_a_rotation_signs_with_both_for_a_day(database_url: str, tmp_path: Path) -> None:
    async with subscribing(database_url, tmp_path, datetime.now(UTC)) as desk:
        made = await desk.subscribe()
        newer = await desk.ask("POST", f"/subscriptions/{made['id']}/rotate")
        assert newer["secret"].startswith("whsec_")
        assert newer["secret"] != made["secret"]
        async with desk.room.sending():
            await desk.happen()
            (request,) = await desk.endpoint.received(1, "/hook")
            await desk.settled("sent")
            desk.room.clock.at += timedelta(hours=24, seconds=1)
            await desk.happen()
            (_, later) = await desk.endpoint.received(2, "/hook")
        for secret in (made["secret"], newer["secret"]):
            Webhook(secret).verify(request.body, dict(request.headers))
        assert len(request.headers["webhook-signature"].split(" ")) == 2
        assert len(later.headers["webhook-signature"].split(" ")) == 1


# --- tests and attempts ------------------------------------------------------------------------


async def test_a_ping_goes_once_past_all_that_waits_and_its_answer_is_read_at_once(
    desk: Subscribing,
) -> None:
    made = await desk.subscribe()
    desk.endpoint.always("/hook", status(418, b"short and stout"))
    await desk.happen(3)
    await desk.room.run("UPDATE deliveries SET next_at = next_at + interval '1 hour'")
    async with desk.room.sending():
        tried = await desk.ask("POST", f"/subscriptions/{made['id']}/test")
        await desk.settled("pending", "pending", "pending", "failed")
    assert (tried["status"], tried["response"], tried["type"]) == (
        418, "short and stout", "webhook.test",
    )  # fmt: skip
    (request,) = desk.endpoint.at("/hook")
    assert request.json()["type"] == "webhook.test"
    assert request.id == tried["webhook_id"]
    listed = await desk.ask("GET", f"/subscriptions/{made['id']}/attempts")
    assert listed["items"] == [tried]
    assert await desk.room.rows("SELECT * FROM dead_letters") == []


async def test_attempts_are_listed_latest_first_with_what_was_said(desk: Subscribing) -> None:
    made = await desk.subscribe()
    desk.endpoint.script("/hook", status(500, b"x" * 20_000), trickle(502))
    await desk.happen()
    async with desk.room.sending():
        for number in (1, 2):
            await desk.room.tried(number)
            (row,) = await desk.room.rows("SELECT next_at FROM deliveries")
            desk.room.clock.at = row.next_at
        await desk.settled("sent")
    path = f"/subscriptions/{made['id']}/attempts"
    first = await desk.ask("GET", path, params={"limit": 2})
    rest = await desk.ask("GET", path, params={"limit": 2, "cursor": first["next_cursor"]})
    assert [item["number"] for item in first["items"] + rest["items"]] == [3, 2, 1]
    assert rest["next_cursor"] is None
    (oldest,) = rest["items"]
    assert (oldest["status"], len(oldest["response"])) == (500, 16 * 1024)
    assert oldest["type"] == "case.priority_changed"
    assert 0 < first["items"][1]["took"] < 15
    failed = await desk.ask("GET", path, params={"failed": True})
    assert [item["number"] for item in failed["items"]] == [2, 1]
    of_it = await desk.ask("GET", f"/deliveries/{oldest['webhook_id']}/attempts")
    assert [item["number"] for item in of_it["items"]] == [1, 2, 3]
    assert (await desk.ask("GET", f"/deliveries/{oldest['delivery_id']}"))["state"] == "sent"


# --- the end of patience -----------------------------------------------------------------------


async def test_410_disables_and_its_owner_sees_why(desk: Subscribing) -> None:
    made = await desk.subscribe()
    desk.endpoint.always("/hook", status(410))
    await desk.happen(1)
    async with desk.room.sending():
        await desk.settled("failed")
    await desk.happen(2)
    assert await desk.states() == ["failed"]  # what comes is in the feed
    shown = await desk.ask("GET", f"/subscriptions/{made['id']}")
    assert (shown["enabled"], shown["missed_after"]) == (False, "1")
    assert "410" in shown["disabled_reason"]
    assert shown["disabled_at"] == NOON.isoformat().replace("+00:00", "Z")
    (letter,) = await desk.room.rows("SELECT * FROM dead_letters")
    assert (letter.id, letter.type, letter.count) == (UUID(made["id"]), "subscription", 1)
    await desk.refused(409, "POST", f"/subscriptions/{made['id']}/replay")


async def fail_at(desk: Subscribing, **after: float) -> None:
    """One new event fails so long after noon; the ones before wait for ever."""
    await desk.room.run("UPDATE deliveries SET next_at = 'infinity' WHERE state = 'pending'")
    desk.room.clock.at = NOON + timedelta(**after)
    before = await tries(desk)
    await desk.happen()

    async def tried() -> bool:
        return await tries(desk) > before

    async with desk.room.sending():
        await until(tried)


async def tries(desk: Subscribing) -> int:
    (row,) = await desk.room.rows("SELECT count(*) AS n FROM attempts")
    return int(row.n)


async def test_days_of_nothing_but_failures_disable(desk: Subscribing) -> None:
    made = await desk.subscribe()
    desk.endpoint.always("/hook", status(500))
    await fail_at(desk, hours=0)
    shown = await desk.ask("GET", f"/subscriptions/{made['id']}")
    assert shown["failing_since"] == "2026-11-17T09:00:00Z"
    await fail_at(desk, hours=13)
    await fail_at(desk, days=4, hours=23)
    assert (await desk.ask("GET", f"/subscriptions/{made['id']}"))["enabled"] is True
    await fail_at(desk, days=5)
    shown = await desk.ask("GET", f"/subscriptions/{made['id']}")
    assert shown["enabled"] is False
    assert shown["disabled_reason"] == "every delivery failed since 2026-11-17 09:00 UTC"


async def test_two_failures_far_apart_are_not_days_of_failing(desk: Subscribing) -> None:
    made = await desk.subscribe()
    desk.endpoint.always("/hook", status(500))
    await fail_at(desk, hours=0)
    await fail_at(desk, hours=11)
    await fail_at(desk, days=6)
    assert (await desk.ask("GET", f"/subscriptions/{made['id']}"))["enabled"] is True
    await fail_at(desk, days=6, hours=1)
    assert (await desk.ask("GET", f"/subscriptions/{made['id']}"))["enabled"] is False


async def test_one_success_begins_the_count_anew(desk: Subscribing) -> None:
    made = await desk.subscribe()
    desk.endpoint.script("/hook", status(500), status(500), status(200))
    await fail_at(desk, hours=0)
    await fail_at(desk, days=1)
    await fail_at(desk, days=2)  # this one is taken
    assert (await desk.ask("GET", f"/subscriptions/{made['id']}"))["failing_since"] is None
    desk.endpoint.always("/hook", status(500))
    await fail_at(desk, days=5, hours=1)
    assert (await desk.ask("GET", f"/subscriptions/{made['id']}"))["enabled"] is True


# --- many --------------------------------------------------------------------------------------


async def test_a_batch_takes_as_many_statements_for_many_as_for_one(desk: Subscribing) -> None:
    counted = []
    for subscribers, events in ((1, 1), (0, 1), (60, 300)):  # the first warms the statements up
        for n in range(subscribers):
            await desk.subscribe(path=f"/{n}")
        case = await desk.case()
        changes = [
            desk.room.change(case, CasePriorityChanged(priority="high", reason="r"))
            for _ in range(events)
        ]
        batch = [received(change, f"{change.case_id}:{change.seq}") for change in changes]
        statements: list[str] = []

        def note(record: Any, seen: list[str] = statements) -> None:
            seen.append(record.query)

        async with transaction(desk.room.runtime.engine) as connection:
            raw: asyncpg.Connection[Any] = await driver(connection)
            with raw.query_logger(note):
                await Handlers(desk.room.runtime.now).on_case_events(connection, batch)
        counted.append(len(statements))
    assert counted[1] == counted[2] <= 10
    (row,) = await desk.room.rows("SELECT count(*) AS n FROM deliveries")
    assert row.n == 1 + 1 + 61 * 300


async def test_a_dead_endpoint_with_thousands_waiting_holds_up_nobody(desk: Subscribing) -> None:
    dead = await desk.subscribe(path="/dead")
    desk.endpoint.always("/dead", status(503))
    await desk.happen(3_000)
    await desk.subscribe(path="/well")
    async with desk.room.sending():
        await desk.endpoint.received(1, "/dead")
        await desk.happen(20)
        await desk.endpoint.received(20, "/well")
    assert await tries(desk) < 2_000, "the well one did not wait for the dead one's"
    desk.room.clock.at += timedelta(days=7, seconds=1)
    await desk.tidied()
    assert set(await desk.states(dead["id"])) <= {"failed", "sending"}
    await desk.tidied()
    assert (await desk.feed(after=""))["items"] == []
