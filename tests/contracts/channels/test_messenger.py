"""Messenger by Meta: every row of `messenger/events.json`, who owns what, and noise."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.channels import WebhookRequest
from shared.channels.messenger import META
from shared.channels.providers.meta_direct import DirectInbound
from shared.errors import Forbidden, Unauthenticated, Unreadable
from tests.contracts.channels.behaviour import CHECKS, RECEIVED_AT, Check, Door, name_of, survives
from tests.contracts.channels.direct import ACCOUNTS, MESSENGER, OLD, OTHER, check, parse, signed
from tests.contracts.channels.messages import Case, body_of, name_of_case, table
from tests.contracts.channels.shapes import places, shapes

CASES = table("messenger/events.json")
PAGE, NIGHT_PAGE, PSID = "114352288281000", "114352288281111", "6712345678901234"


def item(mid: str, page: str = PAGE, **message: Any) -> dict[str, Any]:
    return {
        "sender": {"id": PSID},
        "recipient": {"id": page},
        "timestamp": 1790852400123,
        "message": {"mid": mid, "text": "Hello", **message},
    }


def payload(*entries: tuple[str, list[Any]]) -> dict[str, Any]:
    listed = [{"id": id, "time": 1790852400200, "messaging": items} for id, items in entries]
    return {"object": "page", "entry": listed}


DOOR = Door(
    DirectInbound(),
    MESSENGER,
    ACCOUNTS,
    sign=signed,
    body=json.dumps(payload((PAGE, [item("m_1"), item("m_2"), {"sender": 1}]))).encode(),
    wrong=[
        {"x-hub-signature-256": "sha256=" + "0" * 64},
        {"x-hub-signature-256": "sha1=" + "0" * 40},
        {"x-hub-signature-256": "sha256=é☃"},
    ],
)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


@pytest.mark.parametrize("case", CASES, ids=name_of_case)
def test_event(case: Case) -> None:
    check(case)


def test_entries_of_several_pages_in_one_request() -> None:
    parsed = parse(
        payload((PAGE, [item("m_1")]), (NIGHT_PAGE, [item("m_1", NIGHT_PAGE), item("m_2")]))
    )
    accounts = [(each.account, each.provider_event_id) for each in parsed.messages]
    assert accounts == [
        ("desk-messenger", "m_1"), ("night-messenger", "m_1"), ("desk-messenger", "m_2"),
    ]  # fmt: skip
    assert len({each.id for each in parsed.messages}) == 3


def test_a_page_of_another_app_is_parked() -> None:
    parsed = parse(payload(("114352288282222", [item("m_1", "114352288282222")])))
    assert not parsed.messages
    assert "page_id 114352288282222 is no account with this app secret" in parsed.parked[0].reason


def test_a_person_may_answer_for_a_week_where_meta_granted_it() -> None:
    parsed = parse(payload((PAGE, [item("m_1")]), (NIGHT_PAGE, [item("m_1", NIGHT_PAGE)])))
    windows = [
        each.reply_window_closes_at - each.occurred_at
        for each in parsed.messages
        if each.reply_window_closes_at
    ]
    assert windows == [timedelta(hours=24), timedelta(days=7)]


def test_a_comment_opens_no_window() -> None:
    case = next(case for case in CASES if case["name"] == "comment under a post")
    (message,) = parse(body_of(case)).messages
    assert message.reply_window_closes_at == message.occurred_at


def test_what_shares_an_id_is_told_apart() -> None:
    events = [
        item("m_1"),
        item("m_1", is_deleted=True),
        *({**_bare(), "message_edit": {"mid": "m_1", "text": "x", "num_edit": n}} for n in (1, 2)),
        *(
            {**_bare(), "timestamp": 1790852400123 + n, "reaction": {"mid": "m_1", "action": act}}
            for n, act in enumerate(("react", "unreact", "react"))
        ),
    ]
    parsed = parse(payload((PAGE, events)))
    assert len({each.id for each in parsed.messages}) == len(events)


def _bare() -> dict[str, Any]:
    bare = item("m_1")
    del bare["message"]
    return bare


def test_every_delivered_message_has_its_status() -> None:
    delivery = {**_bare(), "delivery": {"mids": ["m_1", "m_2", 3, ""], "watermark": 1}}
    parsed = parse(payload((PAGE, [delivery])))
    assert [each.provider_id for each in parsed.statuses] == ["m_1", "m_2"]


def test_the_old_secret_still_counts_while_secrets_rotate() -> None:
    DirectInbound().verify(signed(DOOR.body, OLD), MESSENGER)
    with pytest.raises(Unauthenticated):
        DirectInbound().verify(signed(DOOR.body, OTHER), MESSENGER)


def test_the_handshake() -> None:
    def asked(token: str) -> WebhookRequest:
        query = [("hub.mode", "subscribe"), ("hub.challenge", "11"), ("hub.verify_token", token)]
        return WebhookRequest("GET", "", query, "", {}, b"", RECEIVED_AT)

    assert META.inbound is not None
    assert META.inbound.handshake(asked("our-verify-token"), MESSENGER).body == b"11"
    with pytest.raises(Forbidden, match="verify_token"):
        META.inbound.handshake(asked("another"), MESSENGER)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"object": "whatsapp_business_account", "entry": []}',
        b'{"object": ["page"], "entry": []}', b'{"object": "page"}',
        b'{"object": "page", "entry": {}}',
    ],
)  # fmt: skip
def test_what_is_no_envelope_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(body)


WORDS = ("id", "mid", "text", "type", "payload", "url", "title", "message", "attachments", "read")


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=st.sampled_from(CASES), data=st.data())
def test_any_shape_under_a_good_signature_is_survived(case: Case, data: st.DataObject) -> None:
    document = json.loads(json.dumps(case["json"]))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(places(document))))
        holder[key] = data.draw(shapes(WORDS))
    survives(DOOR, json.dumps(document).encode())
