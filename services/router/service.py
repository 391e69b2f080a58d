"""The router room, put together."""

from __future__ import annotations

import asyncio

from services.router.api import routers
from services.router.clock import GROUP, Clock
from services.router.handlers import Handlers
from services.router.keeping import keep_house
from services.router.policies import Policies
from shared.errors import Unavailable
from shared.runtime import Runtime, Service, Subscription
from shared.topics import DELIVERIES_REPORTED, MESSAGES_RECEIVED


def service(runtime: Runtime) -> Service:
    """Consumes both topics, runs the clock, serves the inbox."""
    policies = Policies(runtime.engine, runtime.accounts.channels())
    handlers = Handlers(runtime, policies)
    clock = Clock(handlers)
    return Service(
        name="router",
        routers=routers(handlers),
        subscriptions=(
            Subscription(GROUP, (MESSAGES_RECEIVED,), handlers.on_messages),
            Subscription("regie.router.deliveries", (DELIVERIES_REPORTED,), handlers.on_deliveries),
        ),
        tasks={
            "policy": policies.follow,
            "clock": clock.run,
            "clock floor": clock.keep_floor,
            "heartbeats": clock.beat,
            "house keeping": lambda: keep_house(runtime, policies),
        },
        start=lambda: _load(policies, runtime),
    )


async def _load(policies: Policies, runtime: Runtime) -> None:
    """Before the first batch; a wrong file ends the start, an absent database is waited for."""
    while not policies.loaded:
        try:
            await policies.load(runtime.settings.policy_file)
        except Unavailable:
            await asyncio.sleep(1)
