"""What Twilio and Telnyx are told to do with the caller, built as a tree so that all is escaped.

Sources: twilio.com/docs/voice/twiml and developers.telnyx.com/docs/voice/programmable-voice/
texml-verbs, pages Dial, Number, Gather, Record, Say, Reject and Hangup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from shared.channels import Answer
from shared.channels.phone.voice import Voice

Door = Callable[[str], str]  # a path, such as `/dialed`, to the address that shall be requested

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
CODE_DIGITS: Final = 9
CODE_WAIT: Final = 6  # seconds without a key


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where TeXML differs from TwiML: attributes it adds, names it has, what it takes.

    nouns  those of <Dial>, by the scheme of an address
    """

    dial: Mapping[str, str] = field(default_factory=dict)
    say: Mapping[str, str] = field(default_factory=dict)
    transcribe: str = "transcribe"
    transcript_to: str = "transcribeCallback"
    longest_ring: int = 600
    nouns: Mapping[str, str] = field(default_factory=dict)


# The line itself counts as answered only once a person does (answerOnBridge), so that a caller
# hears it ring, and one who gives up is a call that was never answered.
TWIML: Final = Dialect(
    dial={"answerOnBridge": "true"}, nouns={"sip": "Sip", "sips": "Sip", "client": "Client"}
)
TEXML: Final = Dialect(
    say={"voice": "alice"},  # the one that takes a language
    transcribe="transcription",
    transcript_to="transcriptionCallback",
    longest_ring=120,
    nouns={"sip": "Sip", "sips": "Sip"},
)


def ask_code(voice: Voice, door: Door, dialect: Dialect = TWIML) -> Answer:
    """The caller may key in nine digits; `/code` gets them, or nothing after a pause."""
    return _ask(voice, voice.words.code, CODE_DIGITS, door("/code"), dialect)


def offer_callback(voice: Voice, door: Door, dialect: Dialect = TWIML) -> Answer:
    """The caller may press 1; `/callback` gets it, or nothing after a pause."""
    return _ask(voice, voice.words.callback, 1, door("/callback"), dialect)


def ring(voice: Voice, door: Door, dialect: Dialect = TWIML) -> Answer:
    """All of `voice.dial` ring until one answers; `/dialed` is asked what comes next."""
    response = Element("Response")
    dial = SubElement(
        response,
        "Dial",
        {
            "timeout": str(min(voice.timeout, dialect.longest_ring)),
            **dialect.dial,
            "action": door("/dialed"),
            "method": "POST",
        },
    )
    for address in voice.dial:
        noun, bare = _noun(address, dialect)
        SubElement(dial, noun).text = _clean(bare)
    return _answer(response)


def record(voice: Voice, door: Door, dialect: Dialect = TWIML) -> Answer:
    """The greeting, then the tone. `/recorded` gets the recording when the caller is done.

    After silence Twilio skips `action` and goes on to the next verb: that leads to `/recorded` as
    well, so that someone who said nothing is a missed call at once.
    """
    response = Element("Response")
    _say(response, voice.greeting, voice, dialect)
    recording = SubElement(
        response,
        "Record",
        action=door("/recorded"),
        method="POST",
        maxLength=str(voice.longest_voicemail),
        playBeep="true",
        recordingStatusCallback=door("/recording"),
        recordingStatusCallbackMethod="POST",
        recordingStatusCallbackEvent="completed absent",
    )
    if voice.transcribe:
        recording.set(dialect.transcribe, "true")
        recording.set(dialect.transcript_to, door("/transcript"))
    SubElement(response, "Redirect", method="POST").text = door("/recorded")
    return _answer(response)


def thank(voice: Voice, dialect: Dialect = TWIML) -> Answer:
    """They asked for a call back: it is confirmed, and the line put down."""
    response = Element("Response")
    _say(response, voice.words.thanks, voice, dialect)
    SubElement(response, "Hangup")
    return _answer(response)


def hang_up() -> Answer:
    response = Element("Response")
    SubElement(response, "Hangup")
    return _answer(response)


def busy() -> Answer:
    """The line is refused without being answered: nobody to ring and no voicemail."""
    response = Element("Response")
    SubElement(response, "Reject", reason="busy")
    return _answer(response)


def nothing() -> Answer:
    """For callbacks, which only tell: nothing is to be done."""
    return _answer(Element("Response"))


def follow(on_answer: str, on_hangup: str) -> Answer:
    """sipgate's only: the call goes on as it would, and its answer and end are told there."""
    return _answer(Element("Response", onAnswer=on_answer, onHangup=on_hangup))


def _ask(voice: Voice, text: str, digits: int, to: str, dialect: Dialect) -> Answer:
    # A caller who keys nothing goes on to the next verb, and so to the same address.
    response = Element("Response")
    gather = SubElement(
        response,
        "Gather",
        action=to,
        method="POST",
        numDigits=str(digits),
        timeout=str(CODE_WAIT),
        finishOnKey="#",
    )
    _say(gather, text, voice, dialect)
    SubElement(response, "Redirect", method="POST").text = to
    return _answer(response)


def _say(parent: Element, text: str, voice: Voice, dialect: Dialect) -> None:
    attributes = {**dialect.say, "language": voice.language}
    SubElement(parent, "Say", attributes).text = _clean(text)


def _noun(address: str, dialect: Dialect) -> tuple[str, str]:
    scheme, _, rest = address.partition(":")
    noun = dialect.nouns.get(scheme, "Number")
    return noun, rest if noun == "Client" else address


def _clean(text: str) -> str:
    return _NOT_XML.sub("", text)


def _answer(response: Element) -> Answer:
    content: bytes = tostring(response, encoding="utf-8", xml_declaration=True)
    return Answer(body=content, content_type="text/xml; charset=utf-8")
