"""Whether Postmark knows our token, and posts our mail here.

Source: postmarkapp.com/developer, "Server API" (2026).
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.email.asked import ask, posts_to
from shared.channels.email.postmark_send import base, token_header
from shared.channels.wire import text_at


class PostmarkHealth:
    """Asks for the server that the token belongs to."""

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        if not account.secrets("server_token"):
            return [_without_token(account)]
        address = f"{base(account)}/server"
        server = await ask(http, address, token_header(account), "server_token")
        if isinstance(server, Finding):
            return [server]
        return [Finding("may send", ok=True), _hook(text_at(server, "InboundHookUrl"), account)]


def _hook(url: str, account: Account) -> Finding:
    what = "the inbound webhook posts here"
    if posts_to(url, account.name):
        return Finding(what, ok=True, about="subscription")
    set_to = "another address" if url else "nothing"
    return Finding(
        what,
        ok=False,
        advice=f"the server's inbound webhook is set to {set_to}: set it, under the inbound "
        f"stream's settings, to https://regie:<password>@<your host>/webhooks/{account.name}",
        about="subscription",
    )


def _without_token(account: Account) -> Finding:
    ok = bool(account.settings.get("outbound"))
    advice = "replies cannot leave: add the server_token, or an `outbound` to send by SMTP"
    return Finding("replies can leave", ok=ok, advice="" if ok else advice)
