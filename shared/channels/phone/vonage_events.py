"""What one webhook of Vonage's says about the outcome of its call. Pure: two tables and a reader.

Source: developer.vonage.com/voice/voice-api/guides/call-flow, "Event objects".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from shared.channels.phone.outcomes import Fact
from shared.channels.phone.voice import Voice

Step = Literal["answer", "code", "dialed", "callback", "recorded", "event"]

_DOORS: Final[Mapping[str, Step]] = {
    "/code": "code", "/dialed": "dialed", "/callback": "callback", "/recorded": "recorded",
    "/status": "event",
}  # fmt: skip
# On the way, or about something else than the outcome.
_PROGRESS: Final = frozenset({
    "started", "ringing", "answered", "human", "machine", "input", "notify", "transfer", "record",
    "recording", "transcribed", "disconnected", "asr", "sip:hangup", "payment",
})  # fmt: skip
# The telephone did not answer, but the caller may still be there.
_UNANSWERED: Final = frozenset({"busy", "failed", "rejected", "timeout", "unanswered"})
_OVER: Final = _UNANSWERED | {"cancelled", "completed"}


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook, as far as it matters here. Lengths in seconds; `recorded` None: not told.

    leg   it is about a telephone of ours that was made to ring, told without its caller
    more  another one may ring after the one this is about
    """

    step: Step
    status: str
    type: str
    outbound: bool
    leg: bool
    pressed: str
    talked: int
    recorded: int | None
    recording: bool
    more: bool


def step_of(path: str, body: Mapping[str, Any]) -> Step | None:
    """Which webhook of a call this is; None for a path Regie has no door at.

    At the account's own address the fields decide, so that one URL may stand everywhere.
    """
    if bare := path.rstrip("/"):
        return _DOORS.get(bare)
    if body.get("recording_url"):
        return "recorded"
    told = ("status", "type", "reason", "dtmf", "speech", "payload")
    return "event" if any(name in body for name in told) else "answer"


def fact(event: Event, voice: Voice) -> Fact | None:
    """What it states of its call; None where it is nothing this knows."""
    if event.step in ("answer", "code"):
        return "ringing" if voice.dial or voice.voicemail or voice.callback else "busy"
    if event.step == "callback":
        asked = event.pressed == "1"
        return "asked" if asked else ("unanswered" if voice.voicemail else "gone")
    if event.step == "recorded":
        return _recorded(event, voice)
    known = event.status in _PROGRESS | _OVER or event.type in _PROGRESS or bool(event.pressed)
    if not known:
        return None
    if event.status not in _OVER or event.leg:
        return "silent"
    return _dialed(event, voice) if event.step == "dialed" else _ended(event)


def _dialed(event: Event, voice: Voice) -> Fact:
    if event.status == "completed":
        # Said at the end of every leg, also of one that never answered: that one lasted no time.
        return "answered" if event.talked else "silent"
    if event.status == "cancelled":
        return "gone"  # the caller hung up while it rang
    return "unanswered" if event.more or voice.voicemail or voice.callback else "gone"


def _ended(event: Event) -> Fact:
    if event.outbound:
        return "reached" if event.status == "completed" and event.talked else "silent"
    return "over"


def _recorded(event: Event, voice: Voice) -> Fact:
    if not event.recording:
        return "silent"
    # An unknown length is kept: rather a silent recording too many than a customer unheard.
    short = event.recorded is not None and event.recorded < voice.shortest_voicemail
    return "nothing_left" if short else "left"
