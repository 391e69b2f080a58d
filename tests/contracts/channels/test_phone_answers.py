"""What Twilio is told to do with a caller: TwiML, and the addresses it follows."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from shared.channels import Parsed
from shared.errors import Misconfigured
from tests.contracts.channels import twilio_forms as forms
from tests.contracts.channels.twilio_forms import TRANSCRIPT, answer, first, fold, tell, verbs


def follow(url: str, body: bytes) -> Parsed:
    """Twilio requests an address it was given in an answer."""
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == forms.PUBLIC
    path = parts.path.removeprefix("/webhooks/desk-phone")
    return tell(path, body, query=parts.query)


def test_an_incoming_call_rings_at_the_desk() -> None:
    (dial,) = answer(tell("", forms.wire("ringing"), query=""))
    assert (dial.tag, dial.get("timeout")) == ("Dial", "20")
    assert [(noun.tag, noun.text) for noun in dial] == [("Number", "+31880000010")]
    action = urlsplit(dial.get("action") or "")
    assert action.path == "/webhooks/desk-phone/dialed"
    assert parse_qs(action.query) == {"at": [str(int(forms.RECEIVED.timestamp()))]}


def test_a_call_walks_through_the_addresses_it_is_given() -> None:
    (dial,) = answer(tell("", forms.wire("ringing"), query=""))
    told = follow(dial.get("action") or "", forms.wire("dialed_no_answer"))
    say, record, redirect = answer(told)
    assert [say.tag, record.tag, redirect.tag] == ["Say", "Record", "Redirect"]
    assert say.get("language") == "nl-NL"
    assert record.get("maxLength") == "120"
    recorded = follow(record.get("action") or "", forms.wire("recorded_hung_up"))
    ready = follow(record.get("recordingStatusCallback") or "", forms.wire("recording_completed"))
    written = follow(record.get("transcribeCallback") or "", forms.wire("transcript"))
    assert verbs(recorded) == ["Hangup"]
    assert verbs(ready) == verbs(written) == []
    stands, added = fold([*recorded.messages, *ready.messages, *written.messages])
    assert stands is not None
    assert stands.sender.identities[0].value == "+31612345678"
    assert added == [TRANSCRIPT]
    silent = follow(redirect.text or "", forms.wire("recorded_silence"))
    assert [message.kind for message in silent.messages] == ["call_missed"]


def test_what_comes_after_the_desk_rang() -> None:
    assert verbs(tell("/dialed", forms.wire("dialed_completed"))) == ["Hangup"]
    assert verbs(tell("/dialed", forms.wire("dialed_busy"))) == ["Say", "Record", "Redirect"]
    off = forms.line(voice='{dial: ["+31880000010"], voicemail: false}')
    assert verbs(tell("/dialed", forms.wire("dialed_busy"), off)) == ["Hangup"]
    assert verbs(tell("/status", forms.wire("status_completed"))) == []


def test_a_line_without_a_desk_goes_to_voicemail_or_is_busy() -> None:
    alone = forms.line(voice="{voicemail: true, transcribe: false}")
    told = tell("", forms.wire("ringing"), alone)
    assert verbs(told) == ["Say", "Record", "Redirect"]
    assert "transcribe" not in answer(told)[1].keys()  # noqa: SIM118 -- an Element, no dict
    closed = forms.line(voice="{voicemail: false}")
    assert verbs(tell("", forms.wire("ringing"), closed)) == ["Reject"]


def test_the_answer_escapes_whatever_the_settings_hold() -> None:
    odd = forms.line(
        voice=r'{dial: ["sip:a@b.example?x=<1>&y=\"2\"", "client:jo"],'
        r' greeting: "Tom & <Jerry> \"\u0007\"", language: en-GB}'
    )
    (dial,) = answer(tell("", forms.wire("ringing"), odd))
    assert [(noun.tag, noun.text) for noun in dial] == [
        ("Sip", 'sip:a@b.example?x=<1>&y="2"'),
        ("Client", "jo"),
    ]
    assert answer(tell("/dialed", forms.wire("dialed_busy"), odd))[0].text == 'Tom & <Jerry> ""'


@pytest.mark.parametrize(
    ("number", "language", "word"),
    [
        ("+31880000000", "nl-NL", "toon"),
        ("+4930123456", "de-DE", "Signalton"),
        ("+33123456789", "fr-FR", "signal"),
        ("+442071838750", "en-GB", "tone"),
    ],
)
def test_the_greeting_speaks_the_language_of_the_line(
    number: str, language: str, word: str
) -> None:
    body = forms.changed("dialed_busy", To=number)
    say = answer(tell("/dialed", body, forms.line(number=number)))[0]
    assert say.get("language") == language
    assert word in (say.text or "")


def test_times_stay_within_what_twilio_takes() -> None:
    short = forms.line(voice='{dial: ["+31880000010"], timeout: 1s, longest_voicemail: 1d}')
    assert answer(tell("", forms.wire("ringing"), short))[0].get("timeout") == "5"
    record = answer(tell("/dialed", forms.wire("dialed_busy"), short))[1]
    assert record.get("maxLength") == "3600"


def test_a_wrong_voice_setting_is_told_at_start() -> None:
    with pytest.raises(Misconfigured, match="greting"):
        first(forms.line(voice="{greting: hello}"))
