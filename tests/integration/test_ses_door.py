"""Amazon's posts through the real door: the certificate fetched, the subscription confirmed, the
mail brought from its bucket, and only then a 2xx."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from services.ingest import service
from services.ingest.rereading import Rereading
from shared import parking
from shared.events import MessageReceived
from shared.telemetry import METRICS
from shared.topics import MESSAGES_RECEIVED, dead_letters_of
from tests import servers
from tests.contracts.channels.behaviour import load
from tests.doors import Door, make_runtime, open_door
from tests.fakes.aws import KEY_ID, PEM_PATH, SECRET, TOPIC, FakeAws, Signer, signer
from tests.loopback import serving

PATH = "/webhooks/support-mail"
PARKED = dead_letters_of(MESSAGES_RECEIVED)


@dataclass
class Amazon:
    """The fake on loopback, and a door whose account names it as its api_base."""

    aws: FakeAws
    door: Door

    async def post(self, message: Any) -> httpx.Response:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = {"content-type": "text/plain; charset=UTF-8"}
        return await self.door.http.post(PATH, content=body, headers=headers)

    def asked(self, path: str) -> int:
        return sum(1 for each in self.aws.requests if each.path == path)


@pytest.fixture(scope="module")
async def open_amazon(
    postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Amazon]:
    aws = FakeAws()
    async with (
        serving(aws.app) as base,
        servers.fresh_database(postgres_url, template=_template) as url,
    ):
        accounts = load(
            """
            accounts:
              support-mail: {channel: email, provider: ses, address: support@example.org,
                             topic_arn: "${TOPIC}", access_key_id: "${KEY}",
                             secret_access_key: "${SECRET}", api_base: "${BASE}"}
            """,
            TOPIC=TOPIC, KEY=KEY_ID, SECRET=SECRET, BASE=base,
        )  # fmt: skip
        runtime = replace(make_runtime(url, tmp_path_factory.mktemp("ses")), accounts=accounts)
        async with open_door(runtime, [replace(service(runtime), tasks={})]) as door:
            yield Amazon(aws, door)


@pytest.fixture
async def amazon(open_amazon: Amazon) -> Amazon:
    """One that has accepted nothing yet. What it knows of certificates it keeps."""
    await open_amazon.door.clear("log_record")
    open_amazon.aws.requests.clear()
    open_amazon.aws.confirmed.clear()
    open_amazon.aws.pem = b""
    return open_amazon


def mail(text: str = "Waar is mijn pakket?") -> bytes:
    head = f"From: jan@example.net\r\nTo: support@example.org\r\nMessage-ID: <{uuid4()}@x>\r\n"
    return f"{head}Subject: Pakket\r\n\r\n{text}\r\n".encode()


def received(content: bytes | None, key: str = "") -> Any:
    action = {"type": "S3", "bucketName": "mails", "objectKey": key} if key else {"type": "SNS"}
    told = {
        "notificationType": "Received",
        "receipt": {
            "timestamp": "2026-10-01T11:59:58.222Z",
            "recipients": ["support@example.org"],
            "action": {**action, "encoding": "UTF8"},
        },
        "mail": {"source": "jan@example.net", "messageId": uuid4().hex},
    }
    return told if content is None else {**told, "content": content.decode()}


def at(path: str, by: Signer | None = None, said: Any = None, **changes: Any) -> dict[str, Any]:
    """A notification whose certificate lies at `path`."""
    url = f"https://sns.eu-west-1.amazonaws.com{path}"
    told = received(mail()) if said is None else said
    return (by or signer()).notification(told, SigningCertURL=url, **changes)


async def messages(amazon: Amazon) -> list[MessageReceived]:
    rows = await amazon.door.records(MESSAGES_RECEIVED)
    return [msgspec.json.decode(row.value, type=MessageReceived) for row in rows]


def refused(reason: str) -> float:
    labels = {"account": "support-mail", "reason": reason}
    return METRICS.get_sample_value("regie_webhooks_refused_total", labels) or 0.0


async def test_a_mail_comes_in_and_its_certificate_is_fetched_once(amazon: Amazon) -> None:
    answers = [await amazon.post(at(PEM_PATH)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert amazon.asked(PEM_PATH) <= 1  # none where a test before this one has
    assert [each.text for each in await messages(amazon)] == ["Waar is mijn pakket?"] * 3


async def test_what_amazon_did_not_sign_is_a_401(amazon: Amazon) -> None:
    before = refused("unauthenticated")
    good = at(PEM_PATH)
    forged = [
        Signer().notification(received(mail())),
        {**good, "Message": json.dumps(received(mail("Another text")))},
        at(PEM_PATH, TopicArn="arn:aws:sns:eu-west-1:999999999999:mails"),
        {**good, "SigningCertURL": "https://evil.example/x.pem"},
        at("/SimpleNotificationService-nothing-there.pem"),
        b"{",
        b"",
    ]
    for message in forged:
        assert (await amazon.post(message)).status_code == 401
    assert await messages(amazon) == []
    assert refused("unauthenticated") == before + len(forged)
    assert not [each for each in amazon.aws.requests if "evil" in str(each)]


async def test_a_certificate_that_cannot_be_had_is_a_503(amazon: Amazon) -> None:
    path = "/SimpleNotificationService-away.pem"
    amazon.aws.answer(500, b"")
    answer = await amazon.post(at(path))
    assert answer.status_code == 503
    assert answer.json()["name"] == "provider-unavailable"
    assert int(answer.headers["retry-after"]) > 0
    assert await messages(amazon) == []
    amazon.aws.answer(200, signer().pem)
    assert (await amazon.post(at(path))).status_code == 200


async def test_a_subscription_is_confirmed_before_the_answer(amazon: Amazon) -> None:
    confirmation = signer().confirmation(Token="0123456789")
    await amazon.post(at(PEM_PATH))  # so that only the confirmation is asked for below
    amazon.aws.answer(500, b"")
    assert (await amazon.post(confirmation)).status_code == 503
    assert amazon.aws.confirmed == []
    assert (await amazon.post(confirmation)).status_code == 200
    assert amazon.aws.confirmed == ["0123456789"]
    foreign = signer().confirmation(TopicArn="arn:aws:sns:eu-west-1:999999999999:mails")
    assert (await amazon.post(foreign)).status_code == 401
    assert amazon.aws.confirmed == ["0123456789"]


async def test_a_confirmation_that_amazon_refuses_is_shown(amazon: Amazon) -> None:
    await amazon.post(at(PEM_PATH))
    amazon.aws.answer(400, b"<ErrorResponse/>")
    assert (await amazon.post(signer().confirmation(Token="old"))).status_code == 200
    (parked,) = await amazon.door.records(PARKED)
    assert b"refuses the call" in parked.value


async def test_a_mail_in_a_bucket_is_there_before_the_answer(amazon: Amazon) -> None:
    raw = mail("A long story. " * 50_000)
    amazon.aws.objects["mails/in/één mail"] = raw
    told = received(None, "in/één mail")
    assert (await amazon.post(at(PEM_PATH, said=told))).status_code == 200
    (message,) = await messages(amazon)
    assert message.text.startswith("A long story.")
    assert message.raw_blob is not None
    assert await amazon.door.runtime.blobs.get(message.raw_blob.ref) == raw


async def test_a_bucket_that_is_away_and_one_that_is_closed(amazon: Amazon) -> None:
    amazon.aws.objects["mails/x"] = mail()
    await amazon.post(at(PEM_PATH))
    await amazon.door.clear("log_record")
    amazon.aws.answer(503, b"SlowDown")
    told = at(PEM_PATH, said=received(None, "x"))
    assert (await amazon.post(told)).status_code == 503
    assert await messages(amazon) == []
    amazon.aws.answer(403, b"AccessDenied")
    assert (await amazon.post(told)).status_code == 200
    (parked,) = await amazon.door.records(PARKED)
    assert b"s3:GetObject" in parked.value


async def test_a_parked_mail_is_read_from_its_bucket_when_it_is_replayed(amazon: Amazon) -> None:
    told = at(PEM_PATH, said=received(None, "later"))
    assert (await amazon.post(told)).status_code == 200  # the bucket has no such object yet
    (record,) = await amazon.door.records(PARKED)
    item = parking.read(record.value)
    body = await amazon.door.runtime.blobs.get(item.body.ref)
    assert body is not None
    amazon.aws.objects["mails/later"] = mail("Here at last")
    reader = Rereading.of(amazon.door.runtime)
    parsed = await reader.parse(item.account, item.request(body))
    assert [each.text for each in parsed.messages] == ["Here at last"]
