"""The policy over HTTP and in force: versions, refusals, rollback, and switching under load.

A second `Handlers` over the same database stands for a second process: they share nothing else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest

from services.router.api import routers
from services.router.handlers import Handlers
from services.router.versions import rows as versions
from services.router.versions.candidate import Checks
from services.router.versions.changes import Change, Changes
from services.router.versions.policies import Policies
from shared.api_keys import Grant, create
from shared.database import connect, transaction
from shared.guard import Guard
from shared.runtime import Runtime, utc_now
from shared.security import Role
from shared.telemetry import METRICS
from shared.web.app import make_app
from tests.builders import EXAMPLE, after, example_policy, message, sender
from tests.rooms import Room, make_room
from tests.waiting import until

TEXT = EXAMPLE.read_text(encoding="utf-8")
OTHER = TEXT.replace("name: tracking,", "name: parcel news,")
MakeClient = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@pytest.fixture
async def client(room: Room) -> AsyncIterator[MakeClient]:
    """A client with a key of its own, of a role: `await client("supervisor")`."""
    clients: list[httpx.AsyncClient] = []

    async def make(role: Role = "admin", runtime: Runtime | None = None) -> httpx.AsyncClient:
        handlers = replace(room.handlers, runtime=runtime or room.runtime)
        async with transaction(room.engine) as connection:
            key = await create(connection, Grant(role=role, agent="kim"))
        clients.append(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(make_app(handlers.runtime, routers(handlers))),
                base_url="http://regie",
                headers={"Authorization": f"Bearer {key}"},
            )
        )
        return clients[-1]

    yield make
    for made in clients:
        await made.aclose()


@pytest.fixture
async def admin(client: MakeClient) -> httpx.AsyncClient:
    return await client()


async def put(
    http: httpx.AsyncClient, text: str | bytes, seen: int | None = 1, **more: Any
) -> httpx.Response:
    headers = {"Content-Type": "application/yaml", **more.pop("headers", {})}
    if seen is not None:
        headers["If-Match"] = f'"{seen}"'
    return await http.put("/v1/policy", content=text, headers=headers, **more)


async def second(room: Room) -> Room:
    """Another process on the same database."""
    policies = Policies(room.engine, room.runtime.accounts.channels())
    await policies.refresh()
    return Room(room.runtime, Handlers(room.runtime, policies), room.clock)


async def named(room: Room) -> list[tuple[str, int]]:
    """Rule and policy version that each case was opened by."""
    rows = await room.rows(
        "SELECT rule, policy_version FROM decisions WHERE kind = 'routing' ORDER BY id"
    )
    return [tuple(row) for row in rows]


def stranger(number: int) -> Any:
    return sender(f"+3161{number:07d}")


# --- reading ---------------------------------------------------------------------------------


async def test_the_text_in_force_comes_back_as_it_was_stored(admin: httpx.AsyncClient) -> None:
    given = await admin.get("/v1/policy")
    assert (given.status_code, given.text) == (200, TEXT), "comments and all"
    assert given.headers["content-type"] == "application/yaml"
    assert given.headers["etag"] == '"1"'
    told = {name: given.headers[f"policy-{name}"] for name in ("version", "author", "origin")}
    assert told == {"version": "1", "author": "regie serve", "origin": "file"}
    assert datetime.fromisoformat(given.headers["policy-created-at"]).tzinfo == UTC
    held = await admin.get("/v1/policy", headers={"If-None-Match": '"1"'})
    assert (held.status_code, held.content) == (304, b"")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "yaml"),
        ("application/json", "json"),
        ("application/json, text/plain, */*", "json"),
        ("application/yaml, application/json", "yaml"),
        ("application/yaml;q=0.5, application/json", "json"),
        ("application/json;q=0.5, application/yaml;q=0.9", "yaml"),
        ("text/html", "yaml"),
    ],
)
async def test_accept_decides_between_yaml_and_json(
    admin: httpx.AsyncClient, accept: str, kind: str
) -> None:
    for path in ("/v1/policy", "/v1/policy/versions/1"):
        given = await admin.get(path, headers={"Accept": accept})
        assert given.headers["content-type"] == f"application/{kind}"
        assert given.headers["etag"] == '"1"'
        if kind == "json":
            assert given.json()["teams"]["parcels"]["fallback"] == "frontdesk"
            assert given.json()["calendars"]["office"]["exceptions"]["2026-12-31"] == []


async def test_who_may_read_and_who_may_change(client: MakeClient) -> None:
    supervisor, agent = await client("supervisor"), await client("agent")
    for path in ("/v1/policy", "/v1/policy/versions", "/v1/policy/versions/1"):
        assert (await supervisor.get(path)).status_code == 200
        assert (await agent.get(path)).status_code == 403
    assert (await put(supervisor, OTHER)).status_code == 403
    refused = await supervisor.post("/v1/policy/rollback", json={"version": 1})
    assert refused.status_code == 403
    assert (await (await client()).get("/v1/policy/versions/9")).status_code == 404


# --- putting in force ------------------------------------------------------------------------


async def test_a_put_is_a_new_version_with_author_and_reason(admin: httpx.AsyncClient) -> None:
    stored = await put(admin, OTHER, params={"reason": "“news” is their word: 100% ✓"})
    assert (stored.status_code, stored.headers["etag"]) == (200, '"2"')
    body = stored.json()
    assert (body["version"], body["author"], body["origin"]) == (2, "kim", "api")
    assert (body["changed"], body["in_force"]) == (True, True)
    assert body["tests"] == len(example_policy().tests) > 0
    given = await admin.get("/v1/policy")
    assert (given.text, given.headers["etag"]) == (OTHER, '"2"')
    assert given.headers["policy-reason"].startswith("%E2%80%9Cnews%E2%80%9D is their word: 100%25")
    page = (await admin.get("/v1/policy/versions", params={"limit": 1})).json()
    assert [item["version"] for item in page["items"]] == [2]
    assert page["items"][0]["reason"] == "“news” is their word: 100% ✓"
    rest = await admin.get("/v1/policy/versions", params={"cursor": page["next_cursor"]})
    assert [(i["version"], i["in_force"]) for i in rest.json()["items"]] == [(1, False)]
    assert rest.json()["next_cursor"] is None
    assert (await admin.get("/v1/policy/versions/1")).text == TEXT


async def test_the_same_text_is_no_new_version(admin: httpx.AsyncClient) -> None:
    same = await put(admin, TEXT)
    assert (same.status_code, same.headers["etag"]) == (200, '"1"')
    assert (same.json()["changed"], same.json()["author"]) == (False, "regie serve")
    assert len((await admin.get("/v1/policy/versions")).json()["items"]) == 1


async def test_json_rules_as_yaml_does(room: Room, admin: httpx.AsyncClient) -> None:
    as_json = (await admin.get("/v1/policy", headers={"Accept": "application/json"})).json()
    as_json["routing"][2]["name"] = "from JSON"
    stored = await put(admin, json.dumps(as_json), headers={"Content-Type": "application/json"})
    assert stored.status_code == 200, stored.text
    await room.hear(message())
    assert await named(room) == [("from JSON", 2)]


async def test_a_version_that_moved_is_said_with_its_number(admin: httpx.AsyncClient) -> None:
    without = await put(admin, OTHER, seen=None)
    assert (without.status_code, without.json()["version"]) == (428, 1)
    assert (await put(admin, OTHER, params={"reason": "summer"})).status_code == 200
    late = await put(admin, TEXT)
    assert (late.status_code, late.json()["name"]) == (412, "version-changed")
    assert late.json()["version"] == 2
    assert "kim" in late.json()["detail"]
    assert "summer" in late.json()["detail"]
    assert (await put(admin, TEXT, seen=7)).status_code == 412
    assert (await put(admin, TEXT, seen=None, headers={"If-Match": "x"})).status_code == 422
    assert (await put(admin, TEXT, seen=2)).json()["version"] == 3


async def test_of_two_at_once_one_is_told_of_the_other(admin: httpx.AsyncClient) -> None:
    texts = [TEXT.replace("name: tracking,", f"name: tracking {n},") for n in range(6)]
    answers = await asyncio.gather(*(put(admin, text) for text in texts))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
    assert len((await admin.get("/v1/policy/versions")).json()["items"]) == 2


async def test_a_repeat_with_its_key_gets_the_first_answer(admin: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "autumn"}
    first = await put(admin, OTHER, headers=key)
    again = await put(admin, OTHER, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["etag"] == '"2"'
    other = await put(admin, TEXT, headers=key)
    assert (other.status_code, other.json()["name"]) == (422, "idempotency-key-reused")


# --- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("fallback: frontdesk, capacity", "fallback: frontdsk, capacity",
         "teams.parcels.fallback", "did you mean `frontdesk`?"),
        ("team: parcels,", "team: parcel,", "routing[2].team", "did you mean `parcels`?"),
        ("text.contains(\"parcel\")", "txt.contains(\"parcel\")", "routing[2].when", "`text`"),
        ("claim_lease", "claim_leese", "claim_leese", "did you mean `claim_lease`?"),
        ("reply_from: {email: support-mail}", "reply_from: {email: suport-mail}",
         "reply_from.email", "did you mean `support-mail`?"),
        ("127.0.0.1:9901/claims", "10.0.0.7/claims", "teams.claims.notify[0].webhook",
         "REGIE_ALLOW_PRIVATE_TARGETS"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_with_line_field_and_nearest_word(
    admin: httpx.AsyncClient, old: str, new: str, field: str, words: str
) -> None:
    assert old in TEXT
    refused = await put(admin, TEXT.replace(old, new, 1))
    assert (refused.status_code, refused.json()["name"]) == (422, "policy-invalid")
    assert refused.headers["content-type"] == "application/problem+json"
    [error] = refused.json()["errors"]
    line = next(n for n, each in enumerate(TEXT.splitlines(), 1) if old in each)
    assert (error["line"], error["field"]) == (line, field)
    assert words in error["message"]
    assert words in refused.json()["detail"]
    assert len((await admin.get("/v1/policy/versions")).json()["items"]) == 1


async def test_everything_wrong_is_told_at_once(admin: httpx.AsyncClient) -> None:
    text = TEXT.replace("email: support-mail", "email: nobody").replace(
        "127.0.0.1:9901/claims", "localhost/claims"
    )
    text = text.replace("expect: {team: claims,", "expect: {team: parcels,")
    errors = (await put(admin, text)).json()["errors"]
    assert [error["field"] for error in errors] == [
        "teams.claims.notify[0].webhook", "reply_from.email", "tests",
    ]  # fmt: skip


async def test_each_failing_test_is_named(admin: httpx.AsyncClient) -> None:
    more = (
        "  - {name: chat is quick, given: {channel: whatsapp, text: hi}, expect: {team: claims}}\n"
    )
    text = TEXT.replace("expect: {team: claims,", "expect: {team: parcels,") + more
    refused = (await put(admin, text)).json()
    assert refused["name"] == "policy-tests-failed"
    assert [error["test"] for error in refused["errors"]] == [
        "a damaged parcel goes to claims", "chat is quick",
    ]  # fmt: skip
    assert refused["errors"][1]["line"] == len(text.splitlines())
    assert "expected parcels, came claims" in refused["errors"][0]["message"]


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 422, "policy-invalid"),
        (b"- 1", 422, "policy-invalid"),
        (b"name: [", 422, "policy-invalid"),
        ("name: caf\xe9".encode("latin-1"), 422, "policy-invalid"),
        (TEXT.encode("utf-16"), 422, "policy-invalid"),
        (b"name: \x00", 422, "policy-invalid"),
        (TEXT.replace("name: parcels", 'name: "par\\0cels"').encode(), 422, "policy-invalid"),
        (b"# " + b"x" * 1024 * 1024, 413, "too-large"),
    ],
)
async def test_what_is_no_policy_is_refused_clearly(
    admin: httpx.AsyncClient, body: bytes, status: int, name: str
) -> None:
    refused = await put(admin, body)
    assert (refused.status_code, refused.json()["name"]) == (status, name)


async def test_a_byte_order_mark_is_no_part_of_the_text(admin: httpx.AsyncClient) -> None:
    assert (await put(admin, TEXT.encode("utf-8-sig"))).json()["changed"] is False


async def test_what_is_useless_is_a_warning(admin: httpx.AsyncClient) -> None:
    first = "  - {from: whatsapp, to: phone"
    row = "  - {from: whatsapp, to: x, reasons: [agent]}\n"
    stored = await put(admin, TEXT.replace(first, row + first, 1))
    assert stored.status_code == 200, stored.text
    [warning] = stored.json()["warnings"]
    assert warning["field"] == "switches[0].to"
    assert "no account on x" in warning["message"]


async def test_a_team_that_is_dropped_with_open_cases_is_a_warning(
    room: Room, admin: httpx.AsyncClient
) -> None:
    small = (
        "teams: {desk: {}, second: {}}\ncalendars: {a: {hours: 24/7}}\n"
        "routing: [{name: all, team: second}]\n"
        "service_levels: [{name: all, calendar: a, first_response: 4h}]\n"
    )
    stored = await put(admin, small)
    assert (stored.status_code, stored.json()["warnings"]) == (200, [])
    for number in (1, 2):
        await room.hear(message(sender=stranger(number)))
    fewer = small.replace(", second: {}", "").replace("team: second", "team: desk")
    stored = await put(admin, fewer, seen=2)
    assert (stored.status_code, stored.json()["version"]) == (200, 3), stored.text
    [warning] = stored.json()["warnings"]
    assert (warning["line"], warning["field"]) == (1, "teams.second")
    assert warning["message"].startswith(
        "2 open cases are with team `second`, which this policy does not have: each goes to `desk`"
    )
    back = (await admin.post("/v1/policy/rollback", json={"version": 1})).json()
    assert [told["field"] for told in back["warnings"]] == ["teams.second"]
    back = (await admin.post("/v1/policy/rollback", json={"version": 2})).json()
    assert back["warnings"] == []


# --- targets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "permitted"),
    [
        ("https://hooks.example.org/claims", True),
        ("http://1.1.1.1/claims", True),
        ("http://127.0.0.1:9901/another/path", True),
        ("http://127.0.0.1:9902/claims", False),
        ("http://127.1:9902/", False),
        ("http://2130706433/", False),
        ("http://0x7f.0.0.1/", False),
        ("http://[::ffff:10.0.0.1]/", False),
        ("http://10.1.2.3/", False),
        ("http://localhost:9901/", False),
        ("http://LOCALHOST./", False),
        ("http://printer/", False),
        ("http://desk.internal/", False),
        ("http://desk.local:8080/", False),
        ("http://nas.home.arpa/", False),
        ("http://169.254.169.254/latest/meta-data/", False),
        ("https://user@10.0.0.1/", False),
        ("https://hooks.example.org:99999/", False),
    ],
)
async def test_a_policy_by_api_adds_no_private_target(
    admin: httpx.AsyncClient, url: str, permitted: bool
) -> None:
    text = TEXT.replace("http://127.0.0.1:9901/claims", f"'{url}'")
    answer = await put(admin, text)
    assert answer.status_code == (200 if permitted else 422), answer.text
    if not permitted:
        [error] = answer.json()["errors"]
        assert error["field"] == "teams.claims.notify[0].webhook"


async def test_the_operators_variable_lets_private_targets_in(
    room: Room, client: MakeClient
) -> None:
    settings = room.runtime.settings.model_copy(
        update={"allow_private_targets": "desk.internal:80,10.0.0.0/8,169.254.0.0/16"}
    )
    admin = await client(runtime=replace(room.runtime, settings=settings))
    for seen, (host, status) in enumerate(
        [("desk.internal", 200), ("10.9.9.9", 200), ("192.168.0.1", 422), ("169.254.1.1", 422)], 1
    ):
        text = TEXT.replace("127.0.0.1:9901/claims", f"{host}/claims")
        assert (await put(admin, text, seen=min(seen, 3))).status_code == status, host


async def test_what_any_operators_file_named_may_be_named_again(
    room: Room, admin: httpx.AsyncClient, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(TEXT.replace("127.0.0.1:9901", "10.0.0.5"), "utf-8")
    policies = Policies(room.engine, room.runtime.accounts.channels())
    await policies.load(str(file))
    for seen, host in enumerate(("127.0.0.1:9901", "10.0.0.5", "10.0.0.6"), 2):
        answer = await put(admin, OTHER.replace("127.0.0.1:9901", host), seen=seen)
        assert answer.status_code == (422 if host == "10.0.0.6" else 200)


# --- in force --------------------------------------------------------------------------------


async def test_every_process_decides_under_it_from_its_next_batch_on(
    room: Room, admin: httpx.AsyncClient
) -> None:
    other = await second(room)
    await other.hear(message(sender=stranger(1)))
    assert (await put(admin, OTHER)).status_code == 200
    await other.hear(message(sender=stranger(2)))
    await room.hear(message(sender=stranger(3)))
    assert await named(room) == [("tracking", 1), ("parcel news", 2), ("parcel news", 2)]
    starts = await room.rows("SELECT policy_version FROM deadlines ORDER BY case_id, number")
    assert [row[0] for row in starts] == [1, 1, 2, 2, 2, 2]


async def test_a_command_is_decided_under_it_too(room: Room, admin: httpx.AsyncClient) -> None:
    other = await second(room)
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    text = TEXT.replace("claim_lease: 30m", "claim_lease: 45m")
    assert (await put(admin, text)).status_code == 200
    app = make_app(other.runtime, routers(other.handlers))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://regie", headers=admin.headers
    ) as http:
        assert (await http.post(f"/v1/cases/{case.id}/claim")).status_code == 200
    assert await room.rows("SELECT claim_until FROM cases") == [(after(minutes=45),)]


async def test_a_case_keeps_naming_the_version_it_was_opened_under(
    room: Room, admin: httpx.AsyncClient
) -> None:
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    before = (await admin.get(f"/v1/cases/{case.id}/decisions")).json()["items"]
    text = OTHER.partition("\ntests:")[0].replace("first_response: 1h", "first_response: 5m")
    assert (await put(admin, text)).status_code == 200
    await room.hear(message("Anybody?", at=after(minutes=1)))
    now = (await admin.get(f"/v1/cases/{case.id}/decisions")).json()["items"]
    assert now[: len(before)] == before
    assert {item["policy_version"] for item in before} == {1}
    assert {item["policy_version"] for item in now[len(before) :]} == {2}
    assert before[0]["policy"] == "/v1/policy/versions/1"
    assert (await admin.get(before[0]["policy"])).text == TEXT
    routing = before[0]
    assert (routing["kind"], routing["rule"]) == ("routing", "tracking")
    assert [(trial["name"], trial["matched"]) for trial in routing["trail"]] == [
        ("missed call", False), ("damage", False), ("tracking", True),
    ]  # fmt: skip
    assert all("is false" in trial["why"] for trial in routing["trail"][:2])
    assert routing["inputs"]["channel"] == "whatsapp"
    assert "1h in `office` from Tue 10:00 = Tue 11:00" in before[1]["words"]
    clocks = (await admin.get(f"/v1/cases/{case.id}", params={"history": True})).json()
    assert [(d["metric"], d["state"], d["policy_version"]) for d in clocks["deadlines"]] == [
        ("first_response", "superseded", 1),
        ("resolution", "running", 1),
        ("first_response", "running", 2),
    ]


async def test_claims_transfers_and_switches_say_why(admin: httpx.AsyncClient, room: Room) -> None:
    row = "  - {from: whatsapp, to: email, product: claims, reasons: [agent]}\n"
    first = "  - {from: whatsapp, to: phone"
    assert (await put(admin, TEXT.replace(first, row + first, 1))).status_code == 200
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    url = f"/v1/cases/{case.id}"
    await admin.post(f"{url}/claim")
    before = (await admin.get(f"{url}/decisions")).json()["items"]
    offers: tuple[dict[str, Any], ...] = (
        {"to_team": "frontdesk"},
        {"to_channel": "email", "address": "ada@example.org"},
    )
    for offer in offers:
        answer = await admin.post(f"{url}/handoffs", json={"reason": "agent", **offer})
        assert answer.status_code == 201, answer.text
    claim = before[-1]
    assert (claim["kind"], claim["rule"]) == ("assignment", "claim_lease")
    assert claim["words"] == "claimed by kim until 2026-11-17 09:30 UTC"
    found = (await admin.get(f"{url}/decisions")).json()["items"][len(before) :]
    transfer, switch = [item for item in found if item["kind"] in ("transfer", "switch")]
    assert transfer["rule"] == "parcels to frontdesk"
    assert "on offer until 2026-11-17 13:00 UTC" in transfer["words"]
    assert [(trial["matched"], trial["why"]) for trial in switch["trail"]] == [
        (False, "only for product claims, not parcels"),
        (True, "permits it for reason `agent`"),
    ]
    assert {item["policy"] for item in found} == {"/v1/policy/versions/2"}


async def test_a_policy_is_read_once_a_version(room: Room, admin: httpx.AsyncClient) -> None:
    other = await second(room)
    before = reads()
    assert (await put(admin, OTHER)).status_code == 200
    await room.hear(message(sender=stranger(1)))
    policies, change = room.handlers.policies, Change("kim", "", 2)
    checks = Checks(policies.accounts, Guard(), room.engine, policies.turns)
    changes = Changes(policies, checks)
    candidate = await changes.check(OTHER + "# 3\n", change)
    async with transaction(room.engine) as connection:
        await changes.store(connection, candidate, change, "api")
    await room.hear(message(sender=stranger(9)))
    assert reads() == before, "checked there, and not read again, whoever comes first"
    assert {version for _, version in await named(room)} == {2, 3}
    await asyncio.gather(*(other.hear(message(sender=stranger(n))) for n in range(2, 9)))
    assert reads() == before + 1, "once, though seven batches met it at once"
    assert [version for _, version in await named(room)][2:] == [3] * 7


async def test_a_version_nobody_can_read_leaves_the_one_in_force(
    room: Room, admin: httpx.AsyncClient
) -> None:
    for text in ("of a later release: 1", OTHER, "of a later release: 2"):
        await room.rows(
            "INSERT INTO policies (version, source, sha256, author, reason, origin) SELECT "
            "max(version) + 1, :text, md5(:text), 'x', '', 'api' FROM policies RETURNING version",
            text=text,
        )
    for number in range(3):
        await room.hear(message(sender=stranger(number)))
    assert await named(room) == [("parcel news", 3)] * 3, "the newest one that it can read"
    assert b"regie_policy_version 3.0" in generate_latest(METRICS)
    assert b"regie_policy_unreadable_version 4.0" in generate_latest(METRICS)
    listed = (await admin.get("/v1/policy/versions")).json()["items"]
    assert [item["version"] for item in listed if item["in_force"]] == [3]
    shown = await admin.get("/v1/policy/versions/4")
    assert shown.text == "of a later release: 2"
    started = Policies(room.engine, room.runtime.accounts.channels())
    await started.load("")
    assert started.current.version == 3, "a start falls back as well"
    back = await admin.post("/v1/policy/rollback", json={"version": 3})
    assert back.json()["version"] == 5, "for every program, not only for this one"
    assert b"regie_policy_unreadable_version 0.0" in generate_latest(METRICS)


async def test_a_restart_changes_nothing_unless_the_file_did(
    room: Room, admin: httpx.AsyncClient, tmp_path: Path
) -> None:
    assert (await put(admin, OTHER)).status_code == 200
    restarted = Policies(room.engine, room.runtime.accounts.channels())
    await restarted.load(str(EXAMPLE))
    assert restarted.current.version == 2
    file = tmp_path / "policy.yaml"
    file.write_text(TEXT + "# edited\n", "utf-8")
    await restarted.load(str(file))
    assert restarted.current.version == 3
    await room.hear(message())
    assert await named(room) == [("tracking", 3)]


# --- going back ------------------------------------------------------------------------------


async def test_a_rollback_is_one_call_and_a_new_version(
    room: Room, admin: httpx.AsyncClient
) -> None:
    assert (await put(admin, OTHER)).status_code == 200
    body = {"version": 1, "reason": "it was wrong"}
    back = await admin.post("/v1/policy/rollback", json=body)
    assert (back.status_code, back.headers["etag"]) == (200, '"3"')
    assert (back.json()["origin"], back.json()["reason"]) == ("rollback", "it was wrong")
    await room.hear(message())
    assert await named(room) == [("tracking", 3)]
    assert (await admin.get("/v1/policy")).text == TEXT
    again = await admin.post("/v1/policy/rollback", json=body)
    assert (again.json()["changed"], again.json()["version"]) == (False, 3)
    missing = await admin.post("/v1/policy/rollback", json={"version": 9})
    assert missing.status_code == 404
    late = await admin.post("/v1/policy/rollback", json={"version": 2}, headers={"If-Match": '"2"'})
    assert (late.status_code, late.json()["version"]) == (412, 3)


async def test_a_version_that_does_not_fit_any_more_is_refused_with_why(
    room: Room, admin: httpx.AsyncClient
) -> None:
    assert (await put(admin, OTHER)).status_code == 200
    accounts = room.runtime.accounts.channels()
    room.handlers.policies.accounts = {
        name: channel for name, channel in accounts.items() if name != "support-mail"
    }
    with_others = httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(room.runtime, routers(room.handlers))),
        base_url="http://regie",
        headers=admin.headers,
    )
    async with with_others as http:
        refused = await http.post("/v1/policy/rollback", json={"version": 1})
    assert (refused.status_code, refused.json()["name"]) == (422, "policy-invalid")
    [error] = refused.json()["errors"]
    assert error["field"] == "reply_from.email"
    assert (await admin.get("/v1/policy")).headers["etag"] == '"2"'


# --- under load ------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_batch_that_meets_a_switch_happens_wholly_after_it(
    room: Room, database_url: str, moment: str
) -> None:
    """The switch comes as the batch looks at its watch: just after it, or just before."""
    switches: list[datetime] = []

    def now() -> datetime:
        seen = utc_now()
        if not switches:
            switches.append(in_thread(store_elsewhere(database_url)))
        return seen if moment == "before" else utc_now()

    handlers = replace(room.handlers, runtime=replace(room.runtime, now=now))
    async with transaction(room.engine) as connection:
        await handlers.on_messages(connection, room.received([message(at=utc_now())]))
    rows = await room.rows("SELECT policy_version, at FROM decisions WHERE kind = 'routing'")
    assert [row.policy_version for row in rows] == [2]
    assert rows[0].at > switches[0], "a case is never older than the version that opened it"


def in_thread(work: Coroutine[Any, Any, datetime]) -> datetime:
    """As another process would do it, while this one stands still."""
    with ThreadPoolExecutor() as pool:
        return pool.submit(asyncio.run, work).result()


async def store_elsewhere(url: str) -> datetime:
    """Puts a version in force; the moment it began."""
    engine, begun = connect(url), utc_now()
    async with transaction(engine) as connection:
        await versions.store(connection, OTHER, origin="api", author="kim", reason="")
    await engine.dispose()
    return begun


SWITCHES = 6


async def test_a_switch_under_load_counts_out(room: Room, admin: httpx.AsyncClient) -> None:
    """Each case names one version, and the times of all cases and all switches agree."""
    runtime = replace(room.runtime, now=utc_now)
    one, two = [
        replace(each, handlers=replace(each.handlers, runtime=runtime))
        for each in (room, await second(room))
    ]
    numbers, over = count(1), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for each in (one, one, two, two):
            tasks.create_task(open_cases(each, numbers, over))
        spans = await switched(room, admin)
        over.set()

    rows = await room.rows(
        "SELECT case_id, rule, policy_version AS version, at FROM decisions WHERE kind = 'routing'"
    )
    assert len(rows) == len({row.case_id for row in rows}) == next(numbers) - 1
    for row in rows:
        assert row.rule == ("tracking" if row.version == 1 else f"tracking {row.version}")
        begun, ended = spans.get(row.version), spans.get(row.version + 1)
        assert begun is None or row.at > begun[0], "opened before the switch to it had begun"
        assert ended is None or row.at < ended[1], "opened after the switch from it had ended"
    mixed = await room.rows(
        "SELECT case_id FROM deadlines GROUP BY case_id HAVING count(DISTINCT policy_version) <> 1"
    )
    assert mixed == [], "all of a case's clocks come from the version that opened it"


async def open_cases(room: Room, numbers: Iterator[int], over: asyncio.Event) -> None:
    """Batch after batch of strangers' first messages."""
    while not over.is_set():
        batch = [message(at=utc_now(), sender=stranger(next(numbers))) for _ in range(5)]
        async with transaction(room.engine) as connection:
            await room.handlers.on_messages(connection, room.received(batch))


async def switched(room: Room, admin: httpx.AsyncClient) -> dict[int, tuple[datetime, datetime]]:
    """Puts one version after another in force, each once the one before has decided something;
    when each PUT began and ended."""
    spans: dict[int, tuple[datetime, datetime]] = {}
    for version in range(2, SWITCHES + 2):
        await until(partial(decided, room, version - 1))
        begun = utc_now()
        text = TEXT.replace("name: tracking,", f"name: tracking {version},")
        assert (await put(admin, text, seen=version - 1)).status_code == 200
        spans[version] = (begun, utc_now())
    await until(partial(decided, room, SWITCHES + 1))
    return spans


async def decided(room: Room, version: int) -> bool:
    query = "SELECT count(*) FROM decisions WHERE policy_version = :version"
    return bool((await room.rows(query, version=version))[0][0] >= 40)


def reads() -> float:
    """How many stored versions this test's processes have read so far."""
    return METRICS.get_sample_value("regie_policy_reads_total") or 0.0


# --- one check at a time ---------------------------------------------------------------------


async def test_those_who_wait_to_be_checked_hold_no_connection(
    room: Room, admin: httpx.AsyncClient
) -> None:
    """More of them than the database has connections for."""
    turns, asking = room.handlers.policies.turns, 25
    turns.most = 60
    async with asyncio.TaskGroup() as group, turns.turn():
        puts = [group.create_task(put(admin, f"{OTHER}# {n}\n")) for n in range(asking)]
        back = group.create_task(admin.post("/v1/policy/rollback", json={"version": 1}))
        trial = group.create_task(admin.post("/v1/policy/dry-run", content=OTHER))
        await until(lambda: _waiting(room, asking + 2))
        assert (await admin.get("/v1/inbox")).status_code == 200
        for task in (*puts[1:], back, trial):
            task.cancel()
    assert puts[0].result().status_code == 200
    assert turns.waiting == 0


async def _waiting(room: Room, number: int) -> bool:
    return room.handlers.policies.turns.waiting == number


async def test_who_waited_too_long_is_told_to_come_again(
    room: Room, admin: httpx.AsyncClient
) -> None:
    turns = room.handlers.policies.turns
    turns.most = 0.01
    async with turns.turn():
        answer = await put(admin, OTHER)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    assert "nothing was changed, try again" in answer.json()["detail"]


async def test_a_repeat_is_answered_without_another_check(
    room: Room, admin: httpx.AsyncClient
) -> None:
    keyed = {"Idempotency-Key": "once"}
    first = await put(admin, OTHER, headers=keyed)
    async with room.handlers.policies.turns.turn():
        again = await put(admin, OTHER, headers=keyed)
    assert (first.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
