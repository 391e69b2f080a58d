"""Telephone by Vonage Voice: the answer to a call, and the events of all its legs.

Source: developer.vonage.com/voice/voice-api/webhook-reference. `conversation_uuid` is one for the
caller and every telephone of ours that is made to ring, so it is the call's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.phone import carried, ncco
from shared.channels.phone.call import (
    Told,
    between,
    call_id,
    earliest,
    international,
    keys,
    recording,
    time_of,
)
from shared.channels.phone.lines import concluded, owner_of, unknown
from shared.channels.phone.outcomes import Fact
from shared.channels.phone.voice import Voice, region_of, voice_of
from shared.channels.phone.vonage_events import Event, Step, fact, step_of
from shared.channels.providers import twilio, vonage
from shared.channels.wire import load, text_at
from shared.errors import NotFound, Refused, Unreadable
from shared.numbers import to_e164

_MAX_BODY: Final = 128 * 1024


class VonageInbound:
    """Voice webhooks of Vonage: `/webhooks/<account>` for the answer, and the doors below it."""

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        """Vonage has none: a GET is the answer webhook with its default method, whose parameters
        the signature would not cover."""
        raise Refused("Vonage must use POST here: set the method of the answer and event URLs")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        vonage.verify(request, account)
        _require_door(request.path)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """One webhook. Raises NotFound for an unknown door, and Unreadable for a body that is of
        no call."""
        _require_door(request.path)
        body = load(request.body)
        if not isinstance(body, dict):
            raise Unreadable("the body is not a JSON object")
        return _Request(request, body, account, accounts).parsed()


class _Request:
    """One webhook and what is known with it."""

    def __init__(
        self, request: WebhookRequest, body: dict[str, Any], account: Account, accounts: Accounts
    ) -> None:
        self._request, self._body, self._account = request, body, account
        self._id = call_id(text_at(body, "conversation_uuid") or text_at(body, "uuid"))
        self._brought = carried.read(request.query, self._id, _secrets(account))
        self._step = step_of(request.path, body) or "event"
        owner, self._told = self._tell(accounts)
        self._owner = owner
        self._voice = voice_of(owner or account)

    def parsed(self) -> Parsed:
        if "reason" in self._body and "status" not in self._body:
            return Parsed(parked=[Parked(self._request.body, _ERROR, f"{self._id} error")])
        stated = fact(self._event(), self._voice)
        if stated is None:
            what = text_at(self._body, "status") or text_at(self._body, "type")
            return unknown(self._id, what, self._request.body, self._answer("silent"))
        if stated == "asked" and not self._can_be_called():
            stated = "unanswered" if self._voice.voicemail else "gone"
        answer = self._answer(stated)
        return concluded(self._told, stated, self._owner, self._request.body, answer)

    def _tell(self, accounts: Accounts) -> tuple[Account | None, Told]:
        body, brought = self._body, self._brought
        caller, called = self._party("from"), self._party("to")
        # Of a leg to the desk the parties are ours both: the caller is who our address names.
        outgoing = text_at(body, "direction") == "outbound" and "to" not in brought
        ours, theirs = (caller, called) if outgoing else (called, caller)
        owner = owner_of(ours or "", self._account, accounts, _secrets)
        recorded = between(text_at(body, "start_time"), text_at(body, "end_time"))
        return owner, Told(
            id=self._id,
            theirs=theirs,
            ours=ours or "",
            outbound=outgoing,
            leg=outgoing and _rings_the_desk(called or "", owner or self._account),
            occurred_at=earliest(self._request.received_at, *self._times()),
            received_at=self._request.received_at,
            raw=body,
            digits=keys(_pressed(body) if self._step == "code" else brought.get("digits", "")),
            talked=_seconds(body),
            recorded=recorded if self._step == "recorded" else 0,
            recording=recording(
                text_at(body, "recording_url"), text_at(body, "recording_uuid"), "audio/wav"
            ),
        )

    def _party(self, name: str) -> str | None:
        """A number with its plus; None where neither our address nor the body names it."""
        if name in self._brought:
            return international(self._brought[name])
        return international(text_at(self._body, name)) if name in self._body else None

    def _times(self) -> list[Any]:
        told = (self._brought.get("at", ""), *(text_at(self._body, name) for name in _TIMES))
        return [time_of(text) for text in told]

    def _event(self) -> Event:
        told = self._told
        return Event(
            step=self._step,
            status=text_at(self._body, "status").lower(),
            type=text_at(self._body, "type").lower(),
            outbound=told.outbound,
            leg=told.leg,
            pressed=_pressed(self._body),
            talked=told.talked,
            recorded=told.recorded if "end_time" in self._body else None,
            recording=told.recording is not None,
            more=self._turn() + 1 < len(self._voice.dial),
        )

    def _turn(self) -> int:
        text = self._brought.get("turn", "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 0

    def _answer(self, stated: Fact) -> Answer:
        voice, step = self._voice, self._step
        opening = step in ("answer", "code") and stated == "ringing"
        if opening and step == "answer" and voice.code:
            return ncco.ask_code(voice, self._door)
        if opening and voice.dial:
            return ncco.ring(voice, self._account, 0, self._door)
        if step == "dialed" and stated == "unanswered" and self._turn() + 1 < len(voice.dial):
            return ncco.ring(voice, self._account, self._turn() + 1, self._door)
        if stated == "asked":
            return ncco.thank(voice)
        if stated in ("ringing", "unanswered"):
            return self._nobody()
        return ncco.hang_up() if step in ("answer", "code", "callback") else Answer()

    def _nobody(self) -> Answer:
        """Nobody is there to answer: what the caller may do instead."""
        offered = self._step != "callback" and self._voice.callback
        if offered and self._can_be_called():
            return ncco.offer_callback(self._voice, self._door)
        return ncco.record(self._voice, self._door) if self._voice.voicemail else ncco.hang_up()

    def _can_be_called(self) -> bool:
        return to_e164(self._told.theirs or "", region_of(self._account)) is not None

    def _door(self, path: str, **more: str) -> str:
        told = self._told
        values = {
            "at": str(int(told.occurred_at.timestamp())),
            "from": told.theirs or "withheld",
            "to": told.ours,
            "digits": told.digits,
            **more,
        }
        query = carried.written(values, told.id, _secrets(self._account))
        return twilio.address(self._account, path, query)


_TIMES: Final = ("timestamp", "start_time")
_ERROR: Final = (
    "Vonage could not carry out Regie's answer to a call, and says why in `reason`: the caller may "
    "have heard nothing. Check the numbers under `dial` and the language of this line"
)


def _secrets(account: Account) -> tuple[str, ...]:
    return account.secrets("signature_secret")


def _pressed(body: Mapping[str, Any]) -> str:
    """The keys: in the older form of `input` a text, in the newer one an object."""
    return text_at(body, "dtmf") or text_at(body.get("dtmf"), "digits")


def _seconds(body: Mapping[str, Any]) -> int:
    text = text_at(body, "duration").partition(".")[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _rings_the_desk(number: str, line: Account) -> bool:
    voice: Voice = voice_of(line)
    region = region_of(line)
    wanted = to_e164(number, region) or number
    return wanted in {to_e164(each, region) or each for each in voice.dial}


def _require_door(path: str) -> None:
    step: Step | None = step_of(path, {})
    if step is None:
        raise NotFound(
            "no such telephone door: use the account's webhook address itself as answer URL, and "
            "/status behind it as event URL"
        )
