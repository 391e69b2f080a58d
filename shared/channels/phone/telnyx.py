"""Telephone by Telnyx: TeXML, whose requests are Twilio's, or the events of Call Control.

Source: developers.telnyx.com, "TeXML Fundamentals", its callbacks (texml-call-completed,
texml-recording-completed, texml-transcription …) and "Receiving webhooks" of the Voice API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parsed, WebhookRequest
from shared.channels.phone.call_control import Owner, parse_event
from shared.channels.phone.inbound import Forms, require_door
from shared.channels.phone.lines import owner_of
from shared.channels.phone.twiml import TEXML
from shared.channels.providers import telnyx
from shared.channels.wire import clean_text
from shared.errors import Refused, Unreadable

_MAX_BODY: Final = 256 * 1024
_MOST_FIELDS: Final = 1000
_JSON: Final = "application/json"


def _keys(account: Account) -> tuple[str, ...]:
    given = account.settings.get("public_key") or ()
    return (given,) if isinstance(given, str) else tuple(given)


# Telnyx signs the body alone. Our addresses are sealed where the account has a secret at all; who
# knew one without it would still have to send a body that Telnyx signed.
_FORMS: Final = Forms(TEXML, _keys, lambda account: account.secrets("api_key"), None)


class TelnyxInbound:
    """Voice webhooks of Telnyx: `/webhooks/<account>` and the doors below it."""

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        """Telnyx has none: a GET comes from an application left on the wrong method."""
        raise Refused("Telnyx must use POST here: set the voice and status methods to POST")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        telnyx.verify(request, account)
        require_door(request.path)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """One request of one call. Raises NotFound for an unknown door, and Unreadable for a
        body that names no call."""
        require_door(request.path)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == _JSON:
            event = telnyx.envelope(request)
            return parse_event(
                event, request, account, lambda number: owner_of(number, account, accounts, _keys)
            )
        form = _form(request.body)
        if _is_ours(form, lambda number: owner_of(number, account, accounts, _keys)):
            form["Direction"] = "outbound-api"
        return _FORMS.parse(request, form, account, accounts)


def _is_ours(form: Mapping[str, str], owner: Owner) -> bool:
    """Whether we placed the call: Telnyx's status callbacks do not all say which way it went."""
    if form.get("Direction"):
        return False
    return owner(form.get("To", "")) is None and owner(form.get("From", "")) is not None


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:
        raise Unreadable(f"the form cannot be read: {error}") from error
    return {clean_text(name): clean_text(value) for name, value in reversed(pairs)}
