"""Whether Telnyx knows an account of ours, and calls us for its calls and messages.

Source: developers.telnyx.com, "List phone numbers", "Retrieve a TeXML application", "Retrieve a
call control application" and "Retrieve a messaging profile" (API v2, 2026).
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
from shared.channels.posting import bearer
from shared.channels.wire import list_at, mapping_at, text_at

_API: Final = "https://api.telnyx.com"
_HOOK: Final = "webhook address"


class TelnyxHealth:
    """Account settings: `api_key`, `number`, `messaging_service` (a messaging profile's id)."""

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        if not account.secrets("api_key"):
            advice = "not looked at: give the account an api_key, from Keys & Credentials"
            return [Finding("Telnyx' side", False, advice)]
        telnyx = _Telnyx(account, http)
        number = text_at(dict(account.settings), "number")
        found, told = await telnyx.number(number)
        if not all(each.ok for each in found):
            return found
        if account.channel == "phone":
            return [*found, *await telnyx.connection(text_at(told, "connection_id"))]
        profile = text_at(dict(account.settings), "messaging_service")
        return [*found, *await telnyx.profile(profile or text_at(told, "messaging_profile_id"))]


class _Telnyx:
    """A few questions about one account."""

    def __init__(self, account: Account, http: httpx.AsyncClient) -> None:
        self._account, self._http = account, http

    async def number(self, number: str) -> tuple[list[Finding], Mapping[str, Any]]:
        """Also what Telnyx tells of it; nothing where it is a name or a short code."""
        if not number.startswith("+"):
            answer = await self._ask("/phone_numbers?page[size]=1")
            good = answer.status == 200
            return (
                [Finding("api_key", True)] if good else [refused(answer, "api_key", "Telnyx")]
            ), {}
        answer = await self._ask(f"/phone_numbers?filter[phone_number]={quote(number)}")
        if answer.status != 200:
            return [refused(answer, "api_key", "Telnyx")], {}
        listed = list_at(answer.document, "data")
        same = (each for each in listed if text_at(each, "phone_number") == number)
        ours: Mapping[str, Any] = next(same, {})
        status = text_at(ours, "status")
        advice = f"{number} is no number of this Telnyx account: compare number and api_key"
        if ours:
            advice = f"the number is {status}: see My Numbers in the portal"
        good = status == "active"
        return [Finding("api_key", True), Finding("the number", good, "" if good else advice)], ours

    async def connection(self, id: str) -> list[Finding]:
        """A TeXML application, or one of Call Control that hands its webhooks on."""
        if not id:
            advice = "the number has no connection: assign it to the TeXML application"
            return [Finding(_HOOK, False, advice, "subscription")]
        answer = await self._ask(f"/texml_applications/{quote(id)}")
        if answer.status == 404:
            return await self._call_control(id)
        if answer.status != 200:
            return [refused(answer, "the number's application", "Telnyx")]
        told = mapping_at(answer.document, "data")
        where = "the TeXML application's Webhook URL"
        return [
            self._hooked(_HOOK, told, "voice_url", "voice_method", where),
            self._hooked(
                "status address", told, "status_callback", "status_callback_method",
                "the TeXML application's Status Callback", "/status",
            ),
        ]  # fmt: skip

    async def _call_control(self, id: str) -> list[Finding]:
        answer = await self._ask(f"/call_control_applications/{quote(id)}")
        if answer.status == 404:
            advice = "the number's connection has no webhooks: assign it to a TeXML application"
            return [Finding(_HOOK, False, advice, "subscription")]
        if answer.status != 200:
            return [refused(answer, "the number's application", "Telnyx")]
        # An application of the operator's own gets them first, and hands them on.
        return [Finding("directed by your own Call Control application", True)]

    async def profile(self, id: str) -> list[Finding]:
        if not id:
            advice = "the number is in no messaging profile: assign it to one in the portal"
            return [Finding(_HOOK, False, advice, "subscription")]
        answer = await self._ask(f"/messaging_profiles/{quote(id)}")
        if answer.status != 200:
            return [refused(answer, "the messaging profile", "Telnyx")]
        told = mapping_at(answer.document, "data")
        version, enabled = text_at(told, "webhook_api_version"), told.get("enabled") is not False
        off, old = "enable the profile in the portal", "set the profile's webhook API version to 2"
        where = "the messaging profile's Send a webhook to this URL"
        return [
            Finding("messaging profile", enabled, "" if enabled else off),
            Finding("webhook version", version == "2", "" if version == "2" else old),
            self._hooked(_HOOK, told, "webhook_url", "", where),
        ]

    def _hooked(
        self, what: str, told: Mapping[str, Any], url: str, method: str, where: str, path: str = ""
    ) -> Finding:
        by = text_at(told, method) or "POST"
        return hooked(what, text_at(told, url), self._account, where, path, by)

    async def _ask(self, path: str) -> Asked:
        base = (text_at(dict(self._account.settings), "api_base") or _API).rstrip("/")
        key = self._account.secrets("api_key")[0]
        return await ask(self._http, f"{base}/v2{path}", bearer(key))
