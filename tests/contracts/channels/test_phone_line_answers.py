"""What callers are led through by Vonage, Telnyx and sipgate, and by the code and call-back prompts
that Twilio has as well; and that nobody but the provider can walk there."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from shared.channels import Parsed, WebhookRequest
from shared.errors import Misconfigured, Unauthenticated
from tests.contracts.channels import twilio_forms as twilio
from tests.contracts.channels.phone_lines import (
    CTI,
    CTI_SECRET,
    ELSEWHERE,
    FORM,
    PUBLIC_KEY,
    RECEIVED,
    SIGNATURE_SECRET,
    TELNYX,
    VONAGE,
    Line,
    changed,
    vonage_headers,
)

PUBLIC = "https://regie.example.org/webhooks/desk-phone"
TWO = {"dial": ["+31880000010", "sip:desk@example.org"], "timeout": "20s"}


def follow(line: Line, url: str, body: bytes, voice: Mapping[str, Any] | None = None) -> Parsed:
    """The provider requests an address it was given."""
    assert url.startswith(PUBLIC)
    parts = urlsplit(url.removeprefix(PUBLIC))
    return line.tell(parts.path, body, voice, parts.query)


def actions(parsed: Parsed) -> list[dict[str, Any]]:
    assert parsed.answer.content_type == "application/json"
    found: list[dict[str, Any]] = json.loads(parsed.answer.body)
    return found


def names(parsed: Parsed) -> list[str]:
    return [action["action"] for action in actions(parsed)]


def markup(parsed: Parsed) -> ElementTree.Element:
    assert parsed.answer.content_type.startswith("text/xml")
    return ElementTree.fromstring(parsed.answer.body)


def verbs(parsed: Parsed) -> list[str]:
    return [verb.tag for verb in markup(parsed)]


# --- Vonage ----------------------------------------------------------------------------------


def test_vonage_rings_one_after_the_other_and_then_records() -> None:
    (first,) = actions(VONAGE.tell("", VONAGE.wire("answer"), TWO))
    assert first["endpoint"] == [{"type": "phone", "number": "31880000010"}]
    assert (first["action"], first["from"], first["timeout"]) == ("connect", "31880000000", 20)
    assert first["eventType"] == "synchronous"
    told = follow(VONAGE, first["eventUrl"][0], VONAGE.wire("leg_timeout"), TWO)
    (second,) = actions(told)
    assert second["endpoint"] == [{"type": "sip", "uri": "sip:desk@example.org"}]
    assert not told.messages
    talk, record = actions(follow(VONAGE, second["eventUrl"][0], VONAGE.wire("leg_busy"), TWO))
    assert (talk["action"], talk["language"]) == ("talk", "nl-NL")
    assert (record["action"], record["beepStart"], record["timeOut"]) == ("record", True, 120)
    assert 3 <= record["endOnSilence"] <= 10
    recorded = follow(VONAGE, record["eventUrl"][0], VONAGE.wire("recorded"), TWO)
    (message,) = recorded.messages
    assert message.kind == "voicemail"
    assert message.sender.identities[0].value == "+31612345678"
    assert recorded.answer.body == b""


def test_vonage_is_answered_with_what_the_settings_say() -> None:
    assert names(VONAGE.tell("", VONAGE.wire("answer"), {"voicemail": True})) == ["talk", "record"]
    assert names(VONAGE.tell("", VONAGE.wire("answer"), {"voicemail": False})) == []
    off = {"dial": ["client:jo"], "voicemail": False}
    (connect,) = actions(VONAGE.tell("", VONAGE.wire("answer"), off))
    assert connect["endpoint"] == [{"type": "app", "user": "jo"}]


VOICE = {"dial": ["+31880000010"], "code": True, "callback": True}


@pytest.mark.parametrize(("pressed", "digits"), [("input", "123456789"), ("input_none", None)])
def test_vonage_asks_for_a_code_first(pressed: str, digits: str | None) -> None:
    talk, ask = actions(VONAGE.tell("", VONAGE.wire("answer"), VOICE))
    assert talk["bargeIn"] is True
    assert "code" in talk["text"]
    assert (ask["type"], ask["dtmf"]["maxDigits"]) == (["dtmf"], 9)
    (connect,) = actions(follow(VONAGE, ask["eventUrl"][0], VONAGE.wire(pressed), VOICE))
    ended = follow(VONAGE, connect["eventUrl"][0], VONAGE.wire("leg_completed"), VOICE)
    assert ended.messages[0].attributes.get("digits") == digits


def test_vonages_older_form_of_keys_is_read_as_well() -> None:
    body = VONAGE.wire("input_older")
    (connect,) = actions(VONAGE.tell("/code", body, VOICE, VONAGE.carrying(body)))
    ended = follow(VONAGE, connect["eventUrl"][0], VONAGE.wire("leg_completed"), VOICE)
    assert ended.messages[0].attributes == {"digits": "123456789"}


def test_vonage_offers_a_call_back_and_else_the_tone() -> None:
    body = VONAGE.wire("leg_timeout")
    _, ask = actions(VONAGE.tell("/dialed", body, VOICE, VONAGE.carrying(body)))
    wanted = follow(VONAGE, ask["eventUrl"][0], VONAGE.wire("input_one"), VOICE)
    assert wanted.messages[0].kind == "callback_requested"
    assert wanted.messages[0].attributes["phone"] == "+31612345678"
    assert names(wanted) == ["talk"]
    rather = follow(VONAGE, ask["eventUrl"][0], VONAGE.wire("input_none"), VOICE)
    assert names(rather) == ["talk", "record"]
    assert not rather.messages
    withheld = VONAGE.carrying(body, **{"from": "anonymous"})
    assert names(VONAGE.tell("/dialed", body, VOICE, withheld)) == ["talk", "record"]


def test_what_vonages_address_carries_is_believed_only_under_our_seal() -> None:
    """Vonage signs the body alone: a query written by another must not name the caller."""
    body = VONAGE.wire("recorded")
    good = VONAGE.carrying(body)
    assert VONAGE.tell("/recorded", body, query=good).messages
    for bad in (good.replace("31612345678", "31687654321"), good.partition("&seal=")[0], ""):
        told = VONAGE.tell("/recorded", body, query=bad)
        assert not told.messages
        assert "no caller" in told.parked[0].reason
    other = changed(VONAGE, "recorded", conversation_uuid="CON-of-another-call")
    assert not VONAGE.tell("/recorded", other, query=good).messages


def test_vonages_token_must_be_ours_and_of_this_body() -> None:
    asked = VONAGE.request("", VONAGE.wire("answer"))
    strange = {**asked.headers, **vonage_headers(asked.body, RECEIVED, "x" * 40)}
    for headers in (strange, vonage_headers(b"{}", RECEIVED)):
        bad = WebhookRequest("POST", "", (), "", headers, asked.body, RECEIVED)
        with pytest.raises(Unauthenticated):
            VONAGE.inbound.verify(bad, VONAGE.account())
    for secret in (SIGNATURE_SECRET, ELSEWHERE):
        headers = vonage_headers(asked.body, RECEIVED, secret)
        good = WebhookRequest("POST", "", (), "", headers, asked.body, RECEIVED)
        VONAGE.inbound.verify(good, VONAGE.account())


# --- Telnyx ----------------------------------------------------------------------------------


def test_telnyx_is_told_in_texml() -> None:
    (dial,) = markup(TELNYX.tell("", TELNYX.wire("ringing"), {**TWO, "timeout": "5m"}))
    assert (dial.tag, dial.get("timeout"), dial.get("answerOnBridge")) == ("Dial", "120", None)
    assert [noun.tag for noun in dial] == ["Number", "Sip"]
    told = follow(TELNYX, dial.get("action") or "", TELNYX.wire("dialed_no_answer"), TWO)
    say, record, redirect = markup(told)
    assert (say.tag, say.get("voice"), redirect.tag) == ("Say", "alice", "Redirect")
    assert record.get("transcription") == "true"
    assert "transcribe" not in record.attrib
    written = follow(
        TELNYX, record.get("transcriptionCallback") or "", TELNYX.wire("transcript"), TWO
    )
    assert [message.kind for message in written.messages] == ["voicemail", "edit"]
    there = follow(
        TELNYX, record.get("recordingStatusCallback") or "", TELNYX.wire("recording_completed"), TWO
    )
    assert there.messages[0].sender.identities[0].value == "+31612345678"
    assert verbs(there) == []


@pytest.mark.parametrize(("pressed", "digits"), [("code", "123456789"), ("no_code", None)])
def test_telnyx_asks_for_a_code_first(pressed: str, digits: str | None) -> None:
    gather, redirect = markup(TELNYX.tell("", TELNYX.wire("ringing"), VOICE))
    assert (gather.tag, gather.get("numDigits"), gather[0].tag) == ("Gather", "9", "Say")
    assert gather.get("action") == redirect.text
    (dial,) = markup(follow(TELNYX, gather.get("action") or "", TELNYX.wire(pressed), VOICE))
    ended = follow(TELNYX, dial.get("action") or "", TELNYX.wire("dialed_completed"), VOICE)
    assert ended.messages[0].attributes.get("digits") == digits


def test_telnyxs_addresses_are_sealed_where_the_account_has_a_secret() -> None:
    sealed = Line(
        "telnyx", TELNYX.inbound, {"public_key": PUBLIC_KEY, "api_key": "KEY0"}, TELNYX.headers,
        TELNYX.id, ("KEY0",),
    )  # fmt: skip
    body = TELNYX.wire("recording_completed")
    assert sealed.tell("/recording", body, query=sealed.carrying(body)).messages
    assert not sealed.tell("/recording", body, query=TELNYX.carrying(body)).messages


# --- Twilio's prompts ------------------------------------------------------------------------

PROMPTS = twilio.line(
    voice='{dial: ["+31880000010"], timeout: 20s, voicemail: true, code: true, callback: true}'
)


def walk(url: str, body: bytes, line: str = PROMPTS) -> Parsed:
    parts = urlsplit(url.removeprefix(PUBLIC))
    return twilio.tell(parts.path, body, line, query=parts.query)


def test_twilio_asks_for_a_code_and_every_later_word_brings_it() -> None:
    gather, redirect = markup(twilio.tell("", twilio.wire("ringing"), PROMPTS, query=""))
    assert (gather.get("numDigits"), gather.get("action")) == ("9", redirect.text)
    keyed = twilio.changed("recorded_silence", Digits="123456789")
    (dial,) = markup(walk(gather.get("action") or "", keyed))
    assert parse_qs(urlsplit(dial.get("action") or "").query)["digits"] == ["123456789"]
    (ended,) = walk(dial.get("action") or "", twilio.wire("dialed_completed")).messages
    assert ended.attributes == {"digits": "123456789"}
    asks, _ = markup(walk(dial.get("action") or "", twilio.wire("dialed_busy")))
    later = twilio.changed("recorded_silence", Digits="")
    _, record, _ = markup(walk(asks.get("action") or "", later))
    (left,) = walk(record.get("action") or "", twilio.wire("recorded")).messages
    assert (left.kind, left.attributes) == ("voicemail", {"digits": "123456789"})


def test_the_key_that_ends_a_recording_is_no_code() -> None:
    (left,) = twilio.tell("/recorded", twilio.wire("recorded"), PROMPTS).messages
    assert left.attributes == {}


def test_twilio_offers_a_call_back_to_who_can_be_called() -> None:
    gather, _ = markup(twilio.tell("/dialed", twilio.wire("dialed_busy"), PROMPTS))
    assert gather.get("numDigits") == "1"
    one = twilio.changed("recorded_silence", Digits="1")
    wanted = walk(gather.get("action") or "", one)
    (message,) = wanted.messages
    assert (message.kind, message.attributes) == ("callback_requested", {"phone": "+31612345678"})
    assert message.call is not None
    assert message.call.outcome == "missed"
    assert verbs(wanted) == ["Say", "Hangup"]
    withheld = twilio.changed("dialed_busy", From="anonymous")
    assert verbs(twilio.tell("/dialed", withheld, PROMPTS)) == ["Say", "Record", "Redirect"]
    forced = twilio.changed("recorded_silence", Digits="1", From="anonymous")
    assert not twilio.tell("/callback", forced, PROMPTS, query="").messages


def test_without_voicemail_a_call_back_is_still_offered() -> None:
    line = twilio.line(voice="{voicemail: false, callback: true}")
    gather, _ = markup(twilio.tell("", twilio.wire("ringing"), line, query=""))
    no = twilio.changed("recorded_silence", Digits="")
    told = walk(gather.get("action") or "", no, line)
    assert verbs(told) == ["Hangup"]
    assert [message.kind for message in told.messages] == ["call_missed"]


# --- sipgate and other exchanges -------------------------------------------------------------


def bearing(headers: Mapping[str, str], body: bytes, query: str = "") -> WebhookRequest:
    asked = CTI.request("", body, query)
    kept = dict.fromkeys(("content-type",), asked.headers["content-type"])
    return WebhookRequest("POST", "", asked.query, query, {**kept, **headers}, body, RECEIVED)


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"regie:{password}".encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {CTI_SECRET}"},
        {"authorization": basic(CTI_SECRET)},
        {"x-webhook-secret": CTI_SECRET},
    ],
)
def test_an_exchange_may_send_the_secret_in_a_header(headers: dict[str, str]) -> None:
    CTI.inbound.verify(bearing(headers, CTI.wire("missed")), CTI.account())
    for name, value in headers.items():
        wrong = {name: value[:-4] + "AAAA"}
        with pytest.raises(Unauthenticated):
            CTI.inbound.verify(bearing(wrong, CTI.wire("missed")), CTI.account())


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Bearer "}, {"authorization": "Basic !!"},
     {"authorization": "Basic " + base64.b64encode(b"\xff").decode()}, {"x-webhook-secret": ""},
     {"webhook-signature": "", "x-webhook-secret": CTI_SECRET}],
)  # fmt: skip
def test_without_a_secret_an_exchange_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        CTI.inbound.verify(bearing(headers, CTI.wire("missed")), CTI.account())


def test_placetel_signs_as_its_documentation_shows() -> None:
    """The example of "Call Control-/Notify-API: our POST request", and what departs from it."""
    body = (
        b"call_id=4a4cbb39578170aed9a2761a7bec8c7e704a541f52291ef603d6f5f152980c3c"
        b"&event=CallAccepted&from=0123456789&to=0987654321"
    )
    signature = "c4f823c5b8806432fe2b83b1fc2ee714422e0cdfb4b5129152a7d0bbcd7792d0"
    account = replace(CTI, fields={**CTI.fields, "secret": ["old", "12345"]}).account()
    CTI.inbound.verify(bearing({"x-placetel-signature": signature}, body), account)
    for wrong, given in ((signature, body + b"0"), (signature[:-1] + "1", body), ("é", body)):
        with pytest.raises(Unauthenticated):
            CTI.inbound.verify(bearing({"x-placetel-signature": wrong}, given), account)
    with pytest.raises(Unauthenticated):
        CTI.inbound.verify(bearing({"x-placetel-signature": signature}, body), CTI.account())


def test_sipgate_is_asked_to_tell_of_answer_and_end() -> None:
    told = CTI.tell("", CTI.wire("sg_new"))
    response = markup(told)
    url = urlsplit(response.get("onAnswer") or "")
    assert response.get("onHangup") == response.get("onAnswer")
    assert CTI_SECRET not in told.answer.body.decode()
    CTI.inbound.verify(bearing({}, CTI.wire("sg_hangup"), url.query), CTI.account())
    for body in (CTI.wire("sg_hangup").replace(b"12345678", b"87654321"), b"event=hangup"):
        with pytest.raises(Unauthenticated):
            CTI.inbound.verify(bearing({}, body, url.query), CTI.account())
    with pytest.raises(Unauthenticated):
        CTI.inbound.verify(bearing({}, CTI.wire("sg_hangup"), url.query + "1"), CTI.account())


def test_other_events_of_sipgate_get_an_empty_response() -> None:
    assert markup(CTI.tell("", CTI.wire("sg_hangup"))).attrib == {}
    assert CTI.tell("", CTI.wire("missed")).answer.body == b""
    assert CTI.request("", CTI.wire("sg_new")).headers["content-type"] == FORM


@pytest.mark.parametrize("line", [VONAGE, TELNYX], ids=lambda line: line.provider)
def test_a_line_that_gives_out_addresses_needs_one(line: Line) -> None:
    bare = Line(
        line.provider, line.inbound, {**line.fields, "public_url": ""}, line.headers, line.id
    )
    with pytest.raises(Misconfigured, match="public_url"):
        bare.accounts()
