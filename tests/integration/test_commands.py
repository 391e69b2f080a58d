"""The commands that speak HTTP, against a Regie that serves."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.ingest import service
from shared.broker import Message
from shared.ops import dead_letter_subscription
from shared.runtime import Service
from shared.topics import MESSAGES_RECEIVED, dead_letters_of
from tests.command import said
from tests.doors import ADMIN, Door, make_runtime, open_door
from tests.waiting import until

LETTER = (("ce_id", b"1"), ("ce_type", b"message.received"), ("dlq_reason", b"too odd [/x]"))


@pytest.fixture
async def door(database_url: str, tmp_path: Path) -> AsyncIterator[Door]:
    runtime = make_runtime(database_url, tmp_path)
    letters = Service("dead-letters", subscriptions=(dead_letter_subscription(runtime),))
    async with open_door(runtime, [replace(service(runtime), tasks={}), letters]) as door:
        yield door


def environment(door: Door, key: str = ADMIN) -> dict[str, str]:
    return {"REGIE_URL": str(door.http.base_url), "REGIE_KEY": key}


async def test_an_operators_morning(door: Door) -> None:
    env = environment(door)
    topic = dead_letters_of(MESSAGES_RECEIVED)
    await door.runtime.broker.publish([Message(topic, b"k", b"the bytes", LETTER)])

    async def listed() -> bool:
        return bool(await door.rows("SELECT 1 FROM dead_letters"))

    await until(listed)
    status, words = await said("dead-letters", "list", "--json", env=env)
    assert status == 0
    [letter] = json.loads(words)["items"]
    status, words = await said("dead-letters", "list", env=env)
    assert f"{letter['id']} " in words
    assert "too odd [/x]" in words, "words from outside are no markup"
    assert await said("dead-letters", "show", letter["id"], "--raw", env=env) == (0, "the bytes")
    status, _ = await said("dead-letters", "discard", letter["id"], "--note", "seen", env=env)
    assert status == 0
    status, words = await said("dead-letters", "discard", letter["id"], env=env)
    assert (status, "409" in words) == (1, True)
    status, words = await said("positions", "set", "regie.dead-letters", topic, "0", "end", env=env)
    assert status == 0, words
    status, words = await said("doctor", env=env)
    assert status == 1, "no provider knows these accounts"
    assert re.search(r"desk-whatsapp +whatsapp by meta", words)


async def test_a_wrong_key_says_which_variable(door: Door) -> None:
    status, words = await said("lag", env=environment(door, "wrong"))
    assert status == 1
    assert "REGIE_KEY" in words
