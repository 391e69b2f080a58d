"""Fixtures for all tests, and the rule that what was not run against Kafka is said aloud.

| fixture | what it gives | lives for |
| --- | --- | --- |
| `postgres_url` | a real PostgreSQL; leave the database it names alone | the session |
| `database_url` | a database of the test's own, with the whole schema | the test |
| `empty_database_url` | the same without a schema | the test |
| `kafka` | the bootstrap address of one real broker | the session |
| `kafka_server` | that broker itself; do not break it | the session |
| `kafka_cluster` | three brokers to kill, freeze and restart | the module |

A test that asks for one of Kafka's is marked `kafka` by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.kafka.kafka import KafkaServer
from tests import servers

_KAFKA_FIXTURES = {"kafka", "kafka_server", "kafka_cluster"}
_kafka_ran: set[str] = set()


# --- servers -----------------------------------------------------------------


@pytest.fixture(scope="session")
async def postgres_url() -> AsyncIterator[str]:
    async with servers.running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
async def _template(postgres_url: str) -> AsyncIterator[str]:
    async with servers.migrated_template(postgres_url) as name:
        yield name


@pytest.fixture
async def database_url(postgres_url: str, _template: str) -> AsyncIterator[str]:
    async with servers.fresh_database(postgres_url, template=_template) as url:
        yield url


@pytest.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    async with servers.fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
async def kafka_server() -> AsyncIterator[KafkaServer]:
    async with servers.running_kafka() as server:
        yield server


@pytest.fixture(scope="session")
async def kafka(kafka_server: KafkaServer) -> str:
    return kafka_server.bootstrap


@pytest.fixture(scope="module")
async def kafka_cluster() -> AsyncIterator[KafkaServer]:
    async with servers.running_kafka(brokers=3) as server:
        yield server


# --- Kafka: run, or said aloud -------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _KAFKA_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kafka") is None or not (missing := servers.kafka_missing()):
        return
    if servers.kafka_required():
        pytest.fail(f"REGIE_REQUIRE_KAFKA is set, but {missing}", pytrace=False)
    pytest.skip("no Kafka on this machine")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # A call's report: its fixtures were up, so the test met a real broker, whatever came of it.
    # Where tests run in several processes, this hook hears of all of them in the first.
    if report.when == "call" and "kafka" in report.keywords:
        _kafka_ran.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _kafka_owed(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if _kafka_owed(config):
        terminalreporter.section("NOT RUN: Kafka", sep="!", red=True, bold=True)
        terminalreporter.write_line("REGIE_REQUIRE_KAFKA is set, and no test met a real Kafka.")
    skipped = [
        report
        for report in terminalreporter.getreports("skipped")
        if "kafka" in report.keywords and report.when == "setup"
    ]
    if skipped and (missing := servers.kafka_missing()):
        count = f"NOT RUN: {len(skipped)} tests against a real Kafka"
        terminalreporter.section(count, sep="!", yellow=True, bold=True)
        terminalreporter.write_line(f"{missing}.")
        terminalreporter.write_line(
            "Then run them:  make test  (only them: make test ARGS='-m kafka')"
        )


def _kafka_owed(config: pytest.Config) -> bool:
    if config.option.collectonly or not servers.kafka_required() or hasattr(config, "workerinput"):
        return False
    return not _kafka_ran
