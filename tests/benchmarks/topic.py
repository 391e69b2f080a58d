"""A topic full of messages, put there by the real adapter and intake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.ingest.intake import Intake
from shared.accounts import Accounts, load_accounts
from shared.blobs import FolderBlobs
from shared.broker import Broker, Range, TopicPartition
from shared.broker.kafka import KafkaBroker
from shared.broker.postgres import PostgresBroker
from shared.channels import WebhookRequest
from shared.channels.whatsapp import MetaInbound
from shared.runtime import utc_now
from shared.settings import Settings
from shared.topics import MESSAGES_RECEIVED
from tests.benchmarks import traffic

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"
SECRETS: Final = (
    "MAILGUN_SIGNING_KEY", "META_APP_SECRET", "META_VERIFY_TOKEN", "META_ACCESS_TOKEN",
    "TWILIO_AUTH_TOKEN", "PORTAL_SECRET",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A filled topic: where it begins and ends, and how many messages that is.

    template  the database to start from, by name: with the log in it where PostgreSQL holds it
    """

    settings: Settings
    template: str
    ranges: Mapping[TopicPartition, Range]
    count: int


async def fill(
    settings: Settings, writers: traffic.Writers, count: int
) -> dict[TopicPartition, Range]:
    """Puts the messages on the topic by the real adapter and intake. Gives their places."""
    broker = broker_of(settings)
    accounts = accounts_of_deploy()
    await broker.start()
    try:
        before = await broker.ranges([MESSAGES_RECEIVED])
        intake = Intake(broker, FolderBlobs(settings.blob_folder), utc_now)
        account = accounts.get("desk-whatsapp")
        assert account is not None
        for body in writers.bodies(count, each=100):
            request = WebhookRequest("POST", "", (), "", {}, body, utc_now())
            await intake.accept(MetaInbound().parse(request, account, accounts), account.name)
        after = await broker.ranges([MESSAGES_RECEIVED])
    finally:
        await broker.stop()
    return {tp: Range(before[tp].end, after[tp].end) for tp in after}


def accounts_of_deploy() -> Accounts:
    """Those of the files that ship, so that the policy finds the accounts it names."""
    file = DEPLOY / "channels.yaml"
    return load_accounts(file.read_text(encoding="utf-8"), str(file), dict.fromkeys(SECRETS, "x"))


def broker_of(settings: Settings) -> Broker:
    if settings.kafka_bootstrap:
        return KafkaBroker(settings)
    return PostgresBroker(settings.database_url)
