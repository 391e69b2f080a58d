"""Whether Vonage knows an account of ours, and calls us for its calls and messages.

Source: developer.vonage.com, "Account API: get account balance", "Numbers API: list the numbers you
own", "Application API v2: get an application" and "Voice API: get details of calls", 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.asking import Asked, ask, refused
from shared.channels.hooks import hooked
from shared.channels.posting import basic, bearer
from shared.channels.providers import vonage
from shared.channels.wire import list_at, mapping_at, text_at
from shared.errors import Misconfigured

_API: Final = "https://api.nexmo.com"
_REST: Final = "https://rest.nexmo.com"
_HOOK: Final = "webhook address"
# Of a channel: the application's capability, its two webhooks, and what the dashboard calls them.
_DOORS: Final = {
    "phone": ("voice", ("answer_url", "Answer URL"), ("event_url", "Event URL")),
    "sms": ("messages", ("inbound_url", "Inbound URL"), ("status_url", "Status URL")),
}


def _now() -> datetime:
    return datetime.now(UTC)


class VonageHealth:
    """Account settings: `api_key` with `api_secret`, which alone may see the webhooks;
    `application_id` with `private_key`; `number`. `now` dates the tokens."""

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        questions, settings = _Vonage(account, http), dict(account.settings)
        found = []
        if account.secrets("private_key") and account.channel == "phone":
            found.append(await questions.application_key(self._now()))
        if not (text_at(settings, "api_key") and account.secrets("api_secret")):
            advice = "its webhooks are not looked at: give the account api_key and api_secret"
            return [*found, Finding("Vonage's side", False, advice)]
        signed_in = await questions.signed_in()
        found += signed_in
        if signed_in[0].ok:
            found += await questions.number(text_at(settings, "number").lstrip("+"))
        return found


class _Vonage:
    """A few questions about one account."""

    def __init__(self, account: Account, http: httpx.AsyncClient) -> None:
        self._account, self._http = account, http
        self._settings = dict(account.settings)
        self._application = text_at(self._settings, "application_id")

    async def application_key(self, now: datetime) -> Finding:
        what = "application_id and private_key"
        try:
            token = vonage.token(self._account, now, str(uuid4()))
        except Misconfigured as error:
            return Finding(what, False, str(error))
        answer = await ask(self._http, self._at(_API, "/v1/calls?page_size=1"), bearer(token))
        if answer.status == 200:
            return Finding(what, True)
        return refused(answer, what, "Vonage")

    async def signed_in(self) -> list[Finding]:
        what = "api_key and api_secret"
        answer = await self._ask(_REST, "/account/get-balance")
        if answer.status != 200:
            return [refused(answer, what, "Vonage")]
        value = text_at(answer.document, "value")
        empty = value.startswith("-") or value in ("0", "0.0")
        advice = "the balance is used up: top it up in Vonage's dashboard"
        return [Finding(what, True), Finding("balance", not empty, advice if empty else "")]

    async def number(self, digits: str) -> list[Finding]:
        """Whose calls and messages go to an application, or to the number's own address."""
        if not digits.isdigit():
            return []  # a name: nobody can answer it
        answer = await self._ask(
            _REST, f"/account/numbers?pattern={quote(digits)}&search_pattern=1"
        )
        if answer.status != 200:
            return [refused(answer, "the number", "Vonage")]
        listed = list_at(answer.document, "numbers")
        ours = next((each for each in listed if text_at(each, "msisdn") == digits), None)
        if ours is None:
            advice = f"+{digits} is no number of this Vonage account: compare number and api_key"
            return [Finding("the number", False, advice)]
        if linked := text_at(ours, "app_id"):
            return [Finding("the number", True), *await self._application_hooks(linked, ours)]
        return [Finding("the number", True), self._own_hook(ours)]

    def _own_hook(self, number: Mapping[str, Any]) -> Finding:
        if self._account.channel == "phone":
            advice = "link the number to the application whose Answer URL is ours (Numbers)"
            return Finding(_HOOK, False, advice, "subscription")
        # One that has no address of its own has that of the API settings, which cannot be read.
        url = text_at(number, "moHttpUrl")
        if not url:
            return Finding("the number uses the address in API settings", True)
        return hooked(_HOOK, url, self._account, "the number's SMS webhook")

    async def _application_hooks(self, linked: str, number: Mapping[str, Any]) -> list[Finding]:
        if self._application and linked != self._application:
            advice = f"the number is linked to application {linked}: link it to application_id"
            return [Finding(_HOOK, False, advice, "subscription")]
        answer = await self._ask(_API, f"/v2/applications/{quote(linked)}")
        if answer.status != 200:
            return [refused(answer, "the number's application", "Vonage")]
        capability, *doors = _DOORS[self._account.channel]
        capabilities = mapping_at(answer.document, "capabilities")
        if capability == "messages" and capability not in capabilities:
            return [self._own_hook(number)]  # an application for calls, and the SMS API for texts
        told = mapping_at(capabilities, capability)
        hooks = mapping_at(told, "webhooks")
        found = [self._door(hooks, *doors[0], _HOOK, "")]
        found.append(self._door(hooks, *doors[1], "status address", "/status"))
        if capability == "voice":
            signed = told.get("signed_callbacks") is not False
            advice = "switch Use signed webhooks on, in the application's Voice capability"
            found.append(Finding("signed webhooks", signed, "" if signed else advice))
        return found

    def _door(
        self, hooks: Mapping[str, Any], name: str, words: str, what: str, path: str
    ) -> Finding:
        hook = mapping_at(hooks, name)
        method = text_at(hook, "http_method") or "POST"
        where = f"the application's {words}"
        return hooked(what, text_at(hook, "address"), self._account, where, path, method)

    async def _ask(self, host: str, path: str) -> Asked:
        key, secret = text_at(self._settings, "api_key"), self._account.secrets("api_secret")[0]
        return await ask(self._http, self._at(host, path), basic(key, secret))

    def _at(self, host: str, path: str) -> str:
        return (text_at(self._settings, "api_base") or host).rstrip("/") + path
