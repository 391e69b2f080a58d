"""The doors of a switch and of a partner: the resume page, codes told to agents, partner links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from services.ingest import resume
from services.ingest.intake import Intake
from services.router import commands as cmd
from services.router import partners
from services.router.api import routers
from shared import codes
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.events import MessageReceived
from shared.topics import MESSAGES_RECEIVED
from shared.web.app import make_app
from tests.builders import EXAMPLE, after, mail, message
from tests.rooms import Room, make_room

CODE = codes.written(0x12_3456_789A)


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    await room.hear(message("Where is my parcel?"))
    yield room
    await room.engine.dispose()


@pytest.fixture
async def page(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    """A customer's browser: no key."""
    intake = Intake(room.runtime.broker, room.runtime.blobs, room.clock)
    app = make_app(room.runtime, [resume.routes(room.runtime, intake), *routers(room.handlers)])
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 4711))
    await room.runtime.broker.start()
    async with httpx.AsyncClient(transport=transport, base_url="http://regie") as client:
        yield client
    await room.runtime.broker.stop()


async def agent(room: Room) -> dict[str, str]:
    async with transaction(room.engine) as connection:
        key = await create(connection, Grant(role="agent", agent="jo"))
    return {"Authorization": f"Bearer {key}"}


async def only_case(room: Room) -> UUID:
    rows = await room.rows("SELECT id FROM cases ORDER BY opened_at, id")
    return UUID(str(rows[0][0]))


async def offer(room: Room, channel: Any, **more: Any) -> UUID:
    command = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel=channel, code=CODE, invitation_id=uuid4(),
        way=room.handlers.offers.way(channel), senders=room.handlers.senders, **more,
    )  # fmt: skip
    await room.tell(await only_case(room), command)
    return command.handoff_id


async def pass_on(room: Room) -> list[MessageReceived]:
    """What the page wrote to the topic, handed to the router."""
    rows = await room.rows(
        "SELECT value FROM log_record WHERE topic = :topic "
        "AND convert_from(value, 'UTF8')::json ->> 'type' = 'message.received'",
        topic=MESSAGES_RECEIVED,
    )
    messages = [msgspec.json.decode(bytes(row.value), type=MessageReceived) for row in rows]
    await room.hear(*messages)
    return messages


# --- the resume page -------------------------------------------------------------------------


async def test_looking_shows_where_to_go_on_and_spends_nothing(
    room: Room, page: httpx.AsyncClient
) -> None:
    await offer(room, "phone")
    answers = [await page.get(f"/v1/resume/{CODE}") for _ in range(3)]
    shown = answers[-1].json()
    assert shown["state"] == "open"
    assert shown["channel"] == "phone"
    assert shown["digits"] == codes.spoken(CODE)
    assert shown["subject"] == "Where is my parcel?"
    assert (await room.rows("SELECT redeemed_at FROM resume_codes"))[0][0] is None


async def test_asking_for_a_call_on_the_page_goes_on_with_the_case(
    room: Room, page: httpx.AsyncClient
) -> None:
    await offer(room, "phone", address="+31612345678")
    answer = await page.post(f"/v1/resume/{CODE}", json={"phone": "+31 6 1234 5678"})
    assert answer.status_code == 202
    (message,) = await pass_on(room)
    assert (message.kind, message.channel) == ("callback_requested", "phone")
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "accepted"
    assert (await room.rows("SELECT count(*), max(channel) FROM cases"))[0] == (1, "phone")
    assert (await page.get(f"/v1/resume/{CODE}")).json()["state"] == "spent"
    again = await page.post(f"/v1/resume/{CODE}", json={"phone": "+31612345678"})
    assert (again.status_code, again.json()["name"]) == (409, "code-spent")


async def test_words_on_the_page_join_the_case_marked(
    room: Room, page: httpx.AsyncClient, tmp_path: Path
) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    file = tmp_path / "policy.yaml"
    file.write_text(text.replace("{from: whatsapp, to: phone,", "{from: whatsapp, to: portal,"))
    await room.handlers.policies.load(str(file))
    await offer(room, "portal")
    answer = await page.post(f"/v1/resume/{CODE}", json={"text": "Here I am", "name": "Ada"})
    assert answer.status_code == 202
    await pass_on(room)
    rows = await room.rows("SELECT marked, case_id FROM messages WHERE channel = 'portal'")
    assert [(row.marked, row.case_id) for row in rows] == [
        ("code_from_elsewhere", await only_case(room))
    ]


async def test_the_page_sends_people_to_the_channel_of_the_code(
    room: Room, page: httpx.AsyncClient
) -> None:
    await offer(room, "email")
    refused = await page.post(f"/v1/resume/{CODE}", json={"text": "hello"})
    assert refused.status_code == 409
    assert "support@example.org" in refused.json()["detail"] or "email" in refused.json()["detail"]


async def test_five_wrong_codes_an_hour_and_no_more(room: Room, page: httpx.AsyncClient) -> None:
    await offer(room, "phone")
    for n in range(5):
        assert (await page.get(f"/v1/resume/R-0000-000{n}")).status_code == 404
    assert (await page.get(f"/v1/resume/{CODE}")).status_code == 429
    room.clock.at = after(hours=2)
    assert (await page.get(f"/v1/resume/{CODE}")).status_code == 200


async def test_nothing_to_say_is_nothing_to_send(room: Room, page: httpx.AsyncClient) -> None:
    await offer(room, "phone")
    refused = await page.post(f"/v1/resume/{CODE}", json={"text": "no number"})
    assert refused.status_code == 422
    assert "phone" in refused.json()["detail"]
    assert (await room.rows("SELECT redeemed_at FROM resume_codes"))[0][0] is None


# --- a code told on the telephone ------------------------------------------------------------


@pytest.mark.parametrize("told", [CODE, codes.spoken(CODE), CODE.lower().replace("-", " ")])
async def test_an_agent_accepts_with_the_code_that_was_told(
    room: Room, page: httpx.AsyncClient, told: str
) -> None:
    handoff = await offer(room, "phone")
    key = await agent(room)
    url = f"/v1/handoffs/{handoff}/accept"
    without = await page.post(url, headers=key)
    assert (without.status_code, without.json()["name"]) == (409, "customer-accepts")
    wrong = await page.post(url, headers=key, json={"code": "R-0000-0001"})
    assert (wrong.status_code, wrong.json()["name"]) == (422, "wrong-code")
    assert (await page.post(url, headers=key, json={"code": told})).status_code == 200
    row = (await room.rows("SELECT state, ended_by FROM handoffs"))[0]
    assert row == ("accepted", "jo")
    assert (await room.rows("SELECT redeemed_at FROM resume_codes"))[0][0] is not None


async def test_digits_keyed_in_on_the_phone_join_the_case(room: Room) -> None:
    await offer(room, "phone", address="+31612345678")
    call = message(
        "", channel="phone", account="desk-phone", kind="call_missed", reply_window_closes_at=None,
        at=after(minutes=3), attributes={"digits": codes.digits(CODE)},
    )  # fmt: skip
    await room.hear(call)
    assert (await room.rows("SELECT count(*) FROM cases"))[0][0] == 1
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "accepted"


# --- the pack, and partners ------------------------------------------------------------------


async def test_the_pack_tells_what_was_said_and_promised(room: Room) -> None:
    case = await only_case(room)
    await room.hear(message("It is urgent.", at=after(minutes=2)))
    await room.tell(case, cmd.OfferHandoff(uuid4(), "jo", "agent", to_team="frontdesk"))
    (pack,) = (await room.rows("SELECT pack FROM handoffs"))[0]
    assert [line["text"] for line in pack["conversation"]] == [
        "Where is my parcel?",
        "It is urgent.",
    ]
    assert pack["due_metric"] == "first_response"
    assert {deadline["metric"] for deadline in pack["deadlines"]} == {
        "first_response",
        "resolution",
    }
    assert pack["waiting_since"] is not None


async def to_partner(room: Room) -> str:
    token = partners.drawn()
    offered = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_team="carrier", partner_token=token,
        answer_url=partners.link("https://regie.example.org", token),
    )  # fmt: skip
    await room.tell(await only_case(room), offered)
    return token


async def test_a_partner_reads_accepts_and_answers_by_link(
    room: Room, page: httpx.AsyncClient
) -> None:
    token = await to_partner(room)
    url = f"/v1/partner/{token}"
    shown = (await page.get(url)).json()
    assert shown["pack"]["conversation"][0]["text"] == "Where is my parcel?"
    assert (await page.post(url, json={"action": "accept"})).json()["state"] == "accepted"
    assert (await room.rows("SELECT team FROM cases"))[0][0] == "carrier"
    answer = {"action": "answer", "text": "It is in Utrecht."}
    assert (await page.post(url, json=answer)).status_code == 200
    assert (await room.rows("SELECT team FROM cases"))[0][0] == "parcels"
    notes = await room.rows("SELECT data ->> 'text' FROM case_events WHERE type = 'note.added'")
    assert [row[0] for row in notes] == ["It is in Utrecht."]
    again = await page.post(url, json=answer)
    assert (again.status_code, again.json()["name"]) == (409, "not-yours")


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
async def test_a_partner_sends_only_what_json_can_write(
    room: Room, page: httpx.AsyncClient, number: str
) -> None:
    url = f"/v1/partner/{await to_partner(room)}"
    await page.post(url, json={"action": "accept"})
    body = '{"action": "answer", "results": [{"name": "weight", "data": {"kg": 0}}]}'
    body = body.replace("0", number)
    headers = {"Content-Type": "application/json"}
    refused = await page.post(url, content=body, headers=headers)
    assert (refused.status_code, refused.json()["name"]) == (422, "invalid")
    assert "number" in refused.json()["detail"]
    broken = await page.post(url, content=body[:-3], headers=headers)
    assert (broken.status_code, broken.json()["name"]) == (422, "not-json")
    lone = '{"action": "answer", "text": "Cut \\ud83d\\u0000 short"}'
    assert (await page.post(url, content=lone, headers=headers)).status_code == 200
    notes = await room.rows("SELECT data ->> 'text' FROM case_events WHERE type = 'note.added'")
    assert [row[0] for row in notes] == ["Cut  short"]


async def test_a_partner_declines_on_the_page_without_script(
    room: Room, page: httpx.AsyncClient
) -> None:
    token = await to_partner(room)
    html = {"Accept": "text/html"}
    shown = await page.get(f"/v1/partner/{token}", headers=html)
    assert "<script" not in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    form = {"action": "decline", "text": "not ours"}
    assert (await page.post(f"/v1/partner/{token}", data=form, headers=html)).status_code == 200
    row = (await room.rows("SELECT state, ended_by, ended_why FROM handoffs"))[0]
    assert row == ("declined", "partner:carrier", "not ours")


async def test_a_link_is_for_one_handoff_and_no_other(room: Room, page: httpx.AsyncClient) -> None:
    await to_partner(room)
    assert (await page.get(f"/v1/partner/{partners.drawn()}")).status_code == 404


async def test_the_history_forgets_the_link(room: Room) -> None:
    token = await to_partner(room)
    stored = await room.rows("SELECT data::text FROM case_events")
    assert not any(token in row[0] for row in stored)


async def test_words_of_customers_are_escaped_on_the_page(
    room: Room, page: httpx.AsyncClient
) -> None:
    await room.hear(message("<img src=x onerror=alert(1)>", at=after(minutes=1)))
    shown = await page.get(f"/v1/partner/{await to_partner(room)}", headers={"Accept": "text/html"})
    assert "<img" not in shown.text
    assert "&lt;img" in shown.text


# --- where a switch leads --------------------------------------------------------------------


async def to_mail(room: Room, page: httpx.AsyncClient, **more: Any) -> httpx.Response:
    body = {"to_channel": "email", "reason": "agent"} | more
    headers = await agent(room) | {"If-Match": await version(room)}
    return await page.post(
        f"/v1/cases/{await only_case(room)}/handoffs", json=body, headers=headers
    )


async def version(room: Room) -> str:
    return f'"{(await room.rows("SELECT version FROM cases"))[0][0]}"'


@pytest.mark.parametrize(
    ("address", "name"),
    [("support@example.org", "own-address"), ("no mail", ""), ("+31612345678", "")],
)
async def test_an_address_that_cannot_be_is_refused(
    room: Room, page: httpx.AsyncClient, address: str, name: str
) -> None:
    refused = await to_mail(room, page, address=address)
    assert refused.status_code == 422
    assert name in refused.json()["name"]


async def test_a_code_for_nobody_named_works_from_an_address_on_record(
    room: Room, page: httpx.AsyncClient
) -> None:
    await room.rows(
        "INSERT INTO identities (scheme, value, customer_id, verified) "
        "SELECT 'email', 'ada@example.org', customer_id, true FROM cases RETURNING value"
    )
    told = (await to_mail(room, page)).json()["code"]
    await room.hear(mail(f"Here I am: {told}", at=after(minutes=9)))
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "accepted"
    assert (await room.rows("SELECT channel FROM cases"))[0][0] == "email"


async def test_who_was_named_is_awaited_though_somebody_else_spent_the_code(
    room: Room, page: httpx.AsyncClient
) -> None:
    told = (await to_mail(room, page, address=" Ada@Example.org ")).json()["code"]
    await room.hear(mail(f"mine: {told}", at=after(minutes=8), address="eve@example.net"))
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "offered"
    await room.hear(mail(f"Here I am: {told}", at=after(minutes=9)))
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "accepted"


async def test_a_call_that_was_accepted_is_a_matter_of_the_telephone(
    room: Room, page: httpx.AsyncClient
) -> None:
    handoff = await offer(room, "phone", address="+31612345678")
    key = await agent(room)
    await page.post(f"/v1/handoffs/{handoff}/accept", headers=key, json={"code": CODE})
    listed = await page.get("/v1/inbox", params={"channel": "phone"}, headers=key)
    assert len(listed.json()["items"]) == 1


async def test_nobody_hands_a_case_to_themselves(room: Room, page: httpx.AsyncClient) -> None:
    headers = await agent(room) | {"If-Match": await version(room)}
    case = await only_case(room)
    body = {"to_team": "parcels"}
    refused = await page.post(f"/v1/cases/{case}/handoffs", json=body, headers=headers)
    assert (refused.status_code, refused.json()["name"]) == (409, "same-team")


async def test_a_switch_keeps_what_its_row_says_it_costs(room: Room) -> None:
    await room.hear(mail("My parcel arrived damaged", at=after(minutes=1)))
    (case,) = await room.rows("SELECT id FROM cases WHERE channel = 'email'")
    switch = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel="phone", code=CODE, invitation_id=uuid4(),
        way=room.handlers.offers.way("phone"), senders=room.handlers.senders,
    )  # fmt: skip
    await room.tell(case.id, switch)
    assert (await room.rows("SELECT cost FROM handoffs"))[0][0] == {"email": 1, "phone": 6}
