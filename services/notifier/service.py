"""The notifier room, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from services.notifier import api, secrets
from services.notifier.follow_ups import FollowUps, senders_of
from services.notifier.handlers import Handlers
from services.notifier.keeping import keep_house
from services.notifier.models import target_of
from services.notifier.sender import Sender
from services.notifier.targets import Outlets
from services.notifier.targets.named import webhooks_in_policy
from shared.database import transaction
from shared.errors import Unavailable
from shared.runtime import Runtime, Service, Subscription
from shared.topics import CASES_CHANGED

GROUP: Final = "regie.notifier"


def service(runtime: Runtime) -> Service:
    """Consumes case events, sends what they ask for, serves the targets. Raises Misconfigured."""
    webhooks = webhooks_in_policy(runtime.settings.policy_file)
    sender = Sender(runtime, Outlets(runtime, webhooks))
    tasks = {"sender": sender.run, "deliveries forgotten": lambda: keep_house(runtime)}
    if senders := senders_of(runtime.accounts):
        tasks["chats followed up"] = FollowUps(runtime, senders).run
    return Service(
        name="notifier",
        routers=(api.routes(runtime),),
        subscriptions=(
            Subscription(GROUP, (CASES_CHANGED,), Handlers(runtime.now).on_case_events),
        ),
        tasks=tasks,
        start=lambda: _know(runtime, webhooks),
    )


async def _know(runtime: Runtime, webhooks: Sequence[str]) -> None:
    """The file's targets are listed, and can be rotated, before anything is sent to them."""
    while True:
        try:
            async with transaction(runtime.engine) as connection:
                targets = [target_of("webhook", url) for url in webhooks]
                await secrets.know(connection, targets, runtime.now())
                return
        except Unavailable:
            await asyncio.sleep(1)
