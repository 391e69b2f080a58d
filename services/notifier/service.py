"""The notifier room, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from services.notifier import secrets
from services.notifier.api import routers
from services.notifier.digests import Digests
from services.notifier.follow_ups import FollowUps, senders_of
from services.notifier.handlers import Handlers
from services.notifier.keeping import keep_house
from services.notifier.models import target_of
from services.notifier.replaying import Replaying
from services.notifier.sender import Sender
from services.notifier.targets import Outlets
from services.notifier.targets.named import urls_in_policy
from services.notifier.tidying import Tidying
from services.notifier.watch import Watch
from shared.database import transaction
from shared.errors import Unavailable
from shared.runtime import Runtime, Service, Subscription
from shared.topics import CASES_CHANGED

GROUP: Final = "regie.notifier"
# Each event is a row for every subscription that takes it: a batch of 200 for a thousand of them
# takes four seconds, in which its positions are locked and nobody can switch one on.
BATCH: Final = 200


def service(runtime: Runtime) -> Service:
    """Consumes case events, sends what they ask for, serves targets, subscriptions and the feed.
    Raises Misconfigured."""
    named = urls_in_policy(runtime.settings.policy_file)
    webhooks = [url for kind, url in named if kind == "webhook"]
    sender = Sender(runtime, Outlets(runtime, [url for _, url in named]))
    lives, watch = runtime.settings.keep_events.timedelta(), Watch(runtime.engine)
    handlers = Handlers(runtime.now, lives, runtime.settings.public_url)
    tasks = {
        "sender": sender.run,
        "digests": Digests(runtime).run,
        "deliveries forgotten": lambda: keep_house(runtime),
        "feed watched": watch.run,
        "feed tidied": Tidying(runtime, lives).run,
        "replays": Replaying(runtime, lives).run,
    }
    if senders := senders_of(runtime.accounts):
        tasks["chats followed up"] = FollowUps(runtime, senders).run
    return Service(
        name="notifier",
        routers=routers(runtime, watch),
        subscriptions=(Subscription(GROUP, (CASES_CHANGED,), handlers.on_case_events, BATCH),),
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
