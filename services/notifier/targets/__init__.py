"""Where deliveries go: one file a kind of target, and all that is HTTP through one guarded client.

`account` is a customer's channel, `webhook` a team's own endpoint. A web chat is an account without
a provider: what is for it goes into its store.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Final, Protocol, Self

from services.notifier.answers import Answer
from services.notifier.models import Delivery
from services.notifier.targets.chat import Chats
from services.notifier.targets.http import guarded_client
from services.notifier.targets.replies import Replies
from services.notifier.targets.webhook import TIMEOUT, Webhook
from shared.errors import SendError
from shared.guard import Guard
from shared.named_targets import origins_of
from shared.runtime import Runtime

KINDS: Final = ("account", "webhook")


class Outlet(Protocol):
    """One kind of target."""

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""


class Outlets:
    """All kinds, while entered.

    webhooks  URLs the operator's policy file names: these may be private
    timeout   seconds a webhook may take
    """

    def __init__(
        self, runtime: Runtime, webhooks: Iterable[str], *, timeout: float = TIMEOUT
    ) -> None:
        allowed = runtime.settings.allow_private_targets
        # Two clients: what the channels file names is no target for a policy, nor the reverse.
        self._providers = guarded_client(
            Guard.of(allowed, origins_of(runtime.accounts.api_bases()))
        )
        self._targets = guarded_client(Guard.of(allowed, origins_of(webhooks)))
        self._chats = Chats(runtime.engine, runtime.accounts, runtime.now)
        self._outlets: dict[str, Outlet] = {
            "account": Replies(runtime, self._providers),
            "webhook": Webhook(self._targets, runtime.now, timeout),
        }

    async def __aenter__(self) -> Self:
        await self._providers.__aenter__()
        await self._targets.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._targets.aclose()
        await self._providers.aclose()

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""
        if self._chats.answers(delivery):
            return await self._chats.send(delivery)
        outlet = self._outlets.get(delivery.kind)
        if outlet is None:
            raise SendError(
                "no_target_kind",
                f"there is no target of kind {delivery.kind} yet: give the team a webhook in the "
                "policy's `notify`",
            )
        return await outlet.send(delivery)
