"""`regie doctor` against a Regie that serves, with providers that are right, wrong and away."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.ingest import service as ingest
from services.notifier.service import service as notifier
from services.router.service import service as router
from shared import activity
from shared.accounts import Accounts, load_accounts
from shared.activity import Gone
from shared.api_keys import Grant
from shared.channels.hooks import prepared
from shared.database import transaction
from shared.ops import dead_letter_subscription
from shared.ops.examining import Examiner
from shared.runtime import Runtime, Service
from tests.command import said
from tests.doors import ADMIN, Door, make_runtime, open_door
from tests.e2e.process import free_port
from tests.fakes.telnyx import FakeTelnyx
from tests.fakes.twilio import FakeTwilio
from tests.fakes.vonage import FakeVonage
from tests.loopback import serving
from tests.waiting import until

HOST = "https://regie.example.org"
TOKEN = FakeTwilio.auth_token
META_TOKEN = "a-token-that-meta-quotes"
RIGHT = """
  right:
    {{channel: sms, provider: twilio, number: "+3197010000001", account_sid: {sid},
      auth_token: {token}, public_url: "{host}", api_base: "{twilio}"}}
"""
ACCOUNTS = """
accounts:
{right}
  wrong-token: {{channel: sms, provider: telnyx, number: "+3197010000002", public_key: k,
    api_key: KEY-not-theirs, public_url: "{host}", api_base: "{telnyx}"}}
  not-subscribed: {{channel: sms, provider: vonage, number: "+3197010000003",
    signature_secret: s, api_key: abcd1234, api_secret: Secret-of-vonage, public_url: "{host}",
    api_base: "{vonage}"}}
  unreachable: {{channel: messenger, provider: meta, page_id: "1", app_secret: s, verify_token: v,
    access_token: {meta_token}, api_base: "{nobody}"}}
  quoting: {{channel: messenger, provider: meta, page_id: "2", app_secret: t, verify_token: v,
    access_token: {meta_token}, api_base: "{quoting}"}}
  never-heard-of: {{channel: portal, provider: generic}}
  dumb: {{channel: whatsapp, provider: meta, phone_number_id: "3", app_secret: u,
    verify_token: v, api_base: "{quoting}"}}
"""


def twilio() -> FakeTwilio:
    url = f"{HOST}/webhooks/right"
    return FakeTwilio(
        numbers=[{"phone_number": "+3197010000001", "sms_url": url, "sms_method": "POST"}]
    )


async def _quotes(request: Request) -> Response:
    """What some providers do with a key that they do not know."""
    given = request.headers["authorization"]
    error = {"message": f"{given} is no token", "code": 190, "type": "OAuthException"}
    return JSONResponse({"error": error}, 401)


QUOTING = Starlette(routes=[Route("/{path:path}", _quotes)])


@asynccontextmanager
async def providers() -> AsyncIterator[dict[str, str]]:
    """Their addresses, by the names that ACCOUNTS has for them."""
    vonage = FakeVonage(
        numbers=[{"msisdn": "3197010000003", "moHttpUrl": "https://elsewhere.test/"}]
    )
    async with AsyncExitStack() as stack:
        fakes = {"twilio": twilio().app, "telnyx": FakeTelnyx().app, "vonage": vonage.app,
                 "quoting": QUOTING}  # fmt: skip
        found = {name: await stack.enter_async_context(serving(app)) for name, app in fakes.items()}
        yield found | {"nobody": f"http://127.0.0.1:{free_port()}"}


def accounts(given: str, **places: str) -> Accounts:
    fields = {"sid": FakeTwilio.account_sid, "token": TOKEN, "host": HOST, "meta_token": META_TOKEN}
    right = RIGHT.format(**fields, **places)
    return load_accounts(given.format(right=right, **fields, **places), "channels.yaml", {})


def whole(runtime: Runtime) -> list[Service]:
    letters = Service("dead-letters", subscriptions=(dead_letter_subscription(runtime),))
    return [ingest(runtime), router(runtime), notifier(runtime), letters]


def environment(door: Door, key: str = ADMIN) -> dict[str, str]:
    return {"REGIE_URL": str(door.http.base_url), "REGIE_KEY": key}


async def heard(door: Door, *names: str) -> None:
    async with transaction(door.runtime.engine) as connection:
        await activity.came_in(connection, [(name, datetime.now(UTC)) for name in names])


async def beating(door: Door) -> None:
    """Until a heartbeat went the whole way."""

    async def through() -> bool:
        return bool(await door.rows("SELECT 1 FROM heartbeats"))

    await until(through)


@pytest.fixture
async def door(database_url: str, tmp_path: Path) -> AsyncIterator[Door]:
    """With one account of each kind of trouble."""
    async with providers() as places:
        given = accounts(ACCOUNTS, **places)
        runtime = replace(make_runtime(database_url, tmp_path), accounts=given)
        async with open_door(runtime, [replace(ingest(runtime), tasks={})]) as door:
            yield door


def wrong(account: dict[str, Any]) -> dict[str, str]:
    return {each["what"]: each["advice"] for each in account["findings"] if not each["ok"]}


async def test_each_account_is_told_what_is_wrong(door: Door) -> None:
    await heard(door, "right", "wrong-token", "not-subscribed", "unreachable", "quoting", "dumb")
    status, words = await said("doctor", "--json", env=environment(door))
    assert status == 1
    found = {each["name"]: each for each in json.loads(words)["accounts"]}
    seen = {
        name: (each["configured"], each["reachable"], each["subscribed"], each["ok"])
        for name, each in found.items()
    }
    assert seen == {
        "right": (True, True, True, True),
        "wrong-token": (True, True, None, False),
        "not-subscribed": (True, True, False, False),
        "unreachable": (True, False, None, False),
        "quoting": (True, True, None, False),
        "never-heard-of": (True, None, None, False),
        "dumb": (False, None, None, False),
    }
    assert "compare it" in wrong(found["wrong-token"])["api_key"]
    assert f"{HOST}/webhooks/not-subscribed" in wrong(found["not-subscribed"])["webhook address"]
    assert "ConnectError" in wrong(found["unreachable"])["known to Meta"]
    assert "/webhooks/never-heard-of" in wrong(found["never-heard-of"])["something came in"]
    assert "access_token" in wrong(found["dumb"])["can reply"]
    assert all(all(wrong(each).values()) for each in found.values()), "what to do is always told"
    assert all(wrong(each) for each in found.values() if not each["ok"])


async def test_no_secret_is_shown_whoever_quotes_it(door: Door) -> None:
    _, words = await said("doctor", "--json", env=environment(door))
    assert "*** is no token" in words
    for secret in (META_TOKEN, TOKEN, "KEY-not-theirs", "Secret-of-vonage"):
        assert secret not in words


async def test_one_account_alone(door: Door) -> None:
    await heard(door, "right")
    env = environment(door)
    status, words = await said("doctor", "right", env=env)
    assert status == 0, words
    assert "webhook address: ok" in words
    assert "not-subscribed" not in words
    status, words = await said("doctor", "not-subscribed", env=env)
    assert status == 1
    assert f"to paste at the provider: {HOST}/webhooks/not-subscribed" in words
    status, words = await said("doctor", "none", env=env)
    assert (status, "there is no account none" in words) == (2, True)


async def test_a_table_for_people(door: Door) -> None:
    await heard(door, "right")
    _, words = await said("doctor", env=environment(door))
    lines = [line for line in words.splitlines() if " by " in line]
    rows = {line.split()[0]: line for line in lines}
    assert re.search(r"sms by twilio +yes +yes +yes +\d+ s ago +never", rows["right"])
    assert re.search(r"portal by generic +yes +\? +\? +never +-", rows["never-heard-of"])


async def test_who_may_ask(door: Door) -> None:
    agent = await door.key(Grant("agent", agent="jo"))
    for method, path in (
        ("GET", "/ops/accounts?examine=true"),
        ("POST", "/ops/accounts/right/examine"),
        ("GET", "/ops/installation"),
    ):
        assert (await door.http.request(method, path)).status_code == 401
        assert (await door.http.request(method, path, headers=agent)).status_code == 403
    status, words = await said("doctor", env=environment(door, "wrong"))
    assert (status, "REGIE_KEY" in words) == (2, True)


async def test_where_no_regie_is(tmp_path: Path) -> None:
    env = {"REGIE_URL": f"http://127.0.0.1:{free_port()}", "REGIE_KEY": ADMIN}
    assert (await said("doctor", env=env))[0] == 2


async def test_without_being_asked_the_providers_are_left_alone(door: Door) -> None:
    await heard(door, "right")
    answer = await door.http.get("/ops/accounts", headers=door.headers)
    [right] = [each for each in answer.json()["items"] if each["name"] == "right"]
    assert right["last_in"].endswith("Z")
    assert right["webhook_address"] == f"{HOST}/webhooks/right"
    assert "findings" not in right


# --- the whole installation --------------------------------------------------------------------


async def test_all_is_well(database_url: str, tmp_path: Path) -> None:
    async with serving(twilio().app) as base:
        runtime = make_runtime(database_url, tmp_path)
        runtime = replace(
            runtime,
            accounts=accounts("accounts:\n{right}", twilio=base),
            settings=runtime.settings.model_copy(update={"public_url": HOST}),
        )
        async with open_door(runtime, whole(runtime)) as door:
            await heard(door, "right")
            await beating(door)
            status, words = await said("doctor", env=environment(door))
            assert status == 0, words
            assert "the installation is whole: " in words
            for what in ("database", "policy", "log", "blob store", "group regie.router",
                         "router and notifier at work", "REGIE_PUBLIC_URL"):  # fmt: skip
                assert what in words


async def test_what_an_installation_lacks(door: Door) -> None:
    async with transaction(door.runtime.engine) as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    answer = await door.http.get("/ops/installation", headers=door.headers)
    found = {each["what"]: each for each in answer.json()["items"]}
    lacking = {what: each["advice"] for what, each in found.items() if not each["ok"]}
    assert lacking.keys() == {
        "database", "policy", "router and notifier at work", "REGIE_PUBLIC_URL",
    }  # fmt: skip
    assert "regie migrate" in lacking["database"]
    assert "right" in lacking["REGIE_PUBLIC_URL"]
    assert found["log"]["ok"]
    assert found["blob store"]["ok"]


# --- what its past tells -----------------------------------------------------------------------


async def test_replies_that_do_not_leave(door: Door) -> None:
    now = datetime.now(UTC)

    async def gone(*what: Gone) -> dict[str, str]:
        async with transaction(door.runtime.engine) as connection:
            await activity.went_out(connection, what)
        path = "/ops/accounts/right/examine"
        return wrong((await door.http.post(path, headers=door.headers)).json())

    await heard(door, "right")
    told = await gone(Gone("right", now, "token", f"{TOKEN} has expired"))
    assert told["replies leave"] == "the last one did not leave: token: *** has expired"
    # one person's number says nothing of the account
    assert await gone(Gone("right", now + timedelta(seconds=1), "invalid_recipient", "gone")) == {}
    assert "replies leave" in await gone(Gone("right", now + timedelta(seconds=2), "token", "x"))
    assert await gone(Gone("right", now + timedelta(seconds=3))) == {}, "it went well since"


async def test_a_clock_that_is_wrong(database_url: str, tmp_path: Path) -> None:
    inner = twilio().app

    async def ahead(scope: Any, receive: Any, send: Any) -> None:
        async def dated(part: Any) -> None:
            if part["type"] == "http.response.start":
                date = format_datetime(datetime.now(UTC) + timedelta(minutes=3), usegmt=True)
                part["headers"] = [*part["headers"], (b"date", date.encode())]
            await send(part)

        await inner(scope, receive, dated)

    async with serving(ahead, dated=False) as base:
        examined = await _right_by(base, database_url, tmp_path)
    [finding] = [each for each in examined.findings if not each.ok]
    assert finding.what == "clocks agree"
    assert re.search(r"our clock is 1(79|80) s behind theirs", finding.advice)


async def test_a_provider_that_says_nothing(database_url: str, tmp_path: Path) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async with serving(silent) as base:
        examined = await _right_by(base, database_url, tmp_path, bound=0.2)
    assert examined.reachable is False
    [finding] = [each for each in examined.findings if not each.ok]
    assert "no answer within 0.2 s" in finding.advice


async def _right_by(base: str, url: str, folder: Path, bound: float = 15.0) -> Any:
    runtime = make_runtime(url, folder)
    runtime = replace(runtime, accounts=accounts("accounts:\n{right}", twilio=base))
    try:
        ready = [prepared(each, runtime.accounts, "") for each in runtime.accounts]
        return (await Examiner(runtime, bound).examine(ready))["right"]
    finally:
        await runtime.engine.dispose()
