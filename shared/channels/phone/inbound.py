"""The doors of a telephone line: Twilio asks what to do, and tells what became of the call."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.phone import twiml
from shared.channels.phone.items import messages
from shared.channels.phone.outcomes import OUTCOMES, Fact, Step, fact, step_of
from shared.channels.phone.told import Told, told_by
from shared.channels.phone.voice import Voice, region_of, voice_of
from shared.channels.providers import twilio
from shared.errors import NotFound, Refused
from shared.numbers import to_e164

_MAX_BODY: Final = 128 * 1024  # Twilio's own are about 2 kB, one with a transcript a few more


class TwilioInbound:
    """Voice webhooks of Twilio: `/webhooks/<account>` and the doors below it."""

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        """Twilio has none: a GET comes from a console left on the wrong method."""
        raise Refused("Twilio must use HTTP POST here: set it beside the URL in its console")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        twilio.verify(request, account)
        _require_door(request.path)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """One request of one call. Raises NotFound for an unknown door, and Unreadable for a
        body that is no form or names no call."""
        _require_door(request.path)
        told = told_by(request, twilio.form(request))
        owner = _owner(told.ours, account, accounts)
        step = step_of(request.path, told.form) or "voice"
        voice = voice_of(owner or account)
        stated = fact(step, told.form, voice)
        answer = _answer(step, stated, voice, _Doors(account, told))
        kind = OUTCOMES[stated]
        # A leg to the desk is part of the caller's call, not a call of its own.
        if kind is None or (told.leg and owner is None):
            return Parsed(answer=answer)
        reason = _unfit(told, owner)
        if owner is None or reason:
            parked = Parked(request.body, reason, f"{told.sid} {kind}")
            return Parsed(parked=[parked], answer=answer)
        return Parsed(messages=messages(told, kind, owner), answer=answer)


class _Doors:
    """The addresses Twilio shall request next about this call.

    They carry what the later requests lack, because no state is kept here: the start of the call,
    and for a recording, which names neither party, both numbers. Twilio signs the whole URL, so
    what comes back is what was written.
    """

    def __init__(self, account: Account, told: Told) -> None:
        self._account = account
        self._start = {"at": str(int(told.occurred_at.timestamp()))}
        self._parties = {"from": told.form.get("From", ""), "to": told.form.get("To", "")}

    def __call__(self, path: str) -> str:
        carried = self._start | (self._parties if path in ("/recording", "/transcript") else {})
        return twilio.address(self._account, path, urlencode(carried))


def _answer(step: Step, stated: Fact, voice: Voice, door: twiml.Door) -> Answer:
    if step == "voice" and voice.dial:
        return twiml.ring(voice, door)
    if stated == "busy":
        return twiml.busy()
    # To a caller who is gone this says nothing; to one who is still there after all, it helps.
    if stated in ("ringing", "unanswered") or (stated == "gone" and voice.voicemail):
        return twiml.record(voice, door)
    return twiml.hang_up() if step in ("voice", "dialed", "recorded") else twiml.nothing()


def _require_door(path: str) -> None:
    if step_of(path, {}) is None:
        raise NotFound(
            "no such telephone door: use the account's webhook address itself for incoming calls, "
            "and /status behind it for call status changes"
        )


def _owner(number: str, account: Account, accounts: Accounts) -> Account | None:
    """The line with this number among those this auth token speaks for."""
    wanted = to_e164(number, region_of(account))
    tokens = set(account.secrets("auth_token"))
    for each in accounts:
        ours = to_e164(str(each.settings.get("number", "")), None)
        is_line = (each.channel, each.provider) == ("phone", "twilio")
        if is_line and wanted and ours == wanted and tokens & set(each.secrets("auth_token")):
            return each
    return None


def _unfit(told: Told, owner: Account | None) -> str:
    """Why this cannot become a message, or nothing."""
    if told.theirs is None:
        return (
            "the request names no caller: let Regie's own answers start the recording, "
            "or add ?from=…&to=… to its callback address"
        )
    if owner is None:
        return (
            f"{told.ours[:40] or 'no number'} is no line with this auth token: add it to the "
            "channels file, or take its webhook back in the Twilio console"
        )
    return ""
