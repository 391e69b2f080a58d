"""Telnyx's Call Control: the events of calls that an application of the integrator's directs.

Source: developers.telnyx.com, "Voice API webhooks". Regie gives no commands here, it listens: the
same address as a second webhook, or the events handed on as they came. All legs of one call share
`call_session_id`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.accounts import Account
from shared.channels import Answer, Parsed, WebhookRequest
from shared.channels.phone.call import Told, between, call_id, earliest, recording, time_of
from shared.channels.phone.lines import concluded, unknown
from shared.channels.phone.outcomes import Fact
from shared.channels.phone.voice import region_of, voice_of
from shared.channels.providers.telnyx import Envelope
from shared.channels.wire import mapping_at, text_at
from shared.numbers import to_e164

FACTS: Final[Mapping[str, Fact]] = {
    "call.bridged": "answered",  # caller and desk were put through to each other
    "call.hangup": "over",
    "call.recording.saved": "left",
    "call.recording.transcription.saved": "transcribed",
    "call.initiated": "silent",
    "call.answered": "silent",  # of an incoming call: the application took it, or nobody did yet
}  # fmt: skip
# What goes on within a call, and decides nothing.
_WITHIN: Final = (
    "call.ai", "call.conversation", "call.cost", "call.deepfake", "call.dequeued", "call.dtmf",
    "call.enqueued",
    "call.fork", "call.gather", "call.hold", "call.left", "call.machine", "call.playback",
    "call.recording", "call.refer", "call.siprec", "call.speak", "call.stream", "call.streaming",
    "call.transcription", "call.unhold", "conference", "streaming",
)  # fmt: skip
Owner = Callable[[str], Account | None]


def parse_event(event: Envelope, request: WebhookRequest, account: Account, owner: Owner) -> Parsed:
    """Raises Unreadable where the event is of no call."""
    payload = event.payload
    id = call_id(text_at(payload, "call_session_id") or text_at(payload, "call_control_id"))
    stated = FACTS.get(event.type)
    if stated is None:
        if event.type.startswith(_WITHIN):
            return Parsed()
        return unknown(id, event.type, request.body, Answer())
    told = _told(event, id, request, account, owner)
    line = owner(told.ours)
    return concluded(told, _fact(stated, event, told, line), line, request.body, Answer())


def _told(
    event: Envelope, id: str, request: WebhookRequest, account: Account, owner: Owner
) -> Told:
    payload = event.payload
    caller, called = _party(payload, "from"), _party(payload, "to")
    line = owner(caller or "") if not owner(called or "") else None
    way = text_at(payload, "direction")
    outgoing = way == "outgoing" or (not way and line is not None)
    links = mapping_at(payload, "recording_urls") or mapping_at(payload, "public_recording_urls")
    started, ended = text_at(payload, "start_time"), text_at(payload, "end_time")
    return Told(
        id=id,
        theirs=called if outgoing else caller,
        ours=(caller if outgoing else called) or "",
        outbound=outgoing,
        leg=_rings_the_desk(called or "", line or account),
        occurred_at=earliest(request.received_at, event.occurred_at, time_of(started)),
        received_at=request.received_at,
        raw=dict(payload),
        name=text_at(payload, "caller_id_name") if not outgoing else "",
        talked=between(started, ended),
        recorded=between(
            text_at(payload, "recording_started_at"), text_at(payload, "recording_ended_at")
        ),
        recording=recording(
            text_at(links, "mp3") or text_at(links, "wav"), text_at(payload, "recording_id")
        ),
        transcript=text_at(payload, "transcription_text"),
        transcript_id=text_at(payload, "recording_transcription_id"),
    )


def _fact(stated: Fact, event: Envelope, told: Told, line: Account | None) -> Fact:
    if told.outbound:
        reached = event.type == "call.hangup" and told.talked and not told.leg
        return "reached" if reached else "silent"
    if stated == "transcribed":
        return "transcribed" if told.transcript else "silent"
    if stated == "left" and told.recorded and line is not None:
        short = told.recorded < voice_of(line).shortest_voicemail
        return "nothing_left" if short else "left"
    return stated


def _rings_the_desk(number: str, line: Account) -> bool:
    region = region_of(line)
    desk = {to_e164(each, region) or each for each in voice_of(line).dial}
    return (to_e164(number, region) or number) in desk


def _party(payload: Mapping[str, Any], name: str) -> str | None:
    return text_at(payload, name) if name in payload else None
