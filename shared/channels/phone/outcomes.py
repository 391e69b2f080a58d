"""What one request of Twilio's says about the outcome of its call. Pure: two tables and readers.

Telnyx's TeXML makes the same requests, and the facts are those of every provider.

A call is told in up to nine requests; `step_of` says which one this is, `fact` what it states,
and OUTCOMES which kind of message that fact is worth. Each row stands by itself, whatever came
before: `shared.channels.calls` makes one outcome of them in any order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from shared.channels.phone.voice import Voice
from shared.events import Kind

Step = Literal[
    "voice", "code", "dialed", "callback", "recorded", "recording", "transcript", "status",
]  # fmt: skip
Fact = Literal[
    "ringing", "busy", "answered", "unanswered", "gone", "asked",
    "left", "nothing_left", "transcribed", "over", "reached", "silent",
]  # fmt: skip

OUTCOMES: Final[Mapping[Fact, Kind | None]] = {
    "ringing": None,  # the desk rings; nothing is known yet
    "busy": "call_missed",  # nobody to ring and no voicemail
    "answered": "call_ended",  # one of ours took it, and it is over
    "unanswered": None,  # nobody took it; the caller now hears the greeting and may speak
    "gone": "call_missed",  # nobody took it, and the caller hung up or there is no voicemail
    "asked": "callback_requested",  # they pressed 1 to be called back
    "left": "voicemail",  # a recording long enough to hold something
    "nothing_left": "call_missed",  # silence, or hung up at the tone
    # Its recording exists, should the requests that told of it never have reached us.
    "transcribed": "voicemail",
    # The line is down. This alone cannot tell an answered call from a missed one, so it is worth
    # the least: it counts where nothing else came, as when the caller hangs up in the greeting.
    "over": "call_missed",
    "reached": "call_ended",  # a call of ours to a customer
    "silent": None,  # progress, another leg, or something that decides nothing
}

_DOORS: Final[Mapping[str, Step]] = {
    "/code": "code", "/dialed": "dialed", "/callback": "callback", "/recorded": "recorded",
    "/recording": "recording", "/transcript": "transcript", "/status": "status",
}  # fmt: skip
# In this order, the first field that is there: the action of a <Dial> may carry a recording too,
# and the last status of Telnyx's everything.
_SHOWN_BY: Final[tuple[tuple[str, Step], ...]] = (
    ("CallbackSource", "status"),
    ("TranscriptionSid", "transcript"),
    ("TranscriptionStatus", "transcript"),
    ("RecordingStatus", "recording"),
    ("DialCallStatus", "dialed"),
    ("RecordingUrl", "recorded"),
)
_OVER: Final = frozenset({"completed", "busy", "no-answer", "canceled", "failed"})
# Recordings of conversations, started elsewhere: no voicemail.
_CONVERSATIONS: Final = frozenset({
    "DialVerb", "Conference", "OutboundAPI", "Trunking", "StartCallRecordingAPI",
    "StartCallRecordingTwiML", "StartCallRecordingTeXML", "StartConferenceRecordingAPI",
})  # fmt: skip
_NUMBER: Final = re.compile(r"-?[0-9]{1,7}", re.ASCII)


def step_of(path: str, form: Mapping[str, str]) -> Step | None:
    """Which request of a call this is; None for a path Regie has no door at.

    At the account's own address the fields decide, so that a console where one URL was pasted
    everywhere still gives every outcome.
    """
    if bare := path.rstrip("/"):
        return _DOORS.get(bare)
    for name, step in _SHOWN_BY:
        if form.get(name):
            return step
    return "status" if form.get("CallStatus") in _OVER else "voice"


def fact(step: Step, form: Mapping[str, str], voice: Voice) -> Fact:
    """What this request states of its call."""
    if outbound(form):
        return _of_ours(step, form)
    if step in ("voice", "code"):
        return "ringing" if voice.dial or voice.voicemail or voice.callback else "busy"
    if step == "callback":
        return _offered(form, voice)
    if step == "dialed":
        return _dialed(form, voice)
    if step == "transcript":
        done = form.get("TranscriptionStatus", "completed") == "completed"
        return "transcribed" if done and form.get("TranscriptionText", "").strip() else "silent"
    if step == "status":
        return _status(form)
    return _recorded(step, form, voice)


def outbound(form: Mapping[str, str]) -> bool:
    """Whether we placed the call (`outbound-api`, `outbound-dial`)."""
    return form.get("Direction", "").startswith("outbound")


def seconds(form: Mapping[str, str], name: str) -> int | None:
    """A length in whole seconds; Twilio's -1 is 0, and anything else it cannot be is None."""
    text = form.get(name, "")
    return max(int(text), 0) if _NUMBER.fullmatch(text) else None


def _status(form: Mapping[str, str]) -> Fact:
    if form.get("CallStatus") not in _OVER:
        return "silent"
    # Telnyx's last status may say how the desk's leg ended; Twilio's never does.
    return "answered" if _put_through(form) else "over"


def _put_through(form: Mapping[str, str]) -> bool:
    # `completed` is also said of a telephone that picked up without being put through.
    through = form.get("DialBridged", "true") != "false"
    return form.get("DialCallStatus") in ("completed", "answered") and through


def _dialed(form: Mapping[str, str], voice: Voice) -> Fact:
    if _put_through(form):
        return "answered"
    gone = form.get("CallStatus") in _OVER
    return "unanswered" if (voice.voicemail or voice.callback) and not gone else "gone"


def _offered(form: Mapping[str, str], voice: Voice) -> Fact:
    if form.get("Digits") == "1":
        return "asked"
    return "unanswered" if voice.voicemail and form.get("CallStatus") not in _OVER else "gone"


def _recorded(step: Step, form: Mapping[str, str], voice: Voice) -> Fact:
    if form.get("RecordingSource") in _CONVERSATIONS:
        return "silent"
    status = form.get("RecordingStatus", "completed")
    if step == "recording" and status not in ("completed", "absent", "failed"):
        return "silent"
    length = seconds(form, "RecordingDuration")
    # An unknown length is kept: rather a silent recording too many than a customer unheard.
    long_enough = length is None or length >= voice.shortest_voicemail
    there = status == "completed" and form.get("RecordingUrl")
    return "left" if there and long_enough else "nothing_left"


def _of_ours(step: Step, form: Mapping[str, str]) -> Fact:
    over = step == "status" and form.get("CallStatus") == "completed"
    return "reached" if over else "silent"
