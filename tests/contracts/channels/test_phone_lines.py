"""Telephone by Vonage, Telnyx and an exchange: one outcome a call, in every order, with any of its
requests lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import combinations, permutations
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.channels import Parsed
from shared.channels.calls import RANK
from shared.errors import NotFound, Refused, Unreadable
from shared.events import Kind, MessageReceived
from tests.contracts.channels.behaviour import CHECKS, RECEIVED_AT, Check, Door, name_of
from tests.contracts.channels.phone_lines import (
    CTI,
    LINES,
    RECEIVED,
    STARTED,
    TELNYX,
    VONAGE,
    Line,
    calls,
    changed,
)
from tests.contracts.channels.twilio_forms import TRANSCRIPT, fold

ALL = [(line, call) for line in LINES for call in calls(line)]
each_call = pytest.mark.parametrize(
    ("line", "call"), ALL, ids=[f"{line.provider}: {call['name']}" for line, call in ALL]
)


def heard(line: Line, call: dict[str, Any]) -> list[Parsed]:
    return list(_heard(line, call))


def _heard(line: Line, call: dict[str, Any]) -> Iterator[Parsed]:
    for path, name in call["requests"]:
        body = line.wire(name)
        keyed = {"digits": call["digits"]} if "digits" in call and path == "/dialed" else {}
        asks = path not in ("", "/status") or name.startswith("record")
        given = asks and not call.get("bare")
        query = line.carrying(body, **keyed) if given else ""
        yield line.tell(path, body, call.get("voice"), query)


def kind_of(told: Iterable[Parsed]) -> Kind | None:
    stands, _ = fold(message for parsed in told for message in parsed.messages)
    return stands.kind if stands else None


def rank(kind: Kind | None) -> int:
    return 0 if kind is None else RANK[kind]


def said(told: Iterable[Parsed]) -> list[MessageReceived]:
    return [message for parsed in told for message in parsed.messages]


# --- one outcome a call ----------------------------------------------------------------------


@each_call
def test_each_request_tells_what_it_knows(line: Line, call: dict[str, Any]) -> None:
    told = heard(line, call)
    assert not [parked.reason for parsed in told for parked in parsed.parked]
    emitted = [" ".join(m.kind for m in parsed.messages) or None for parsed in told]
    assert emitted == call["emits"]


@each_call
def test_one_outcome_in_every_order(line: Line, call: dict[str, Any]) -> None:
    told = heard(line, call)
    for order in permutations(told):
        stands, added = fold(said(order))
        assert (stands.kind if stands else None) == call["outcome"]
        assert added == ([TRANSCRIPT] if call.get("transcript") else [])
    assert kind_of([*told, *told[::-1], *told]) == call["outcome"]


@each_call
def test_a_lost_request_never_makes_more_of_a_call(line: Line, call: dict[str, Any]) -> None:
    """What is heard of a call says the same in every order, never more than was true, and all of
    it as long as one request that decided it came."""
    told = heard(line, call)
    truth = rank(call["outcome"])
    for count in range(len(told) + 1):
        for kept in combinations(told, count):
            outcomes = {kind_of(order) for order in permutations(kept)}
            assert len(outcomes) == 1
            found = rank(outcomes.pop())
            decided = any(m.kind == call["outcome"] for m in said(kept))
            assert found == truth if decided else found < max(truth, 1)


@each_call
def test_all_words_about_a_call_name_it_and_agree_who_called(
    line: Line, call: dict[str, Any]
) -> None:
    caller = call.get("caller", "+31612345678")
    messages = said(heard(line, call))
    ids = {m.thread.target or m.thread.message_id for m in messages}
    assert len(ids) <= 1
    for message in messages:
        assert [i.value for i in message.sender.identities] == [caller] * bool(caller)
        assert message.sender.authentication == "asserted"
        assert message.recipient in ("+31880000000", "")
        assert message.occurred_at <= message.received_at
        assert message.call is None or message.call.direction == call.get("direction", "in")
        msgspec.json.encode(message)


@each_call
def test_the_outcome_is_measured(line: Line, call: dict[str, Any]) -> None:
    stands, _ = fold(said(heard(line, call)))
    if stands is not None and stands.call is not None:
        assert stands.call.duration == call.get("duration", stands.call.duration)


@each_call
def test_what_was_keyed_in_comes_with_the_outcome(line: Line, call: dict[str, Any]) -> None:
    stands, _ = fold(said(heard(line, call)))
    if stands is not None and "digits" in call:
        assert stands.attributes["digits"] == call["digits"]


# --- recordings, times, whose line -----------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "path", "name", "type", "ending", "media_id"),
    [
        (VONAGE, "/recorded", "recorded", "audio/wav", "ab", "aaaaaaaa-bbbb"),
        (TELNYX, "/recorded", "recorded", "audio/wav", ".wav", "35094891-3290"),
        (TELNYX, "", "cc_recording", "audio/mpeg", "600", "88dd13e5-b0d1"),
        (CTI, "", "voicemail", "audio/wav", ".wav", "1001"),
        (CTI, "", "ari_recording", "audio/wav", ".wav", "vm-1001"),
    ],
)  # fmt: skip
def test_a_voicemail_brings_its_recording(
    line: Line, path: str, name: str, type: str, ending: str, media_id: str
) -> None:
    body = line.wire(name)
    query = line.carrying(body) if path else ""
    (message,) = line.tell(path, body, query=query).messages
    (recording,) = message.attachments
    assert (message.kind, recording.content_type) == ("voicemail", type)
    assert recording.url.endswith(ending)
    assert recording.media_id.startswith(media_id)
    assert message.text == "Voicemail from +31612345678 (0:14)"


def test_it_occurred_at_the_earliest_signed_time() -> None:
    (left,) = VONAGE.tell(
        "/recorded", VONAGE.wire("recorded"), query=VONAGE.carrying(VONAGE.wire("recorded"))
    ).messages
    assert left.occurred_at == STARTED
    (over,) = TELNYX.tell("/status", TELNYX.wire("status_completed")).messages
    assert over.occurred_at.isoformat() == "2026-03-02T09:00:00.028000+00:00"
    (future,) = CTI.tell("", changed(CTI, "missed", at="2031-01-01T00:00:00Z")).messages
    assert future.occurred_at == RECEIVED
    (unset,) = CTI.tell("", changed(CTI, "missed", at="1970-01-01T00:00:00Z")).messages
    assert unset.occurred_at == RECEIVED


@pytest.mark.parametrize(
    "caller",
    ["", "anonymous", "Anonymous", "unknown", "Restricted", "Private", "266696687", "+266696687",
     "<unknown>", "sip:anonymous@anonymous.invalid", "unavailable", "withheld", "14", "+0", "null"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("line", "path", "name", "field"),
    [(VONAGE, "/status", "completed", "from"), (TELNYX, "/status", "status_completed", "From"),
     (CTI, "", "missed", "from"), (CTI, "", "ami_hangup_withheld", "CallerIDNum")],
)  # fmt: skip
def test_a_withheld_caller_has_no_identity(
    line: Line, path: str, name: str, field: str, caller: str
) -> None:
    told = line.tell(path, changed(line, name, **{field: caller}))
    if caller == "14" and field == "CallerIDNum":
        assert not told.messages  # an extension of the house
        return
    (message,) = told.messages
    assert message.sender.identities == ()
    assert message.kind == "call_missed"


@pytest.mark.parametrize(
    ("line", "path", "name", "field"),
    [(VONAGE, "/status", "completed", "to"), (TELNYX, "/status", "status_completed", "To")],
)
def test_a_call_belongs_to_the_line_it_rang(line: Line, path: str, name: str, field: str) -> None:
    night = {
        "channel": "phone", "provider": line.provider, "number": "+31880000099",
        "public_url": "https://regie.example.org", **line.fields,
    }  # fmt: skip
    body = changed(line, name, **{field: "+31880000099"})
    assert line.tell(path, body, others={"night-phone": night}).messages[0].account == "night-phone"
    told = line.tell(path, changed(line, name, **{field: "+31880000077"}))
    assert not told.messages
    assert "channels file" in told.parked[0].reason


@pytest.mark.parametrize(
    ("line", "path", "name"), [(VONAGE, "/status", "completed"), (CTI, "", "sg_cancel")]
)
def test_a_number_without_its_plus_is_read_as_international(
    line: Line, path: str, name: str
) -> None:
    body = changed(line, name, **{"from": "447700900123"})
    (message,) = line.tell(path, body).messages
    assert message.sender.identities[0].value == "+447700900123"


def test_an_extension_belongs_to_the_account_it_was_posted_to() -> None:
    (message,) = CTI.tell("", changed(CTI, "missed", to="201")).messages
    assert (message.account, message.recipient) == ("desk-phone", "201")


@pytest.mark.parametrize(
    ("line", "name"), [(VONAGE, "unknown"), (TELNYX, "cc_unknown"), (CTI, "unknown")]
)
def test_an_unknown_event_is_kept_for_a_person(line: Line, name: str) -> None:
    (parked,) = line.tell("", line.wire(name)).parked
    assert parked.raw == line.wire(name)
    assert parked.key.endswith(("levitating", "levitated"))


def test_an_error_of_vonages_is_kept_for_a_person() -> None:
    (parked,) = VONAGE.tell("/status", VONAGE.wire("error")).parked
    assert "Syntax" not in parked.reason
    assert "dial" in parked.reason


def test_a_call_back_asked_for_by_a_form_names_number_wish_and_matter() -> None:
    (message,) = CTI.tell("", CTI.wire("form")).messages
    assert message.attributes == {"phone": "+31612345678", "preferred": "tomorrow morning"}
    assert message.text == "Call back +31612345678\nMy vase"
    assert message.sender.name == "Ann"
    with pytest.raises(Unreadable, match="phone"):
        CTI.tell("", changed(CTI, "form", phone="call me"))


def test_keyed_digits_are_digits() -> None:
    (message,) = CTI.tell("", changed(CTI, "voicemail", digits="123 456-789\n")).messages
    assert message.attributes == {"digits": "123456789"}


# --- what every channel must do ---------------------------------------------------------------


def door(line: Line, name: str, *wrong: dict[str, str]) -> Door:
    def sign(body: bytes) -> Any:
        return line.request("", body, at=RECEIVED_AT)

    return Door(
        line.inbound,
        line.account(),
        line.accounts(),
        sign=sign,
        body=line.wire(name),
        wrong=wrong,
    )


DOORS = [
    door(VONAGE, "completed", {"authorization": "Bearer a.b.c"}, {"authorization": "é☃"}),
    door(TELNYX, "status_completed", {"telnyx-timestamp": "1"}),
    door(TELNYX, "cc_hangup", {"telnyx-signature-ed25519": "é☃"}),
    door(CTI, "missed", {"webhook-signature": "v1,bm8="}, {"webhook-timestamp": "1"}),
    door(CTI, "sg_cancel", {"webhook-signature": "é☃"}),
    door(CTI, "ami_hangup"),
    door(CTI, "ari_destroyed"),
]  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: str(door.body[:24]))
def test_behaviour(door: Door, check: Check) -> None:
    check(door)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.provider)
def test_there_is_no_handshake_and_no_other_door(line: Line) -> None:
    with pytest.raises(Refused, match=r"POST|post"):
        line.inbound.handshake(line.request("", b""), line.account())
    with pytest.raises(NotFound):
        line.inbound.parse(line.request("/else", b"{}"), line.account(), line.accounts())
    with pytest.raises(NotFound):  # the door itself says so: a parser's refusal would be parked
        line.inbound.verify(line.request("/else", b"{}"), line.account())


_PATHS = st.sampled_from(
    ["", "/code", "/dialed", "/callback", "/recorded", "/recording", "/transcript", "/status"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(
    ["completed", "outbound", "inbound", "0612345678", "+31612345678", "2026-03-02T09:00:00Z",
     "1e9", "²", "Cdr", "Hangup", "Dial", "RecordingFinished", "answer", "https://a.example/r.mp3"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
@pytest.mark.parametrize(
    ("line", "name"),
    [(VONAGE, "completed"), (VONAGE, "recorded"), (VONAGE, "input"), (TELNYX, "status_completed"),
     (CTI, "missed"), (CTI, "form"), (CTI, "ami_cdr"), (CTI, "ari_recording"), (CTI, "ari_start")],
)  # fmt: skip
def test_any_fields_are_told_refused_or_unreadable(
    line: Line, name: str, data: st.DataObject
) -> None:
    body = line.wire(name)
    is_json = body.startswith(b"{")
    names = list(json.loads(body)) if is_json else ["CallSid", "From", "To", "Digits", "CallStatus"]
    values = _LEAVES | st.dictionaries(st.text(max_size=5), _LEAVES, max_size=2) | st.lists(_LEAVES)
    by = data.draw(st.dictionaries(st.sampled_from(names), values, max_size=4))
    if not is_json:
        by = {name: str(value).encode("utf-8", "ignore").decode() for name, value in by.items()}
    path, query = data.draw(_PATHS), data.draw(st.text(max_size=9))
    spoilt = urlencode({"at": query, "from": query, "turn": query}, errors="replace")
    try:
        changed_body = changed(line, name, **by)
        request = line.request(path, changed_body, spoilt)
        parsed = line.inbound.parse(request, line.account(), line.accounts())
    except (Refused, Unreadable):
        return
    for message in parsed.messages:
        assert message.occurred_at <= message.received_at
        msgspec.json.encode(message)
