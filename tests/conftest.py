"""Fixtures for all tests, and the rule that what was not run against a real server is said aloud.

| fixture | what it gives | lives for |
| --- | --- | --- |
| `postgres_url` | a real PostgreSQL; leave the database it names alone | the session |
| `database_url` | a database of the test's own, with the whole schema | the test |
| `empty_database_url` | the same without a schema | the test |
| `kafka` | the bootstrap address of one real broker | the session |
| `kafka_server` | that broker itself; do not break it | the session |
| `kafka_cluster` | three brokers to kill, freeze and restart | the module |
| `mail_servers` | Dovecot and Exim, with mailboxes of the module's own | the module |
| `promtool` | the path of Prometheus' own checker | the session |

A test that asks for one of Kafka's is marked `kafka` by itself, one for the others `mailservers` or
`prometheus`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from deploy.kafka.kafka import KafkaServer
from tests import mailservers, servers
from tests.mailservers import MailServers


@dataclass(frozen=True)
class Outside:
    """Real servers that not every machine has.

    missing   what this machine lacks for them; None when nothing
    variable  set where running without them is a failure, as in CI
    """

    fixtures: frozenset[str]
    missing: Callable[[], str | None]
    variable: str
    words: str

    def required(self) -> bool:
        return os.environ.get(self.variable, "") not in ("", "0")


def _promtool_missing() -> str | None:
    lacking = "there is no promtool here; on Debian or Ubuntu: apt-get install prometheus"
    return None if shutil.which("promtool") else lacking


OUTSIDE = {
    "kafka": Outside(
        frozenset({"kafka", "kafka_server", "kafka_cluster"}),
        servers.kafka_missing, "REGIE_REQUIRE_KAFKA", "a real Kafka",
    ),
    "mailservers": Outside(
        frozenset({"mail_servers"}),
        mailservers.missing, "REGIE_REQUIRE_MAILSERVERS", "real mail servers",
    ),
    "prometheus": Outside(
        frozenset({"promtool"}),
        _promtool_missing, "REGIE_REQUIRE_PROMTOOL", "a real promtool",
    ),
}  # fmt: skip
LONGEST_NAME = 4000  # a case that is its own name fills the log with itself
_ran: set[str] = set()  # the marks of which a test met the servers


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


@pytest.fixture(scope="module")
async def mail_servers() -> AsyncIterator[MailServers]:
    async with mailservers.running_mail_servers() as running:
        yield running


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    assert found is not None
    return found


# --- run, or said aloud --------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--alone", action="store_true", help="only the tests marked `alone`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _choose(config, items)
    for item in items:
        assert len(item.name) < LONGEST_NAME, f"name the cases of {item.location[2][:80]}: ids=…"
        for mark, outside in OUTSIDE.items():
            if outside.fixtures & set(getattr(item, "fixturenames", ())):
                item.add_marker(mark)


def _choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes none of those marked `alone`; with --alone only those."""
    only, beside = config.getoption("alone"), hasattr(config, "workerinput")
    if not (only or beside):
        return
    alone = [item for item in items if item.get_closest_marker("alone") is not None]
    rest = [item for item in items if item not in set(alone)]
    items[:] = alone if only else rest
    config.hook.pytest_deselected(items=rest if only else alone)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark, outside in OUTSIDE.items():
        if item.get_closest_marker(mark) is None or not (missing := outside.missing()):
            continue
        if outside.required():
            pytest.fail(f"{outside.variable} is set, but {missing}", pytrace=False)
        pytest.skip(f"no {mark} on this machine")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # A call's report: its fixtures were up, so the test met real servers, whatever came of it.
    # Where tests run in several processes, this hook hears of all of them in the first.
    if report.when == "call":
        _ran.update(mark for mark in OUTSIDE if mark in report.keywords)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _owed(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for outside in _owed(config):
        terminalreporter.section(f"NOT RUN: {outside.words}", sep="!", red=True, bold=True)
        terminalreporter.write_line(f"{outside.variable} is set, and no test met {outside.words}.")
    for mark, outside in OUTSIDE.items():
        _tell_skipped(terminalreporter, mark, outside)


def _tell_skipped(terminalreporter: pytest.TerminalReporter, mark: str, outside: Outside) -> None:
    skipped = [
        report
        for report in terminalreporter.getreports("skipped")
        if mark in report.keywords and report.when == "setup"
    ]
    if skipped and (missing := outside.missing()):
        count = f"NOT RUN: {len(skipped)} tests against {outside.words}"
        terminalreporter.section(count, sep="!", yellow=True, bold=True)
        terminalreporter.write_line(f"{missing}.")
        terminalreporter.write_line(
            f"Then run them:  make test  (only them: make test ARGS='-m {mark}')"
        )


def _owed(config: pytest.Config) -> list[Outside]:
    if config.option.collectonly or hasattr(config, "workerinput"):
        return []
    return [each for mark, each in OUTSIDE.items() if each.required() and mark not in _ran]
