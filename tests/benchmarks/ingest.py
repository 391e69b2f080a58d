"""Signed WhatsApp webhook → durable → 200, against a bare route that publishes the raw body.

Both are whole processes under uvicorn, uvloop and httptools, loaded in turn by this one over 64
kept connections; each message of each round has its own id.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import processes, traffic
from tests.benchmarks.load import Load, put_load
from tests.benchmarks.processes import ServerProcess
from tests.benchmarks.report import Figure

WORK: Final = "webhook → durable → 200"
CONNECTIONS: Final = 64
ROUNDS: Final = 7
ROUND_SECONDS: Final = 2.0
WARM_UP: Final = 2_000
FIGURE_SECONDS: Final = 75.0


@dataclass
class _Side:
    """One of the two servers, and what it did."""

    server: ServerProcess
    path: str
    size: int = WARM_UP
    loads: list[Load] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    async def round(self, writers: traffic.Writers) -> None:
        bodies = writers.bodies(self.size)
        requests = [traffic.signed_request(body, self.path) for body in bodies]
        before = self.server.cpu_seconds()
        load = await put_load(self.server.port, requests, connections=CONNECTIONS)
        self.cpu.append((self.server.cpu_seconds() - before) / len(requests))
        self.loads.append(load)

    def warmed_up(self) -> None:
        """From here on it counts; a round has as many messages as take about two seconds."""
        self.size = max(500, int(self.loads[-1].rate * ROUND_SECONDS))
        self.loads.clear()
        self.cpu.clear()

    def words(self) -> str:
        load = self.loads[len(self.loads) // 2]
        cpu = statistics.median(self.cpu) * 1e6
        p50, p99 = (load.percentile(at) * 1000 for at in (50, 99))
        return f"p50 {p50:.1f} ms p99 {p99:.1f} ms, {cpu:.0f} µs of processor a message"


async def measure(engine: str, env: Mapping[str, str], folder: Path) -> Figure:
    """`env` names the database, and Kafka where the log is there."""
    channels = folder / "channels.yaml"
    channels.write_text(traffic.CHANNELS)
    env = {**env, "REGIE_CHANNELS_FILE": str(channels), "REGIE_DATA_DIR": str(folder / "data")}
    regie = processes.running(
        "services", "serve", "ingest", "--port", "{port}", env=env, log=folder / f"{engine}.log"
    )
    bare = processes.running(
        "tests.benchmarks.bare_route", "{port}", env=env, log=folder / f"{engine}-bare.log"
    )
    async with regie as one, bare as other:
        return await _turns(engine, _Side(one, "/webhooks/desk-whatsapp"), _Side(other, "/raw"))


async def _turns(engine: str, ours: _Side, bare: _Side) -> Figure:
    writers = traffic.Writers()
    until = time.monotonic() + FIGURE_SECONDS
    for side in (ours, bare):
        await side.round(writers)
        side.warmed_up()
    for number in range(ROUNDS):
        for side in (ours, bare) if number % 2 else (bare, ours):
            await side.round(writers)
        if time.monotonic() > until:
            break
    return Figure(
        WORK,
        engine,
        [load.rate for load in ours.loads],
        [load.rate for load in bare.loads],
        target=0.7,
        least=0.35,
        conditions=_conditions(ours, bare),
    )


def _conditions(ours: _Side, bare: _Side) -> dict[str, Any]:
    return {
        "connections": CONNECTIONS,
        "rounds": len(ours.loads),
        "messages a round": f"{ours.size:,} and {bare.size:,}",
        "Regie": ours.words(),
        "bare": bare.words(),
    }
