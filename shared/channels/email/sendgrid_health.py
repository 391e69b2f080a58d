"""Whether SendGrid knows our key, and posts our mail here.

Source: twilio.com/docs/sendgrid, "API key permissions: retrieve a list of scopes" and "Settings:
inbound parse" (2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.email.asked import ask, posts_to
from shared.channels.email.sendgrid_send import base
from shared.channels.email.sendgrid_signature import is_readable, keys
from shared.channels.posting import bearer
from shared.channels.wire import list_at, text_at

_SETTINGS: Final = "user.webhooks.parse.settings.read"


class SendGridHealth:
    """Asks for the key's scopes and the parse settings."""

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        found = [_checked(account)]
        if not (given := account.secrets("api_key")):
            return [*found, _without_key(account)]
        scopes = await ask(http, f"{base(account)}/v3/scopes", bearer(given[0]), "api_key")
        if isinstance(scopes, Finding):
            return [*found, scopes]
        allowed = set(map(str, list_at(scopes, "scopes")))
        found.append(
            Finding(
                "may send",
                ok="mail.send" in allowed,
                advice="" if "mail.send" in allowed else "give the api_key the scope mail.send",
            )
        )
        return [*found, await _parse(account, http, allowed, given[0])]


async def _parse(account: Account, http: httpx.AsyncClient, allowed: set[str], key: str) -> Finding:
    what = "inbound parse posts here"
    if _SETTINGS not in allowed:
        return Finding(what, ok=False, advice=f"give the api_key the scope {_SETTINGS} to look")
    address = f"{base(account)}/v3/user/webhooks/parse/settings"
    settings = await ask(http, address, bearer(key), "api_key")
    if isinstance(settings, Finding):
        return settings
    urls = [text_at(each, "url") for each in list_at(settings, "result")]
    if any(posts_to(url, account.name) for url in urls):
        return Finding(what, ok=True, about="subscription")
    return Finding(
        what,
        ok=False,
        advice="no parse setting has this account's address: add one under Settings, Inbound "
        f"Parse, with https://<your host>/webhooks/{account.name}",
        about="subscription",
    )


def _checked(account: Account) -> Finding:
    what, given = "webhooks can be checked", keys(account)
    if not (given or account.secrets("password")):
        advice = f"account {account.name} has neither public_key nor password: add one"
        return Finding(what, ok=False, advice=advice)
    if not all(map(is_readable, given)):
        advice = "a public_key is none: copy it whole, as SendGrid shows it"
        return Finding(what, ok=False, advice=advice)
    return Finding(what, ok=True)


def _without_key(account: Account) -> Finding:
    ok = bool(account.settings.get("outbound"))
    advice = "replies cannot leave: add an api_key, or an `outbound` to send by SMTP"
    return Finding("replies can leave", ok=ok, advice="" if ok else advice)
