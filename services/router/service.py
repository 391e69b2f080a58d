"""The router room, put together."""

from __future__ import annotations

import asyncio

import structlog

from services.router.api import routers
from services.router.case import SPOKEN
from services.router.clock import GROUP, Clock
from services.router.giving import Giving
from services.router.handlers import Handlers
from services.router.keeping import keep_house
from services.router.rights.erasing import Erasing
from services.router.rights.retention import Retention
from services.router.versions.policies import Policies
from shared.channels.table import can_send
from shared.errors import Unavailable
from shared.runtime import Runtime, Service, Subscription
from shared.topics import DELIVERIES_REPORTED, MESSAGES_RECEIVED

_LOG = structlog.get_logger()


def service(runtime: Runtime) -> Service:
    """Consumes both topics, runs the clock, serves the inbox."""
    senders = frozenset(account.name for account in runtime.accounts if can_send(account))
    policies = Policies(runtime.engine, runtime.accounts.channels(), senders)
    handlers = Handlers(runtime, policies)
    clock = Clock(handlers)
    erasing = Erasing(handlers)

    async def begin() -> None:
        await _load(policies, runtime)
        await erasing.catch_up()

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
            "giving": Giving(handlers).run,
            "house keeping": lambda: keep_house(runtime, policies),
            "erasures": erasing.run,
            "retention": Retention(handlers).run,
        },
        start=begin,
    )


async def _load(policies: Policies, runtime: Runtime) -> None:
    """Before the first batch; a wrong file ends the start, an absent database is waited for."""
    while not policies.loaded:
        try:
            await policies.load(runtime.settings.policy_file)
        except Unavailable:
            await asyncio.sleep(1)
    for account in runtime.accounts:
        named = policies.current.reply_from.get(account.channel, "")
        if account.channel not in SPOKEN and not can_send(account) and not named:
            _LOG.warning(
                "replies cannot leave: give it an outbound side, or name another in reply_from",
                account=account.name,
                channel=account.channel,
            )
