"""The doors of a telephone line: the provider asks what to do, and tells what became of the call.

Twilio and Telnyx share them: TeXML is TwiML with other attributes (`shared.channels.phone.telnyx`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parsed, WebhookRequest
from shared.channels.phone import carried, twiml
from shared.channels.phone.call import Told
from shared.channels.phone.lines import Keys, concluded, owner_of
from shared.channels.phone.outcomes import Fact, Step, fact, step_of
from shared.channels.phone.told import sid_of, told_by
from shared.channels.phone.twiml import TWIML, Dialect
from shared.channels.phone.voice import Voice, region_of, voice_of
from shared.channels.providers import twilio
from shared.errors import NotFound, Refused
from shared.numbers import to_e164

_MAX_BODY: Final = 128 * 1024  # Twilio's own are about 2 kB, one with a transcript a few more
Seals = Callable[[Account], Sequence[str]]


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
        require_door(request.path)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """One request of one call. Raises NotFound for an unknown door, and Unreadable for a
        body that is no form or names no call."""
        require_door(request.path)
        return _TWILIO.parse(request, twilio.form(request), account, accounts)


@dataclass(frozen=True, slots=True)
class Forms:
    """The requests of a call as forms, and the answers as a markup.

    seals    the secrets that seal our own addresses; none where the provider signs the whole URL
    parties  the doors whose requests do not name both numbers; all of them for None
    """

    dialect: Dialect
    keys: Keys
    seals: Seals
    parties: Sequence[str] | None

    def parse(
        self,
        request: WebhookRequest,
        form: Mapping[str, str],
        account: Account,
        accounts: Accounts,
    ) -> Parsed:
        brought = carried.read(request.query, sid_of(form), self.seals(account))
        step = step_of(request.path, form) or "voice"
        told = told_by(step, form, brought, request.received_at)
        owner = owner_of(told.ours, account, accounts, self.keys)
        voice = voice_of(owner or account)
        stated = fact(step, form, voice)
        reachable = to_e164(told.theirs or "", region_of(account)) is not None
        if stated == "asked" and not reachable:
            stated = "unanswered" if voice.voicemail else "gone"
        scene = _Scene(voice, _Doors(account, told, self), self.dialect, reachable)
        answer = _answer(step, stated, scene)
        return concluded(told, stated, owner, request.body, answer)


_TWILIO: Final = Forms(
    TWIML,
    lambda account: account.secrets("auth_token"),
    lambda _: (),
    ("/recording", "/transcript"),
)


class _Doors:
    """The addresses the provider shall request next about this call.

    They carry what the later requests lack, because no state is kept here: the start of the call,
    the code that was keyed in, and where a request names neither party, both numbers.
    """

    def __init__(self, account: Account, told: Told, forms: Forms) -> None:
        self._account, self._told, self._forms = account, told, forms
        self._start = {"at": str(int(told.occurred_at.timestamp())), "digits": told.digits}
        parties = (told.theirs or "", told.ours)
        caller, called = reversed(parties) if told.outbound else parties
        self._parties = {"from": caller, "to": called}

    def __call__(self, path: str) -> str:
        named = self._forms.parties
        values = self._start | (self._parties if named is None or path in named else {})
        query = carried.written(values, self._told.id, self._forms.seals(self._account))
        return twilio.address(self._account, path, query)


@dataclass(frozen=True, slots=True)
class _Scene:
    """Who hears the answer, and where their call goes on."""

    voice: Voice
    door: twiml.Door
    dialect: Dialect
    can_be_called: bool


def _answer(step: Step, stated: Fact, scene: _Scene) -> Answer:
    voice, door, dialect = scene.voice, scene.door, scene.dialect
    opening = step in ("voice", "code") and stated == "ringing"
    if stated == "busy":
        return twiml.busy()
    if opening and step == "voice" and voice.code:
        return twiml.ask_code(voice, door, dialect)
    if opening and voice.dial:
        return twiml.ring(voice, door, dialect)
    if stated == "asked":
        return twiml.thank(voice, dialect)
    waiting = stated in ("ringing", "unanswered")
    if waiting and step != "callback" and voice.callback and scene.can_be_called:
        return twiml.offer_callback(voice, door, dialect)
    # To a caller who is gone this says nothing; to one who is still there after all, it helps.
    if voice.voicemail and (waiting or stated == "gone"):
        return twiml.record(voice, door, dialect)
    return twiml.nothing() if step in ("recording", "transcript", "status") else twiml.hang_up()


def require_door(path: str) -> None:
    """Raises NotFound for a path no request of a call goes to."""
    if step_of(path, {}) is None:
        raise NotFound(
            "no such telephone door: use the account's webhook address itself for incoming calls, "
            "and /status behind it for call status changes"
        )
