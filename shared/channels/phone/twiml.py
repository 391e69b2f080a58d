"""What Twilio is told to do with the caller: TwiML, built as a tree so that all is escaped.

Source: twilio.com/docs/voice/twiml, pages Dial, Number, Record, Say, Reject and Hangup.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from shared.channels import Answer
from shared.channels.phone.voice import Voice

Door = Callable[[str], str]  # a path, such as `/dialed`, to the address Twilio shall request

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def ring(voice: Voice, door: Door) -> Answer:
    """All of `voice.dial` ring until one answers; `/dialed` is asked what comes next.

    The line itself counts as answered only once a person does (answerOnBridge), so that a caller
    hears it ring, and one who gives up is a call that was never answered.
    """
    response = Element("Response")
    dial = SubElement(
        response,
        "Dial",
        timeout=str(voice.timeout),
        answerOnBridge="true",
        action=door("/dialed"),
        method="POST",
    )
    for address in voice.dial:
        noun, bare = _noun(address)
        SubElement(dial, noun).text = _clean(bare)
    return _answer(response)


def record(voice: Voice, door: Door) -> Answer:
    """The greeting, then the tone. `/recorded` gets the recording when the caller is done.

    After silence Twilio skips `action` and goes on to the next verb: that leads to `/recorded` as
    well, so that someone who said nothing is a missed call at once.
    """
    response = Element("Response")
    SubElement(response, "Say", language=voice.language).text = _clean(voice.greeting)
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
        recording.set("transcribe", "true")
        recording.set("transcribeCallback", door("/transcript"))
    SubElement(response, "Redirect", method="POST").text = door("/recorded")
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


def _noun(address: str) -> tuple[str, str]:
    scheme, _, rest = address.partition(":")
    if scheme == "client":
        return "Client", rest
    return ("Sip" if scheme in ("sip", "sips") else "Number"), address


def _clean(text: str) -> str:
    return _NOT_XML.sub("", text)


def _answer(response: Element) -> Answer:
    content: bytes = tostring(response, encoding="utf-8", xml_declaration=True)
    return Answer(body=content, content_type="text/xml; charset=utf-8")
