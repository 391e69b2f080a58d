"""Whether Mailgun lets the account send, and a route brings its mails.

Source: documentation.mailgun.com, API reference, "Get domain" (v4) and "List routes" (v3).
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.asking import Asked, ask
from shared.channels.email.mailgun_api import base, domain
from shared.channels.posting import basic
from shared.channels.wire import list_at, mapping_at, text_at

_KEY = "check api_key and region (us or eu); a key for sending only may not look"


class MailgunHealth:
    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        keys = account.secrets("api_key")
        if not keys:
            advice = "not looked at: give the account api_key and domain"
            return [Finding("Mailgun's side", False, advice)]
        headers = basic("api", keys[0])
        routes = await ask(http, f"{base(account)}/v3/routes?limit=1000", headers)
        found = [Finding("api_key", routes.status == 200, _refused(routes))]
        if routes.status != 200:
            return found
        found.append(_routed(routes, account))
        if name := domain(account):
            found.append(
                _domain(await ask(http, f"{base(account)}/v4/domains/{name}", headers), name)
            )
        return found


def _routed(answer: Asked, account: Account) -> Finding:
    path = f"/webhooks/{account.name}"
    actions = [
        action
        for route in list_at(answer.document, "items")
        for action in list_at(route, "actions")
        if isinstance(action, str)
    ]
    forwarded = [each for each in actions if f'{path}"' in each or f"{path}/" in each]
    whole = any("/mime" in each for each in forwarded)
    if not forwarded:
        advice = f"make a route that forwards to https://<your host>{path}/mime"
        return Finding("route", False, advice, "subscription")
    advice = "" if whole else f"let the route forward to {path}/mime, so that mails come whole"
    return Finding("route", whole, advice, "subscription")


def _domain(answer: Asked, name: str) -> Finding:
    if answer.status != 200:
        return Finding(f"domain {name}", False, _refused(answer))
    told = mapping_at(answer.document, "domain")
    state = text_at(told, "state")
    if state == "active" and told.get("is_disabled") is not True:
        return Finding(f"domain {name}", True)
    return Finding(f"domain {name}", False, f"it is {state or 'disabled'}: verify it in Mailgun")


def _refused(answer: Asked) -> str:
    if answer.status == 200:
        return ""
    if answer.status in (401, 403):
        return _KEY
    if answer.status == 404:
        return "this region has no such domain: check domain and region (us or eu)"
    return answer.reason or f"Mailgun answered HTTP {answer.status}: try again later"
