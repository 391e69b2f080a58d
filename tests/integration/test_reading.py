"""Large bodies are read in a process of their own, which can be stopped."""

from __future__ import annotations

import asyncio
import os
import pickle
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import psutil
import pytest

from services.ingest.mail_intake import parsed_mail
from services.ingest.webhooks import taken_apart
from shared.accounts import Account, load_accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.email import message_from_mime
from shared.channels.table import CHANNELS
from shared.errors import Unavailable, Unreadable
from shared.reading import OFF_LOOP, Reading
from tests.waiting import until

_WORKER = "shared.reading_worker"
AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
ACCOUNT = Account("desk", "email", "smtp", MappingProxyType({"address": "desk@example.org"}))
LARGE = b"From: jan@example.net\r\nMessage-ID: <a@b>\r\n\r\n" + b"Hallo daar.\r\n" * 20_000


@pytest.fixture
async def reading() -> AsyncIterator[Reading]:
    made = Reading(seconds=20)
    yield made
    made.close()


class Workers:
    """The processes started since."""

    def __init__(self) -> None:
        self._before = self._now()

    def _now(self) -> set[int]:
        found = (each.as_dict(["pid", "cmdline"]) for each in psutil.Process().children())
        return {each["pid"] for each in found if _WORKER in (each["cmdline"] or ())}

    async def some(self) -> bool:
        return bool(self._now() - self._before)

    async def none(self) -> bool:
        return not await self.some()


def process() -> Parsed:
    return Parsed(answer=Answer(body=str(os.getpid()).encode()))


def prints() -> Parsed:
    print("this is no answer")
    return Parsed()


def refuses(reason: str) -> Parsed:
    raise Unreadable(reason)


def fails(secret: str) -> Parsed:
    raise ValueError(secret)


def sleeps(seconds: float) -> Parsed:
    time.sleep(seconds)
    return Parsed()


async def test_a_mail_is_read_as_in_this_process(reading: Reading) -> None:
    mail = (LARGE, ACCOUNT, "a@b.nl", ("desk@example.org",), AT)
    assert await reading.parsed(LARGE, message_from_mime, *mail) == message_from_mime(*mail)


async def test_it_is_another_process_and_the_same_one_again(reading: Reading) -> None:
    first = await reading.parsed(b"", process)
    assert first.answer.body != str(os.getpid()).encode()
    assert (await reading.parsed(b"", process)).answer == first.answer


async def test_what_takes_too_long_is_parked_and_its_process_ended() -> None:
    reading, workers = Reading(seconds=0.5), Workers()
    (parked,) = (await reading.parsed(b"the mail", time.sleep, 600)).parked  # type: ignore[arg-type]
    assert parked.raw == b"the mail"
    assert "over 0.5 s" in parked.reason
    assert parked.key
    reading.close()
    await until(workers.none)


async def test_who_waits_too_long_for_a_turn_comes_again() -> None:
    reading = Reading(seconds=20, turn=0.2)
    busy = [asyncio.create_task(reading.parsed(b"", sleeps, 600)) for _ in range(2)]
    await asyncio.wait(busy, timeout=0)
    with pytest.raises(Unavailable):
        await reading.parsed(b"one more", process)
    for each in busy:
        each.cancel()
    await asyncio.wait(busy)
    assert (await reading.parsed(b"", process)).answer.body, "their turns are free again"
    reading.close()


async def test_the_loop_goes_on_meanwhile(reading: Reading) -> None:
    busy = asyncio.create_task(reading.parsed(b"", sleeps, 0.5))
    turns = 0
    while not busy.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100


async def test_what_kills_its_process_is_parked(reading: Reading) -> None:
    (parked,) = (await reading.parsed(b"the mail", os._exit, 3)).parked
    assert parked.raw == b"the mail"
    assert "ended its process" in parked.reason
    assert (await reading.parsed(b"", process)).answer.body


async def test_what_is_unreadable_says_why(reading: Reading) -> None:
    (parked,) = (await reading.parsed(b"x", refuses, "the mail is empty")).parked
    assert (parked.raw, parked.reason) == (b"x", "the mail is empty")


async def test_a_fault_of_ours_tells_nobody_s_data(reading: Reading) -> None:
    (parked,) = (await reading.parsed(b"x", fails, "4111-1111")).parked
    assert "ValueError" in parked.reason
    assert "4111" not in parked.reason


async def test_what_a_parser_prints_is_no_answer(reading: Reading) -> None:
    assert await reading.parsed(b"x", prints) == Parsed()


async def test_one_that_is_cancelled_leaves_no_process_behind() -> None:
    reading, workers = Reading(seconds=20), Workers()
    task = asyncio.create_task(reading.parsed(b"", sleeps, 600))
    await until(workers.some)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(workers.none)


async def test_closed_it_leaves_no_process_behind() -> None:
    reading, workers = Reading(seconds=20), Workers()
    await reading.parsed(b"", process)
    assert await workers.some()
    reading.close()
    await until(workers.none)


# --- the doors -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Door:
    """An adapter that tells which process it ran in."""

    more: Mapping[str, Any] = field(default_factory=dict)

    def parse(self, request: WebhookRequest, account: Account, accounts: Any) -> Parsed:
        assert not request.keys
        return Parsed(parked=(Parked(request.body, str(os.getpid())),))


@pytest.mark.parametrize(("size", "here"), [(OFF_LOOP, True), (OFF_LOOP + 1, False)])
async def test_a_webhook_is_taken_apart_beside_the_loop_when_it_is_large(
    size: int, here: bool
) -> None:
    request = WebhookRequest("POST", "", (), "", {}, b"x" * size, AT)
    accounts = load_accounts("accounts: {}", "channels.yaml", {})
    (parked,) = (await taken_apart(Door(), request, ACCOUNT, accounts)).parked
    assert (parked.reason == str(os.getpid())) is here


async def test_a_large_mail_is_read_beside_the_loop() -> None:
    found = await parsed_mail(LARGE, ACCOUNT, "a@b.nl", ["desk@example.org"], AT)
    assert found == message_from_mime(LARGE, ACCOUNT, "a@b.nl", ["desk@example.org"], AT)


def test_every_adapter_can_go_to_another_process() -> None:
    for row in CHANNELS.values():
        for provider in row.providers.values():
            if provider.inbound is not None:
                assert type(pickle.loads(pickle.dumps(provider.inbound))) is type(provider.inbound)
