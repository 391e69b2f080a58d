"""A policy tried on history: recorded events read, decoded, decided anew and compared, a second.

The history is made by the real handlers and the real clock. Both rates are of a core: the events
by the seconds of processor time the reading process took. What PostgreSQL takes to send the rows
is another core's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from services.router.trial.dry_run import dry_run
from services.router.trial.remembering import RememberingPolicy
from services.router.trial.report import Report
from shared.serving.memory import calm_collector
from tests import servers
from tests.benchmarks.report import Figure
from tests.builders import EXAMPLE, NOON
from tests.histories import Town
from tests.rooms import make_room

WORK: Final = "policy dry-run, historic events a second a core"
PER_SECOND: Final = 20_000.0
STEPS: Final = 48
ARRIVALS: Final = 60
ROUNDS: Final = 5


async def measure(engine: str, server: str, template: str, folder: Path) -> Figure:
    """`server` is the URL of a PostgreSQL, `template` a migrated database of it. The yardstick is
    the figure of DESIGN 10 itself: what counts is a rate, not a ratio to another program's."""
    async with servers.fresh_database(server, template=template) as url:
        room = await make_room(url, folder)
        try:
            await Town(room).live(STEPS, ARRIVALS)
            until = room.clock()
        finally:
            await room.engine.dispose()
        calm_collector()  # as the process of a dry run does
        candidate = RememberingPolicy.parse(EXAMPLE.read_text(encoding="utf-8"))
        reports: list[Report] = []
        rates: list[float] = []
        for _ in range(ROUNDS + 1):
            began = time.process_time()
            report = await dry_run(url, candidate, NOON - timedelta(days=1), until, _quiet)
            rates.append(report.events / (time.process_time() - began))
            reports.append(report)
    # the first round warms up, and is not counted
    return Figure(
        WORK, engine, rates[1:], [PER_SECOND] * ROUNDS, target=1.0, least=0.8,
        conditions=_conditions(reports[1:]),
    )  # fmt: skip


def _quiet(_events: int, _of: int) -> None:
    """Nobody looks at the progress."""


def _conditions(reports: Sequence[Report]) -> dict[str, Any]:
    wall = statistics.median(report.events / report.seconds for report in reports)
    last = reports[-1]
    return {
        "events": last.events,
        "cases": last.cases,
        "messages": last.messages,
        "rounds": len(reports),
        "by the clock on the wall": f"{wall:,.0f} events/s",
        "nothing differs": last.same,
    }
