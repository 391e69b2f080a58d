"""Whether Meta knows an account of ours, lets it send, and sends us its webhooks.

Sources: developers.facebook.com, "Business phone number reference", "WhatsApp Business Account:
subscribed_apps", "Page: subscribed_apps" and, for Instagram, "IG user: subscribed_apps" (Graph API
v23.0). After an hour of failing webhooks Meta takes an app off its page, silently: that is why
`subscribed_apps` is worth asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.providers import meta_graph
from shared.channels.providers.meta import explanation
from shared.channels.wire import list_at, mapping_at, text_at
from shared.errors import SendError

_BOUND: Final = 5.0  # seconds for each of three questions at the most
_NUMBER: Final = "display_phone_number,verified_name,quality_rating,status,code_verification_status"


class WhatsAppHealth:
    """Settings: `phone_number_id`, `access_token` and, to see the subscription,
    `business_account_id`."""

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        settings, ask = dict(account.settings), _Asking(account, http)
        number = text_at(settings, "phone_number_id")
        findings = await ask.account(number, _NUMBER, "phone_number_id")
        if findings[0].ok:
            findings += _quality(ask.answered)
        if waba := text_at(settings, "business_account_id"):
            findings.append(await ask.subscription(waba, "the WhatsApp Business Account"))
        return findings


class PageHealth:
    """Messenger and Instagram. Settings: `page_id` or `account_id` (`field`), `access_token`."""

    def __init__(self, field: str) -> None:
        self._field = field

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        id, ask = text_at(dict(account.settings), self._field), _Asking(account, http)
        findings = await ask.account("me", _fields(account), self._field)
        if findings[0].ok:
            findings.append(_same(id, _ids(ask.answered), self._field))
            findings.append(await ask.subscription("me", f"this {account.channel} account"))
        return findings


def _fields(account: Account) -> str:
    if account.channel == "messenger":
        return "id,name"
    # With Instagram Login the token is the profile's own, else that of the page it is linked to.
    login = "graph.instagram.com" in meta_graph.base(account)
    return "id,user_id,username" if login else "id,name,instagram_business_account"


def _ids(answer: Mapping[str, Any]) -> set[str]:
    linked = mapping_at(answer, "instagram_business_account")
    found = {text_at(answer, "id"), text_at(answer, "user_id"), text_at(linked, "id")}
    return found - {""}


class _Asking:
    """A few questions to the Graph API; `answered` is the last answer."""

    def __init__(self, account: Account, http: httpx.AsyncClient) -> None:
        self._account, self._http = account, http
        self.answered: Mapping[str, Any] = {}

    async def account(self, id: str, fields: str, named: str) -> list[Finding]:
        if not self._account.secrets("access_token"):
            advice = "set access_token in the channels file: without it nothing can be sent"
            return [Finding("access_token", False, advice)]
        wrong = await self._get(id, {"fields": fields})
        advice = f"{wrong}. Compare {named} and access_token with Meta's app settings"
        return [Finding("known to Meta", not wrong, advice if wrong else "")]

    async def subscription(self, id: str, what: str) -> Finding:
        name = "subscribed to webhooks"
        if wrong := await self._get(f"{id}/subscribed_apps", {}):
            advice = f"{wrong}. The token may lack the permission to tell"
            return Finding(name, False, advice, "subscription")
        apps = list_at(self.answered, "data")
        advice = f"no app is subscribed to {what}: POST subscribed_apps, or tick it in Meta's app"
        return Finding(name, bool(apps), "" if apps else advice, "subscription")

    async def _get(self, path: str, query: Mapping[str, str]) -> str:
        """What went wrong; empty where nothing did."""
        try:
            async with asyncio.timeout(_BOUND):
                response = await self._http.get(
                    meta_graph.address(self._account, path),
                    params=dict(query),
                    headers=meta_graph.authorization(self._account),
                )
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, SendError) as error:
            return f"Meta cannot be asked ({type(error).__name__})"
        except (ValueError, RecursionError):
            return "Meta answered with something that is no JSON"
        self.answered = answer if isinstance(answer, dict) else {}
        if response.is_success:
            return ""
        why = explanation(mapping_at(self.answered, "error")) or f"HTTP {response.status_code}"
        return f"Meta says: {why[:200]}"


def _quality(answer: Mapping[str, Any]) -> list[Finding]:
    state, quality = text_at(answer, "status"), text_at(answer, "quality_rating")
    verified = text_at(answer, "code_verification_status")
    return [
        _finding(
            "may send", state not in ("", "CONNECTED"),
            f"the number's status is {state}: see the WhatsApp Manager",
        ),
        _finding(
            "quality", quality == "RED",
            "Meta rates its quality RED and may limit it: send less that nobody asked for",
        ),
        _finding(
            "verified", verified == "NOT_VERIFIED",
            "the number is not verified: verify it in the WhatsApp Manager",
        ),
    ]  # fmt: skip


def _same(ours: str, theirs: set[str], field: str) -> Finding:
    wrong = bool(theirs) and ours not in theirs
    others = " and ".join(sorted(theirs))
    return _finding(
        "the token's account", wrong, f"access_token is for {others}, and {field} is {ours}"
    )


def _finding(what: str, wrong: bool, advice: str) -> Finding:
    return Finding(what, not wrong, advice if wrong else "")
