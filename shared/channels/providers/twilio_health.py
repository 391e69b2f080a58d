"""Whether Twilio knows an account of ours, and calls us for its calls and messages.

Source: twilio.com/docs, "Accounts resource", "IncomingPhoneNumbers resource", "Applications
resource", "Short Codes resource", "Messaging Services resource" (v1) and "Senders API" (v2), 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.asking import Asked, ask, refused
from shared.channels.hooks import hooked
from shared.channels.posting import basic
from shared.channels.wire import list_at, mapping_at, text_at

_API: Final = "https://api.twilio.com"
_MESSAGING: Final = "https://messaging.twilio.com"
_HOOK: Final = "webhook address"
# The list that is asked, the number's field in it, and the list's own name. It also finds numbers
# that only contain this one.
_LONG: Final = ("/IncomingPhoneNumbers.json?PhoneNumber", "phone_number", "incoming_phone_numbers")
_SHORT: Final = ("/SMS/ShortCodes.json?ShortCode", "short_code", "short_codes")
_KIND: Final = {"phone": "voice", "sms": "sms"}


class TwilioHealth:
    """Account settings: `account_sid`, `auth_token`, `number`, `messaging_service`."""

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        if not text_at(dict(account.settings), "account_sid"):
            advice = "not looked at: give the account its account_sid, from the console"
            return [Finding("Twilio's side", False, advice)]
        twilio = _Twilio(account, http)
        found = await twilio.signed_in()
        if all(each.ok for each in found):
            by_whatsapp = account.channel == "whatsapp"
            found += await (twilio.sender() if by_whatsapp else twilio.number())
        return found


class _Twilio:
    """A few questions about one account."""

    def __init__(self, account: Account, http: httpx.AsyncClient) -> None:
        self._account, self._http = account, http
        self._settings = dict(account.settings)
        self._sid = text_at(self._settings, "account_sid")

    async def signed_in(self) -> list[Finding]:
        answer = await self._core(".json")
        if answer.status != 200:
            return [refused(answer, "account_sid and auth_token", "Twilio")]
        status = text_at(answer.document, "status")
        advice = f"the account is {status}: settle that in Twilio's console"
        active = status in ("active", "")
        return [
            Finding("account_sid and auth_token", True),
            Finding("Twilio account", active, "" if active else advice),
        ]

    async def number(self) -> list[Finding]:
        """Of a telephone line, or of text messages."""
        service = text_at(self._settings, "messaging_service")
        if service and self._account.channel == "sms":
            return await self._service(service)
        return await self._own_number()

    async def _own_number(self) -> list[Finding]:
        number = text_at(self._settings, "number")
        if not number.lstrip("+").isdigit():
            return []  # a name: nobody can answer it
        path, field, listed = _LONG if number.startswith("+") else _SHORT
        answer = await self._core(f"{path}={quote(number)}")
        if answer.status != 200:
            return [refused(answer, "the number", "Twilio")]
        ours = [each for each in list_at(answer.document, listed) if text_at(each, field) == number]
        if not ours:
            advice = f"{number} is no number of this Twilio account: compare number and account_sid"
            return [Finding("the number", False, advice)]
        return [Finding("the number", True), *await self._hooks(ours[0])]

    async def _hooks(self, number: Mapping[str, Any]) -> list[Finding]:
        kind = _KIND[self._account.channel]
        if kind == "voice" and text_at(number, "trunk_sid"):
            advice = "its calls go to a SIP trunk: let Twilio's console configure it by webhook"
            return [Finding(_HOOK, False, advice, "subscription")]
        if application := text_at(number, f"{kind}_application_sid"):
            answer = await self._core(f"/Applications/{application}.json")
            if answer.status != 200:
                return [refused(answer, "the number's application", "Twilio")]
            number = mapping_at({"": answer.document}, "")
        where = "A call comes in" if kind == "voice" else "A message comes in"
        method = text_at(number, f"{kind}_method") or "POST"
        found = [hooked(_HOOK, text_at(number, f"{kind}_url"), self._account, where, method=method)]
        if kind == "voice":
            found.append(self._status_hook(number))
        return found

    def _status_hook(self, number: Mapping[str, Any]) -> Finding:
        url, method = text_at(number, "status_callback"), text_at(number, "status_callback_method")
        where = "Call status changes"
        return hooked("status address", url, self._account, where, "/status", method or "POST")

    async def _service(self, service: str) -> list[Finding]:
        """Its address serves all of its senders, unless it leaves that to their own."""
        answer = await self._messaging(f"/v1/Services/{quote(service)}")
        if answer.status != 200:
            return [refused(answer, "messaging_service", "Twilio")]
        found = [Finding("messaging_service", True)]
        told = mapping_at({"": answer.document}, "")
        if told.get("use_inbound_webhook_on_number") is True:
            return [*found, *await self._own_number()]
        url, method = text_at(told, "inbound_request_url"), text_at(told, "inbound_method")
        where = "the service's Integration, Send a webhook,"
        return [*found, hooked(_HOOK, url, self._account, where, method=method or "POST")]

    async def sender(self) -> list[Finding]:
        """Of WhatsApp. One in a messaging service has the service's address, not its own."""
        answer = await self._messaging("/v2/Channels/Senders?Channel=whatsapp&PageSize=100")
        if answer.status != 200:
            return [refused(answer, "the sender", "Twilio")]
        id = f"whatsapp:{text_at(self._settings, 'number')}"
        ours = [s for s in list_at(answer.document, "senders") if text_at(s, "sender_id") == id]
        if not ours:
            advice = "no WhatsApp sender of this Twilio account has the number: compare both"
            return [Finding("the sender", False, advice)]
        whole = await self._messaging(f"/v2/Channels/Senders/{quote(text_at(ours[0], 'sid'))}")
        if whole.status != 200:
            return [refused(whole, "the sender", "Twilio")]
        found = [_online(text_at(whole.document, "status"))]
        if service := text_at(self._settings, "messaging_service"):
            return [*found, *await self._service(service)]
        hook = mapping_at(whole.document, "webhook")
        url, method = text_at(hook, "callback_url"), text_at(hook, "callback_method")
        where = "the sender's Webhook URL for incoming messages"
        return [*found, hooked(_HOOK, url, self._account, where, method=method or "POST")]

    async def _core(self, path: str) -> Asked:
        return await self._ask(_API, f"/2010-04-01/Accounts/{self._sid}{path}")

    async def _messaging(self, path: str) -> Asked:
        return await self._ask(_MESSAGING, path)

    async def _ask(self, host: str, path: str) -> Asked:
        base = (text_at(self._settings, "api_base") or host).rstrip("/")
        return await ask(
            self._http, base + path, basic(self._sid, self._account.secrets("auth_token")[0])
        )


def _online(status: str) -> Finding:
    online = status.upper().startswith("ONLINE")
    advice = f"the sender is {status or 'of no known status'}: see WhatsApp senders in the console"
    return Finding("the sender", online, "" if online else advice)
