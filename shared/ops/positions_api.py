"""`/ops/positions`: where every group stands, and a person's decision where one goes on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from shared import positions
from shared.broker import TopicPartition
from shared.database import transaction
from shared.errors import Invalid
from shared.ops import views
from shared.ops.operator import Operator
from shared.runtime import Runtime
from shared.topics import DEAD_LETTER_TOPICS, TOPICS, partitions_of
from shared.web import Json, page


class NewPosition(BaseModel):
    """Where a group goes on: an offset, or the `start` or `end` of what the log keeps."""

    group: str
    topic: str
    partition: Annotated[int, Field(ge=0)]
    next: Annotated[int, Field(ge=0)] | Literal["start", "end"]


class Stopped(BaseModel):
    """A group that gave up."""

    group: str


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/positions")

    @router.get("")
    async def list_positions(who: Operator) -> Response:
        """Every group's place in every partition: the truth, not the log's hint."""
        async with transaction(runtime.engine) as connection:
            found = await positions.listing(connection)
        here = [each for each in found if each.cluster == runtime.broker.cluster]
        return Json(page([views.position(each) for each in here], None))

    @router.put("")
    async def set_position(who: Operator, wanted: NewPosition) -> Response:
        """A person's decision where a group goes on. What it skips is not handled; what it goes
        back over is recognised for 8 days."""
        tp = TopicPartition(wanted.topic, wanted.partition)
        following = await _offset(runtime, tp, wanted.next)
        async with transaction(runtime.engine) as connection:
            cluster = runtime.broker.cluster
            await positions.set_position(connection, wanted.group, cluster, tp, following)
        shown: dict[str, Any] = wanted.model_dump() | {"next": following}
        return Json(shown)

    @router.post("/resume")
    async def resume(who: Operator, stopped: Stopped) -> Response:
        """Lets a group that gave up go on where it stands, once its reason is mended. A position
        outside of the log stops it again: that one has to be set."""
        async with transaction(runtime.engine) as connection:
            cluster = runtime.broker.cluster
            found = await positions.resume(connection, stopped.group, cluster)
        places = [
            {"topic": tp.topic, "partition": tp.partition, "next": following}
            for tp, following in sorted(found.items())
        ]
        return Json({"group": stopped.group, "resumed": places})

    return router


async def _offset(runtime: Runtime, tp: TopicPartition, wanted: int | str) -> int:
    if tp.topic not in (*TOPICS, *DEAD_LETTER_TOPICS):
        raise Invalid(f"there is no topic {tp.topic}: /ops/positions lists what there is")
    if tp.partition >= partitions_of(tp.topic):
        raise Invalid(f"{tp.topic} has partitions 0 to {partitions_of(tp.topic) - 1}")
    kept = (await runtime.broker.ranges((tp.topic,)))[tp]
    if isinstance(wanted, str):
        return kept.start if wanted == "start" else kept.end
    if not kept.start <= wanted <= kept.end:
        raise Invalid(
            f"{tp.topic}/{tp.partition} keeps {kept.start} to {kept.end}: choose a place in it",
            start=kept.start,
            end=kept.end,
        )
    return wanted
