"""Who may speak to a chat at all: pages of its origins, in reason. Before any route of it.

What it finds goes on every answer, a refusal too: without it the page could not even read why.
"""

from __future__ import annotations

import ipaddress
import math
import time
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request
from starlette.responses import Response

from services.ingest.chat_limits import Limiter
from shared.accounts import Account, Accounts
from shared.channels import Rate
from shared.channels.webchat import ChatSettings, admit, settings_of, takes_chats
from shared.errors import NotFound, TooMany
from shared.web.edge import ON_EVERY_ANSWER

_METHODS: Final = "GET, POST, PATCH, DELETE"
_ASKED: Final = "authorization, content-type, last-event-id"
_ASK_AGAIN: Final = "600"  # seconds a browser may remember our answer


@dataclass(frozen=True)
class Chat:
    """An account that takes chats, as a request meets it. `address`: whence it came."""

    account: Account
    settings: ChatSettings
    address: str


@dataclass
class Gate:
    """Holds what this process knows of who asked how often."""

    accounts: Accounts
    limiter: Limiter = field(default_factory=Limiter)

    def __post_init__(self) -> None:
        self._settings = {a.name: settings_of(a) for a in self.accounts if takes_chats(a)}

    async def pass_(self, request: Request) -> Chat:
        """A FastAPI dependency. Raises NotFound, Forbidden or TooMany."""
        chat = self.find(request)
        request.scope[ON_EVERY_ANSWER] = [(b"vary", b"Origin")]
        if origin := admit(request.headers, chat.settings):
            request.scope[ON_EVERY_ANSWER] += [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-expose-headers", b"Retry-After, X-Request-Id"),
                (b"cross-origin-resource-policy", b"cross-origin"),
            ]
        limits = chat.settings.limits
        # In this order: one address that asks too often must not use up what is there for all.
        self.slow_down(chat, "address", limits["address"], chat.address)
        self.slow_down(chat, "account", limits["account"])
        return chat

    def find(self, request: Request) -> Chat:
        name = request.path_params.get("account", "")
        account, settings = self.accounts.get(name), self._settings.get(name)
        if account is None or settings is None:
            raise NotFound(
                "no account of this name takes chats: the path is /v1/chat/<account>, and a "
                "webchat account of the channels file needs `origins`",
                name="unknown-account",
            )
        return Chat(account, settings, address_of(request, settings.proxies))

    def slow_down(self, chat: Chat, what: str, rate: Rate, whose: str = "") -> None:
        """Raises TooMany where this one has asked too often."""
        wait = self.limiter.take((what, chat.account.name, whose), rate, time.monotonic())
        if wait:
            raise too_many(f"too many requests of this {what}", wait)


def too_many(why: str, seconds: float) -> TooMany:
    wait = max(1, math.ceil(seconds))
    return TooMany(f"{why}: try again in {wait} s", headers={"Retry-After": str(wait)})


def preflight() -> Response:
    """What a browser asks before it sends the page's own request (Fetch standard, 4.8)."""
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _ASKED,
            "Access-Control-Max-Age": _ASK_AGAIN,
        },
    )


def address_of(request: Request, proxies: int) -> str:
    """The caller's address as limits count it: of IPv6 the /64 that one household has.

    Each proxy adds whom it heard from at the end; what stands before ours anybody can write.
    """
    heard = request.client.host if request.client else ""
    if proxies:
        named = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        heard = named[-proxies].strip() if len(named) >= proxies else heard
    try:
        address = ipaddress.ip_address(heard)
    except ValueError:
        return heard[:64]
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False).network_address)
