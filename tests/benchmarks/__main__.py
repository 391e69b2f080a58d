"""`make bench`: the figures of DESIGN section 10, as ratios measured in one run.

python -m tests.benchmarks [--only ingest|router|clock|deliveries|dry-run] [--no-kafka]
    [--out build/bench.json]

A ratio holds across machines where a rate does not; the yardsticks are as bare as they can be.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from sqlalchemy import make_url

from deploy.kafka.runners import version
from shared.sessions import close_session, open_session
from shared.telemetry import configure_logs
from tests import servers
from tests.benchmarks import clock, deliveries, dry_run, ingest, report, router
from tests.benchmarks.report import Figure

LONGEST: Final = 900.0
WORKS: Final = ("ingest", "router", "clock", "deliveries", "dry-run")
OUT: Final = Path("build/bench.json")


@dataclass(frozen=True)
class Engines:
    """The running servers. `kafka` is empty where it cannot run here."""

    postgres: str
    template: str
    kafka: str
    folder: Path
    postgres_name: str
    kafka_name: str

    def logs(self) -> list[tuple[str, str]]:
        """Where the log can be: (its name, Kafka's address or nothing)."""
        found = [(f"{self.postgres_name} holds the log", "")]
        if self.kafka:
            found.append((f"{self.kafka_name} + {self.postgres_name}", self.kafka))
        return found


def main() -> int:
    options = _options()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures, around = runner.run(_run(options))
    print(f"\n{report.table(figures)}\n\n{report.conditions(figures, around)}")
    report.write(options.out, figures, around)
    print(f"\nwritten to {options.out}")
    return 0 if figures and all(figure.ratio >= figure.least for figure in figures) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", choices=WORKS, help="one of the rows; default: all")
    parser.add_argument("--no-kafka", action="store_true", help="only the log in PostgreSQL")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> tuple[list[Figure], dict[str, object]]:
    around = report.machine()
    figures: list[Figure] = []
    try:
        async with asyncio.timeout(LONGEST), _engines(not options.no_kafka) as engines:
            for which in [options.only] if options.only else WORKS:
                print(f"measuring {which} …", flush=True)
                async for figure in _figures(which, engines):
                    print(report.progress(figure), flush=True)
                    figures.append(figure)
    except TimeoutError:
        print(f"cut off after {LONGEST:.0f} s: the rest was not measured", file=sys.stderr)
    return figures, around


async def _figures(which: str, engines: Engines) -> AsyncIterator[Figure]:
    if which == "dry-run":  # reads the database, and no log
        yield await dry_run.measure(
            engines.postgres_name, engines.postgres, engines.template, engines.folder
        )
        return
    if which in ("clock", "deliveries"):
        work = clock if which == "clock" else deliveries
        async for figure in work.measure(
            engines.postgres_name, engines.postgres, engines.template, engines.folder
        ):
            yield figure
        return
    for name, kafka in engines.logs():
        if which == "ingest":
            async with servers.fresh_database(engines.postgres, template=engines.template) as url:
                env = {"REGIE_DATABASE_URL": url, "REGIE_KAFKA_BOOTSTRAP": kafka}
                yield await ingest.measure(name, env, engines.folder)
        else:
            for mix in router.MIXES:
                yield await router.measure(
                    name, mix, engines.postgres, engines.template, kafka, engines.folder
                )


@asynccontextmanager
async def _engines(with_kafka: bool) -> AsyncIterator[Engines]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regie-bench-")))
        log = stack.enter_context((folder / "bench.log").open("w"))
        configure_logs("json", log)  # as a service does, and not between the figures
        postgres = await stack.enter_async_context(servers.running_postgres())
        template = await stack.enter_async_context(servers.migrated_template(postgres))
        kafka = ""
        if with_kafka and (missing := servers.kafka_missing()):
            print(f"NOT MEASURED: Kafka. {missing}", file=sys.stderr)
        elif with_kafka:
            kafka = (await stack.enter_async_context(servers.running_kafka())).bootstrap
        yield Engines(
            postgres, template, kafka, folder, await _postgres_name(postgres), f"Kafka {version()}"
        )


async def _postgres_name(url: str) -> str:
    session = await open_session(make_url(url), "bench")
    try:
        return f"PostgreSQL {await session.fetchval('SHOW server_version')}"
    finally:
        await close_session(session)


if __name__ == "__main__":
    sys.exit(main())
