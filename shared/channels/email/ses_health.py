"""Whether Amazon SES lets the account send, and SNS brings its mails.

Source: docs.aws.amazon.com/ses, API Reference v2, "GetAccount" and "GetEmailIdentity";
docs.aws.amazon.com/sns, "ListSubscriptionsByTopic".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import unescape
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.asking import Asked, ask
from shared.channels.email.addresses import domain_of, own_address
from shared.channels.email.ses_api import address, credentials_of
from shared.channels.providers import sns
from shared.channels.providers.sigv4 import Credentials, signed
from shared.channels.wire import mapping_at, text_at

_BOUND: Final = 15.0  # seconds
_MEMBER: Final = re.compile(r"<member>(.*?)</member>", re.DOTALL)


def _now() -> datetime:
    return datetime.now(UTC)


class SesHealth:
    """Asks with the account's own key; `now` dates the signatures."""

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        try:
            async with asyncio.timeout(_BOUND):
                return await self._examined(account, http)
        except TimeoutError:
            advice = "Amazon does not answer: try again later"
            return [Finding("reachable", False, advice, "reach")]

    async def _examined(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        keys, of_sns = credentials_of(account, "ses"), credentials_of(account, "sns")
        if keys is None or of_sns is None:
            advice = (
                "add access_key_id, secret_access_key and region: without them it only receives"
            )
            return [Finding("sending", False, advice)]
        base, own = f"{address(account, 'email')}/v2/email", own_address(account)
        sending = await self._ask(http, f"{base}/account", keys)
        if sending.status != 200:
            return [Finding("access key", False, _refused(sending, "ses:GetAccount"))]
        identity = await self._ask(http, f"{base}/identities/{quote(own)}", keys)
        if identity.status == 404:
            identity = await self._ask(http, f"{base}/identities/{domain_of(own)}", keys)
        found = [Finding("access key", True), *_sending(sending.document), _identity(identity, own)]
        for topic in sns.topics(account):
            asked = {"Action": "ListSubscriptionsByTopic", "TopicArn": topic}
            query = urlencode({**asked, "Version": "2010-03-31"})
            answer = await self._ask(http, f"{address(account, 'sns')}/?{query}", of_sns)
            found.append(_subscribed(answer, account))
        return found

    async def _ask(self, http: httpx.AsyncClient, url: str, keys: Credentials) -> Asked:
        return await ask(http, url, signed("GET", url, keys, self._now()))


def _sending(document: Any) -> list[Finding]:
    allowed = document.get("SendingEnabled") is True if isinstance(document, dict) else False
    status = text_at(document, "EnforcementStatus")
    open_ = mapping_at({"": document}, "").get("ProductionAccessEnabled") is True
    rate = text_at(mapping_at(document, "SendQuota"), "MaxSendRate")
    return [
        Finding("sending", allowed, "" if allowed else "sending is paused: resume it in SES"),
        Finding("reputation", status in ("HEALTHY", ""), f"Amazon says {status}: see SES"),
        Finding(
            f"production access, {rate or '?'} mails a second",
            open_,
            "" if open_ else "the account is in the sandbox: request production access",
        ),
    ]


def _identity(answer: Asked, own: str) -> Finding:
    if answer.status != 200:
        return Finding(f"identity {own}", False, _refused(answer, "ses:GetEmailIdentity"))
    verified = mapping_at({"": answer.document}, "").get("VerifiedForSendingStatus") is True
    advice = "" if verified else f"verify {own} or its domain in SES"
    return Finding(f"identity {own}", verified, advice)


def _subscribed(answer: Asked, account: Account) -> Finding:
    if answer.status != 200:
        return Finding("subscription", False, _refused(answer, "sns:ListSubscriptionsByTopic"))
    ours = [
        each
        for each in _MEMBER.findall(answer.text)
        if _tag(each, "Endpoint").split("?")[0].endswith(f"/webhooks/{account.name}")
    ]
    if not ours:
        advice = f"subscribe https://<your host>/webhooks/{account.name} to the topic"
        return Finding("subscription", False, advice, "subscription")
    pending = all(_tag(each, "SubscriptionArn") == "PendingConfirmation" for each in ours)
    advice = "request the confirmation again" if pending else ""
    return Finding("subscription", not pending, advice, "subscription")


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return unescape(found[1]) if found else ""


def _refused(answer: Asked, right: str) -> str:
    if answer.status in (401, 403):
        return f"Amazon refuses: check the key, and allow it {right}"
    if answer.status == 404:
        return "SES has no such identity here: check region, and verify address or domain"
    return answer.reason or f"Amazon answered HTTP {answer.status}"
