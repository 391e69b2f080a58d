"""Telephone by Twilio: one outcome a call, whatever the order of the requests that tell of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.channels import Parsed, WebhookRequest
from shared.channels.calls import RANK, better, outcome
from shared.channels.phone import TwilioInbound
from shared.channels.phone.outcomes import OUTCOMES, step_of
from shared.errors import NotFound, Refused, Unauthenticated, Unreadable
from shared.events import Kind
from tests.contracts.channels import twilio_forms as forms
from tests.contracts.channels.behaviour import CHECKS, RECEIVED_AT, Check, Door, name_of
from tests.contracts.channels.twilio_forms import (
    CALL,
    CARRIED,
    STARTED,
    TRANSCRIPT,
    first,
    fold,
    tell,
)

CALLS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "phone" / "calls.json").read_text()
)
each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call["name"])


def heard(call: dict[str, Any]) -> list[Parsed]:
    voice = json.dumps(call["voice"]) if "voice" in call else None
    lines = [forms.line(voice=voice)] if voice else []
    return [tell(path, forms.wire(name), *lines) for path, name in call["requests"]]


# --- one outcome a call ----------------------------------------------------------------------


@each_call
def test_each_request_tells_what_it_knows(call: dict[str, Any]) -> None:
    emitted = [
        " ".join(message.kind for message in parsed.messages) or None for parsed in heard(call)
    ]
    assert emitted == call["emits"]


@each_call
def test_one_outcome_in_every_order(call: dict[str, Any]) -> None:
    told = heard(call)
    assert not [parked for parsed in told for parked in parsed.parked]
    for order in permutations(told):
        stands, added = fold(message for parsed in order for message in parsed.messages)
        assert (stands.kind if stands else None) == call["outcome"]
        assert added == ([TRANSCRIPT] if call.get("transcript") else [])


@each_call
def test_every_request_three_times_is_still_one_outcome(call: dict[str, Any]) -> None:
    told = heard(call)
    stands, _ = fold(m for parsed in [*told, *told[::-1], *told] for m in parsed.messages)
    assert (stands.kind if stands else None) == call["outcome"]


@each_call
def test_all_words_about_a_call_name_it_and_agree_who_called(call: dict[str, Any]) -> None:
    direction, caller = call.get("direction", "in"), call.get("caller", "+31612345678")
    for message in (m for parsed in heard(call) for m in parsed.messages):
        assert CALL in (message.thread.message_id, message.thread.target)
        assert [identity.value for identity in message.sender.identities] == [caller] * bool(caller)
        assert message.sender.authentication == "asserted"
        assert message.recipient == "+31880000000"
        assert message.occurred_at <= message.received_at
        assert message.call is None or message.call.direction == direction
        msgspec.json.encode(message)


@each_call
def test_the_outcome_is_measured(call: dict[str, Any]) -> None:
    stands, _ = fold(message for parsed in heard(call) for message in parsed.messages)
    if stands and "duration" in call:
        assert stands.call is not None
        assert stands.call.duration == call["duration"]


def test_a_voicemail_brings_its_recording() -> None:
    (message,) = tell("/recording", forms.wire("recording_completed")).messages
    (recording,) = message.attachments
    assert recording.url.endswith("/Recordings/RE0b9f8e7d6c5b4a39281706f5e4d3c2b1")
    assert (recording.content_type, recording.name) == ("audio/wav", "voicemail.wav")
    assert message.text == "Voicemail from +31612345678 (0:14)"


def test_a_transcript_edits_its_voicemail() -> None:
    voicemail, edit = tell("/transcript", forms.wire("transcript")).messages
    assert (voicemail.kind, voicemail.thread.message_id) == ("voicemail", CALL)
    assert (edit.kind, edit.thread.target, edit.text) == ("edit", CALL, TRANSCRIPT)
    (before,) = tell("/recorded", forms.wire("recorded")).messages
    assert before.id == voicemail.id


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "https://[", "//x"])
def test_a_recording_that_is_no_web_address_is_left_out(url: str) -> None:
    body = forms.changed("recorded", RecordingUrl=url)
    (message,) = tell("/recorded", body).messages
    assert message.kind == "voicemail"
    assert message.attachments == ()


def test_the_shortest_voicemail_is_a_setting() -> None:
    patient = forms.line(voice="{shortest_voicemail: 15s}")
    (message,) = tell("/recorded", forms.wire("recorded"), patient).messages
    assert message.kind == "call_missed"


def test_the_ranking_is_a_strict_order_of_call_outcomes_only() -> None:
    assert better("call_missed", "voicemail")
    assert better("voicemail", "call_ended")
    assert better("call_missed", "call_ended")
    kinds: Sequence[Kind] = [*RANK, "message", "edit", "visit"]
    for old in kinds:
        for new in kinds:
            assert not (better(old, new) and better(new, old))
            assert not better(old, new) or {old, new} <= set(RANK)
    assert set(OUTCOMES.values()) == {None, *RANK}


@given(
    st.permutations(["call_missed", "voicemail", "call_ended", "call_missed"]), st.integers(1, 4)
)
def test_the_best_word_stands_whatever_the_order(kinds: list[Kind], count: int) -> None:
    stands: Kind | None = None
    for kind in kinds[:count]:
        stands = outcome(stands, kind)
    assert stands == max(kinds[:count], key=lambda kind: RANK[kind])


# --- who, which line, when -------------------------------------------------------------------


@pytest.mark.parametrize(
    "caller",
    [
        "",
        "anonymous",
        "Restricted",
        "+266696687",
        "+7378742833",
        "client:jo",
        "sip:a@b.example",
        "14",
    ],
)
def test_a_withheld_caller_has_no_identity(caller: str) -> None:
    (message,) = tell("/status", forms.changed("status_no_answer", From=caller)).messages
    assert message.sender.identities == ()
    shown = caller if caller.startswith(("client:", "sip:")) else "a withheld number"
    assert message.text == f"Missed call from {shown}"


def test_a_national_number_is_read_in_the_country_of_the_line() -> None:
    (message,) = tell("/status", forms.changed("status_no_answer", From="0612345678")).messages
    assert message.sender.identities[0].value == "+31612345678"
    assert message.text == "Missed call from +31612345678"


def calling(number: str) -> bytes:
    return forms.changed("status_no_answer", To=number)


def test_a_call_belongs_to_the_line_it_rang() -> None:
    other = forms.line("night-phone", "+31 88 000 0099")
    stranger = forms.line("other-firm", "+31880000077", token=forms.ELSEWHERE)
    lines = [forms.line(), other, stranger]
    assert tell("/status", calling("+31880000000"), *lines).messages[0].account == "desk-phone"
    assert tell("/status", calling("+31880000099"), *lines).messages[0].account == "night-phone"
    for number in ("+31880000077", "+31880000012", "", "sip:x"):
        told = tell("/status", calling(number), *lines)
        (parked,) = told.parked
        assert not told.messages
        assert (parked.raw, parked.key) == (calling(number), f"{CALL} call_missed")
        assert "channels file" in parked.reason


def test_a_recording_that_names_nobody_is_parked() -> None:
    told = tell("/recording", forms.wire("recording_completed"), query="")
    assert not told.messages
    assert "from=" in told.parked[0].reason


def test_it_occurred_at_the_earliest_signed_time() -> None:
    (status,) = tell("/status", forms.wire("status_no_answer"), query="").messages
    assert status.occurred_at == STARTED + timedelta(seconds=9)
    (gone,) = tell("/dialed", forms.wire("dialed_gone")).messages
    assert gone.occurred_at == STARTED
    assert gone.received_at == forms.RECEIVED


@pytest.mark.parametrize(
    "time",
    [
        "",
        "now",
        "Mon, 02 Mar 2026 12:00:00 +0000",
        "Mon, 99 Foo",
        "Fri, 31 Dec 9999 23:59:59 -1400",
    ],
)
def test_a_wrong_or_future_time_is_not_believed(time: str) -> None:
    form = forms.changed("status_no_answer", Timestamp=time)
    late = urlencode({"at": int(forms.RECEIVED.timestamp()) + 3600})
    for query in ("", late, "at=x", f"at={'9' * 12}", "at=-1"):
        (message,) = tell("/status", form, query=query).messages
        assert message.occurred_at == forms.RECEIVED


# --- what every channel must do ---------------------------------------------------------------


def sign_any(body: bytes) -> WebhookRequest:
    """Twilio signs a form field by field, and anything else by its hash in the address."""
    try:
        forms.pairs(body)
        return replace(forms.signed("/status", body, CARRIED), received_at=RECEIVED_AT)
    except ValueError:
        query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
        request = forms.signed("/status", b"", query)
        headers = {**request.headers, "content-type": "application/json"}
        return replace(request, body=body, headers=headers, received_at=RECEIVED_AT)


DOOR = Door(
    TwilioInbound(),
    first(),
    forms.accounts(),
    sign=sign_any,
    body=forms.wire("status_no_answer"),
    wrong=[{"x-twilio-signature": each} for each in ("bm8=", "é☃", "a" * 28)],
)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


# --- what is refused -------------------------------------------------------------------------


def test_an_unsigned_request_is_refused() -> None:
    request = forms.request("", forms.wire("ringing"), headers={"x-twilio-signature": "bm8="})
    with pytest.raises(Unauthenticated):
        TwilioInbound().verify(request, first())


def test_there_is_no_handshake() -> None:
    with pytest.raises(Refused, match="POST"):
        TwilioInbound().handshake(forms.request(), first())


def test_an_unknown_door_is_not_found() -> None:
    with pytest.raises(NotFound, match="/status"):
        tell("/statuses", forms.wire("status_completed"))


@pytest.mark.parametrize(
    "body", [b"", b"CallStatus=completed", b"CallSid=", b"CallSid=" + b"x" * 999]
)
def test_a_form_without_a_call_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable, match="CallSid"):
        tell("/status", body)


def test_a_path_with_a_slash_behind_it_is_the_same_door() -> None:
    assert step_of("/status/", {}) == "status"
    assert step_of("/", {"CallStatus": "ringing"}) == "voice"


names = st.sampled_from([
    "CallSid", "CallStatus", "DialCallStatus", "DialCallDuration", "RecordingUrl", "From", "To",
    "RecordingStatus", "RecordingDuration", "TranscriptionText", "TranscriptionStatus",
    "Timestamp", "Direction", "CallDuration", "CallerName",
])  # fmt: skip
values = st.text(max_size=20) | st.sampled_from([
    CALL, "completed", "no-answer", "ringing", "inbound", "outbound-api", "outbound-dial",
    "+31612345678", "+31880000000", "-1", "9" * 30, "https://a.example/r", "²", "٣",
])  # fmt: skip
paths = st.sampled_from(["", "/dialed", "/recorded", "/recording", "/transcript", "/status", "/x"])


@given(paths, st.dictionaries(names | st.text(max_size=9), values), st.text(max_size=20))
def test_any_form_is_told_refused_or_unreadable(
    path: str, form: dict[str, str], query: str
) -> None:
    body = urlencode({"CallSid": CALL, **form}, errors="replace").encode()
    _parses_or_refuses(path, body, urlencode({"at": query, "from": query}, errors="replace"))


@given(paths, st.binary(max_size=300), st.sampled_from([forms.FORM, "application/json", ""]))
def test_any_bytes_are_told_refused_or_unreadable(path: str, body: bytes, kind: str) -> None:
    _parses_or_refuses(path, b"CallSid=CA1&" + body, "", kind)
    _parses_or_refuses(path, body, "", kind)


def _parses_or_refuses(path: str, body: bytes, query: str, kind: str = forms.FORM) -> None:
    everyone = forms.accounts()
    request = forms.request(path, body, query, {"content-type": kind})
    try:
        told = TwilioInbound().parse(request, forms.first(), everyone)
    except (Refused, Unreadable):
        return
    ElementTree.fromstring(told.answer.body)
    for message in told.messages:
        assert message.occurred_at <= message.received_at
        msgspec.json.encode(message)
