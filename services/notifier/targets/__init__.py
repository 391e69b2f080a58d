"""Where deliveries go: one file a kind of target, and all that is HTTP through one guarded client.

`account` is a customer's channel, `webhook` a team's own endpoint; `email`, `slack`, `teams` and
`ntfy` tell people; `subscription` is an integrator's endpoint. A web chat is an account without a
provider: what is for it goes into its store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol, Self

import httpx

from services.notifier.answers import Answer
from services.notifier.models import Delivery
from services.notifier.targets.chat import Chats
from services.notifier.targets.email import Email
from services.notifier.targets.http import guarded_client
from services.notifier.targets.ntfy import Ntfy
from services.notifier.targets.posting import TIMEOUT, Post
from services.notifier.targets.replies import Replies
from services.notifier.targets.slack import Slack
from services.notifier.targets.teams import Teams
from services.notifier.targets.webhook import Webhook
from services.notifier.wording import Words
from shared.errors import SendError
from shared.guard import Guard
from shared.named_targets import origins_of
from shared.runtime import Runtime

KINDS: Final = ("account", "webhook", "email", "slack", "teams", "ntfy")


class Outlet(Protocol):
    """One kind of target."""

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""


class Outlets:
    """All kinds, while entered.

    named    URLs the operator's policy file names: these may be private
    timeout  seconds a target of a policy may take
    """

    def __init__(self, runtime: Runtime, named: Iterable[str], *, timeout: float = TIMEOUT) -> None:
        allowed = runtime.settings.allow_private_targets
        # Three clients, because three say where to call: the channels file, the policy, and keys
        # for themselves. What one may name is no target for another.
        self._providers = guarded_client(
            Guard.of(allowed, origins_of(runtime.accounts.api_bases()))
        )
        self._targets = guarded_client(Guard.of(allowed, origins_of(named)))
        self._agents = guarded_client(Guard.of(allowed))
        self._chats = Chats(runtime.engine, runtime.accounts, runtime.now)
        words = Words(runtime.settings.public_url, runtime.now)
        self._outlets: dict[str, Outlet] = {
            "account": Replies(runtime, self._providers),
            "email": Email(runtime.accounts, self._providers, words),
            **_by_http(self._targets, words, runtime.now, timeout),
            "subscription": Webhook(self._agents, runtime.now, timeout),
        }
        self._own = self._outlets | _by_http(self._agents, words, runtime.now, timeout)

    async def __aenter__(self) -> Self:
        await self._providers.__aenter__()
        await self._targets.__aenter__()
        await self._agents.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._agents.aclose()
        await self._targets.aclose()
        await self._providers.aclose()

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""
        if self._chats.answers(delivery):
            return await self._chats.send(delivery)
        outlet = (self._own if _is_own(delivery) else self._outlets).get(delivery.kind)
        if outlet is None:
            raise SendError(
                "no_target_kind",
                f"there is no target of kind {delivery.kind} yet: give one of "
                f"{', '.join(KINDS[1:])} in the policy's `notify`",
            )
        return await outlet.send(delivery)


def _by_http(
    http: httpx.AsyncClient, words: Words, now: Callable[[], datetime], timeout: float
) -> dict[str, Outlet]:
    post = Post(http, now, timeout)
    return {
        "webhook": Webhook(http, now, timeout),
        "slack": Slack(post, words),
        "teams": Teams(post, words),
        "ntfy": Ntfy(post, words),
    }


def _is_own(delivery: Delivery) -> bool:
    """Whether an agent named the address, for themselves."""
    return bool((delivery.payload.get("manner") or {}).get("own"))
