"""What an operator sees of a process, whatever rooms it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter

from shared.ops import api, probes
from shared.ops.board import Board
from shared.ops.health import Health
from shared.ops.letters import dead_letter_subscription
from shared.ops.metrics import Measures
from shared.ops.replay import Reader, Replayer
from shared.progress import Progress
from shared.runtime import Runtime, Service

__all__ = ["Ops", "Reader", "dead_letter_subscription"]


class Ops:
    """Its routes, and the task that keeps an eye on the lag."""

    def __init__(
        self,
        runtime: Runtime,
        services: Sequence[Service],
        progress: Progress,
        prepared: asyncio.Event,
        reader: Reader | None = None,
    ) -> None:
        subscriptions = [each for service in services for each in service.subscriptions]
        groups = {
            service.name: [each.group for each in service.subscriptions if not each.aside]
            for service in services
        }
        self.board = Board(runtime, subscriptions, lambda group: _at_work(progress, group))
        health = Health(runtime, groups, progress, prepared)
        self.router = APIRouter()
        self.router.include_router(probes.routes(health, Measures(runtime, self.board, health)))
        replays = {topic: way for each in services for topic, way in each.replays.items()}
        replayer = Replayer(runtime, reader, replays)
        self.router.include_router(api.routes(runtime, self.board, replayer))

    async def sample(self) -> None:
        await self.board.run()


def _at_work(progress: Progress, name: str) -> bool:
    return any(group.group == name and group.state == "running" for group in progress.groups())
