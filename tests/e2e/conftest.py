"""One running Regie for the tests that only talk to it, and a town around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.kafka.kafka import KafkaServer
from shared.embedded import EmbeddedPostgres
from tests import servers
from tests.e2e.doors import Doors
from tests.e2e.process import Regie, running
from tests.e2e.town import Town, a_town

# Everything of the example, in seconds: reminders and breaches come while a test looks on.
HASTY = """
name: hasty
calendars: {always: {hours: 24/7}}
supervisors: {notify: [{webhook: http://127.0.0.1:9901/supervisors}]}
teams:
  frontdesk: {calendar: always, notify: [{webhook: http://127.0.0.1:9901/frontdesk}]}
  parcels:
    {calendar: always, fallback: frontdesk, notify: [{webhook: http://127.0.0.1:9901/parcels}]}
  claims: {calendar: always, notify: [{webhook: http://127.0.0.1:9901/claims}]}
products: {parcels: {}}
routing:
  - {name: tracking, when: 'text.contains("parcel")', team: parcels, product: parcels}
  - {name: claims, when: 'text.contains("claim")', team: claims}
  - {name: the rest, team: frontdesk}
service_levels:
  - name: hasty
    when: 'text.contains("hurry")'
    calendar: always
    first_response: 4s
    warn_before: [2s]
  - {name: calm, calendar: always, first_response: 1h, resolution: 1d}
on_breach: {notify: [team, supervisors], priority: raise, reassign: fallback}
reply_from: {email: support-mail}
switches:
  - {from: whatsapp, to: email, reasons: [agent], consent: ask}
"""


@dataclass
class StoppablePostgres:
    """A server of the test's own, to take away and give back. Its URL stays the same."""

    server: EmbeddedPostgres
    url: str = ""

    async def start(self) -> None:
        self.url = await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()


@pytest.fixture
async def stoppable_postgres(tmp_path: Path) -> AsyncIterator[StoppablePostgres]:
    postgres = StoppablePostgres(EmbeddedPostgres(tmp_path / "postgres"))
    await postgres.start()
    yield postgres
    await postgres.stop()


@pytest.fixture
async def kafka_alone() -> AsyncIterator[KafkaServer]:
    """A broker of the test's own, to take away and give back."""
    async with servers.running_kafka() as server:
        yield server


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A module's own, since the ports are: what another module started may still listen."""
    async with a_town(tmp_path_factory.mktemp("town")) as town:
        yield town


@pytest.fixture(scope="module", params=["postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
def log_env(request: pytest.FixtureRequest) -> dict[str, str]:
    """What names the log: nothing for the one in PostgreSQL, or Kafka's address."""
    if request.param == "postgres":
        return {}
    return {"REGIE_KAFKA_BOOTSTRAP": request.getfixturevalue("kafka")}


@pytest.fixture(scope="module")
async def regie(
    log_env: dict[str, str], town: Town, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Regie]:
    """Everything in one process, on either log."""
    town.forget()
    data_dir = tmp_path_factory.mktemp("regie") / "data"
    async with running(Regie(data_dir, town.env(HASTY, **log_env))) as regie:
        yield regie


@pytest.fixture
async def agent(regie: Regie) -> AsyncIterator[httpx.AsyncClient]:
    async with regie.client() as client:
        yield client


@pytest.fixture
async def doors(regie: Regie) -> AsyncIterator[Doors]:
    async with httpx.AsyncClient(base_url=regie.url, timeout=20) as client:
        yield Doors(client)
