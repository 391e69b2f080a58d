"""The whole line, door to door: what a customer says, what an agent sees, what leaves."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiosmtplib
import httpx
import orjson
import pytest
from standardwebhooks import Webhook

from tests.e2e.doors import Doors, a_mail, meta_signature, whatsapp_message, whatsapp_status
from tests.e2e.process import attempts
from tests.e2e.town import Notified, Town

Client = httpx.AsyncClient


async def until(look: Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    """What `look` finds, as soon as it finds something."""
    found = None
    async for _ in attempts(seconds):
        found = await look()
        if found:
            return found
    raise AssertionError(f"nothing found within {seconds} s")


async def case_about(agent: Client, words: str, **filters: str) -> dict[str, Any]:
    async def look() -> Any:
        answer = await agent.get("/v1/inbox", params={"q": words, **filters})
        return answer.json()["items"]

    found: dict[str, Any] = (await until(look))[0]
    return found


async def case_state(agent: Client, id: str, state: str) -> dict[str, Any]:
    async def look() -> Any:
        case = (await agent.get(f"/v1/cases/{id}")).json()
        return case if case["state"] == state else None

    found: dict[str, Any] = await until(look)
    return found


async def reply(agent: Client, case: dict[str, Any], text: str) -> dict[str, Any]:
    await agent.post(f"/v1/cases/{case['id']}/claim")
    answer = await agent.post(f"/v1/cases/{case['id']}/replies", json={"text": text})
    assert answer.status_code == 202, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


async def test_a_whatsapp_message_is_answered_on_whatsapp(
    doors: Doors, agent: Client, town: Town
) -> None:
    number = "31600000101"
    assert (await doors.whatsapp("Where is parcel one-oh-one?", number)).status_code == 200
    case = await case_about(agent, "one-oh-one")
    assert (case["team"], case["due_metric"]) == ("parcels", "first_response")
    await reply(agent, case, "It is on its way")

    async def arrived() -> Any:
        return [sent for sent in town.meta.accepted if sent.get("to") == number]

    (sent,) = await until(arrived)
    assert sent["text"]["body"] == "It is on its way"
    answered = await case_state(agent, case["id"], "waiting_customer")
    clocks = {clock["metric"]: clock["state"] for clock in answered["deadlines"]}
    assert clocks["first_response"] == "met"
    assert clocks["resolution"] == "paused"

    line = (await agent.get(f"/v1/cases/{case['id']}/timeline")).json()["items"]
    ours = next(entry for entry in line if entry["direction"] == "out")
    provider_id = await _provider_id(agent, case["id"])
    await doors.meta(whatsapp_status(provider_id, "read"))
    await doors.meta(whatsapp_status(provider_id, "delivered"))

    async def was_read() -> Any:
        entries = (await agent.get(f"/v1/cases/{case['id']}/timeline")).json()["items"]
        return [e for e in entries if e["id"] == ours["id"] and e["state"] == "read"]

    await until(was_read)


async def _provider_id(agent: Client, case_id: str) -> str:
    line = (await agent.get(f"/v1/cases/{case_id}/timeline")).json()["items"]
    sent = [entry for entry in line if entry["type"] == "reply.sent"]
    found: str = sent[0]["data"]["provider_id"]
    return found


async def test_a_repeated_delivery_changes_nothing(doors: Doors, agent: Client) -> None:
    message = whatsapp_message("Only once, thanks", "31600000102")
    for _ in range(5):
        assert (await doors.meta(message)).status_code == 200
    case = await case_about(agent, "Only once")
    line = (await agent.get(f"/v1/cases/{case['id']}/timeline")).json()["items"]
    assert len([entry for entry in line if entry["type"] == "message"]) == 1


async def test_a_mail_is_threaded_and_answered_by_mail(
    doors: Doors, agent: Client, town: Town
) -> None:
    first = a_mail("My parcel two-oh-two is late", Subject="Late", sender="Bo <bo@example.org>")
    assert (await doors.mail(first)).status_code == 200
    case = await case_about(agent, "two-oh-two")
    assert case["subject"] == "Late"
    await reply(agent, case, "We are looking for it")

    async def arrived() -> Any:
        return [mail for mail in town.mails if "bo@example.org" in str(mail["To"])]

    (ours,) = await until(arrived)
    assert ours["Subject"] == "Re: Late"
    assert ours["In-Reply-To"] == first["Message-ID"]
    await case_state(agent, case["id"], "waiting_customer")
    again = a_mail(
        "Thank you", Subject="Re: Late", sender="Bo <bo@example.org>",
        In_Reply_To=str(ours["Message-ID"]),
    )  # fmt: skip
    await doors.mail(again)
    reopened = await case_state(agent, case["id"], "open")
    line = (await agent.get(f"/v1/cases/{reopened['id']}/timeline")).json()["items"]
    assert len([entry for entry in line if entry["direction"] == "in"]) == 2


async def test_the_smtp_door_takes_only_our_own_mail(agent: Client, town: Town) -> None:
    mail = a_mail("By the post room: three-oh-three", Subject="Post")
    port = town.ports["post"]
    where = {"hostname": "127.0.0.1", "port": port, "start_tls": False}
    await aiosmtplib.send(mail, sender="cy@example.org", recipients=["post@example.org"], **where)  # type: ignore[arg-type]
    assert (await case_about(agent, "three-oh-three"))["channel"] == "email"
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await aiosmtplib.send(mail, sender="a@b.c", recipients=["who@elsewhere.org"], **where)  # type: ignore[arg-type]


async def test_a_call_becomes_one_voicemail_and_its_outcome_answers(
    doors: Doors, agent: Client
) -> None:
    call = {"CallSid": "CA404", "From": "+31600000404"}
    ringing = await doors.call(**call, CallStatus="ringing")
    assert ringing.status_code == 200
    dial = re.search(r'<Dial[^>]*action="([^"]+)"', ringing.text)
    assert dial, ringing.text
    dialed = await doors.signed_call(
        _unescaped(dial[1]),
        {**call, "To": "+31880000000", "Direction": "inbound", "CallStatus": "in-progress",
         "DialCallStatus": "no-answer"},
    )  # fmt: skip
    record = re.search(r'<Record[^>]*action="([^"]+)"', dialed.text)
    assert record, dialed.text
    await doors.signed_call(
        _unescaped(record[1]),
        {**call, "To": "+31880000000", "Direction": "inbound", "RecordingSid": "RE1",
         "RecordingUrl": "https://api.example.org/RE1", "RecordingDuration": "12"},
    )  # fmt: skip
    await doors.call("/status", **call, CallStatus="completed", CallDuration="40")
    case = await _case_of(agent, "e164:+31600000404")
    line = (await agent.get(f"/v1/cases/{case['id']}/timeline")).json()["items"]
    calls = [entry for entry in line if entry["type"] == "message"]
    assert [entry["kind"] for entry in calls] == ["voicemail"]
    assert calls[0]["authentication"] == "asserted"
    await agent.post(f"/v1/cases/{case['id']}/claim")
    await agent.post(f"/v1/cases/{case['id']}/replies", json={"outcome": "no_answer"})
    assert (await agent.get(f"/v1/cases/{case['id']}")).json()["state"] == "open"
    await agent.post(f"/v1/cases/{case['id']}/replies", json={"outcome": "reached", "text": "ok"})
    await case_state(agent, case["id"], "waiting_customer")


def _unescaped(url: str) -> str:
    return url.replace("&amp;", "&")


async def _case_of(agent: Client, identity: str) -> dict[str, Any]:
    async def look() -> Any:
        items = (await agent.get("/v1/inbox", params={"limit": 200})).json()["items"]
        return [item for item in items if identity in item["customer"]["identities"]]

    found: dict[str, Any] = (await until(look))[0]
    return found


async def test_the_team_is_reminded_then_told_of_the_breach(
    doors: Doors, agent: Client, town: Town
) -> None:
    await doors.whatsapp("Please hurry with parcel five-oh-five", "31600000505")
    case = await case_about(agent, "five-oh-five")

    def about(type: str, path: str) -> list[Notified]:
        return [
            n for n in town.notified
            if n.path == path and orjson.loads(n.body)["type"] == type
            and orjson.loads(n.body)["data"]["case_id"] == case["id"]
        ]  # fmt: skip

    async def told() -> Any:
        return about("deadline.breached", "/parcels") and about("deadline.breached", "/supervisors")

    await until(told, 40)
    (reminder,) = about("deadline.warned", "/parcels")
    assert "five-oh-five" not in reminder.body.decode(), "no customer's words leave by webhook"
    secret = await _rotated(agent, "/parcels")
    fallback = (await agent.get(f"/v1/cases/{case['id']}")).json()
    assert (fallback["team"], fallback["priority"]) == ("frontdesk", "high")
    await doors.whatsapp("Please hurry with parcel five-oh-six", "31600000506")
    other = await case_about(agent, "five-oh-six")

    async def told_again() -> Any:
        return [n for n in town.notified if n.path == "/parcels" and other["id"] in str(n.body)]

    notified = (await until(told_again, 40))[0]
    assert Webhook(secret).verify(notified.body, notified.headers)


async def test_what_a_target_refuses_for_good_is_kept_and_goes_again(
    doors: Doors, agent: Client, town: Town
) -> None:
    town.gone.add("/claims")
    await doors.whatsapp("Please hurry with claim seven-oh-seven", "31600000707")

    async def kept() -> Any:
        letters = (await agent.get("/ops/dead-letters", params={"limit": 200})).json()["items"]
        return [letter for letter in letters if letter["topic"] == "deliveries"]

    letter = (await until(kept, 40))[0]
    assert "410" in letter["reason"]
    town.gone.clear()
    again = await agent.post(f"/ops/dead-letters/{letter['id']}/replay")
    assert again.status_code in (200, 202, 204), again.text

    async def arrived() -> Any:
        return [n for n in town.notified if n.path == "/claims"]

    await until(arrived)
    waiting = (await agent.get("/ops/dead-letters", params={"limit": 200})).json()["items"]
    assert letter["id"] not in [other["id"] for other in waiting]


async def _rotated(agent: Client, ending: str) -> str:
    targets = (await agent.get("/v1/targets")).json()["items"]
    (target,) = [t for t in targets if t["address"].endswith(ending)]
    secret: str = (await agent.post(f"/v1/targets/{target['id']}/rotate")).json()["secret"]
    return secret


async def test_a_customer_moves_from_whatsapp_to_mail_without_starting_again(
    doors: Doors, agent: Client, town: Town
) -> None:
    number = "31600000606"
    await doors.whatsapp("It is about parcel six-oh-six", number)
    case = await case_about(agent, "six-oh-six")
    await agent.post(f"/v1/cases/{case['id']}/claim")
    offered = await agent.post(
        f"/v1/cases/{case['id']}/handoffs",
        json={"to_channel": "email", "reason": "agent", "address": "dee@example.org"},
    )
    assert offered.status_code == 201, offered.text
    code = offered.json()["code"]

    async def invited() -> Any:
        return [m for m in town.meta.accepted if m.get("to") == number and code in str(m)]

    await until(invited)
    await doors.mail(a_mail(f"Here I am. {code}", sender="Dee <dee@example.org>", Subject="Hello"))

    async def switched() -> Any:
        found = (await agent.get(f"/v1/cases/{case['id']}")).json()
        return found if found["channel"] == "email" else None

    view = await until(switched)
    assert view["due_at"] == case["due_at"], "the promise made on WhatsApp is kept"
    assert [handoff["state"] for handoff in view["handoffs"]] == ["accepted"]
    line = (await agent.get(f"/v1/cases/{case['id']}/timeline")).json()["items"]
    channels = {entry["channel"] for entry in line if entry["direction"] == "in"}
    assert channels == {"whatsapp", "email"}
    assert "email:dee@example.org" in view["customer"]["identities"]


async def test_what_is_wrongly_signed_leaves_only_a_counter(doors: Doors, agent: Client) -> None:
    before = (await agent.get("/ops/dead-letters")).json()["items"]
    for signature in ("", "sha256=00", "sha256=" + "0" * 64, "sha1=7"):
        answer = await doors.raw_meta(b'{"object":"whatsapp_business_account"}', signature)
        assert answer.status_code == 401
    assert (await agent.get("/ops/dead-letters")).json()["items"] == before
    metrics = (await agent.get("/metrics")).text
    assert 'regie_webhooks_refused_total{account="desk-whatsapp"' in metrics


async def test_what_is_rightly_signed_and_unreadable_is_parked_with_its_bytes(
    doors: Doors, agent: Client
) -> None:
    for body in (b'{"object": "whatsapp_business_account", "entry": 7}', b"\xff\xfe not json"):
        answer = await doors.raw_meta(body, meta_signature(body))
        assert answer.status_code == 200

        async def parked(wanted: bytes = body) -> Any:
            letters = (await agent.get("/ops/dead-letters", params={"limit": 200})).json()["items"]
            for letter in letters:
                shown = (await agent.get(f"/ops/dead-letters/{letter['id']}")).json()
                if shown["raw"] and b64decode(shown["raw"]) == wanted:
                    return shown
            return None

        assert (await until(parked))["reason"]


async def test_an_operator_sees_the_lag_and_each_partition(agent: Client) -> None:
    lag = (await agent.get("/ops/lag")).json()
    groups = {group["group"]: group for group in lag["groups"]}
    assert {"regie.router", "regie.notifier"} <= groups.keys()
    (topic,) = [t for t in groups["regie.router"]["topics"] if t["topic"] == "messages.received"]
    assert len(topic["partitions"]) == 12
    assert all(p["lag"] is not None for p in topic["partitions"])
    assert "deadlines_at_risk" in lag


async def test_the_probes_and_the_contract_are_served(agent: Client) -> None:
    assert (await agent.get("/healthz")).status_code == 200
    assert (await agent.get("/readyz")).json()["ready"] is True
    paths = (await agent.get("/openapi.json")).json()["paths"]
    for path in ("/v1/inbox", "/v1/inbox/next", "/v1/messages", "/ops/lag"):
        assert path in paths


async def test_two_events_share_an_id_and_the_future_is_not_believed(
    doors: Doors, agent: Client
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    said = whatsapp_message(
        "From tomorrow eight-oh-eight", "31600000808", timestamp=str(int(tomorrow.timestamp()))
    )
    assert (await doors.meta(said, whatsapp_status(said["id"], "delivered"))).status_code == 200
    case = await case_about(agent, "eight-oh-eight")
    assert datetime.fromisoformat(case["waiting_since"]) < tomorrow - timedelta(hours=23)
