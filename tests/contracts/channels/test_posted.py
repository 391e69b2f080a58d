"""The channels without a provider: what each takes by the generic door, from tables of payloads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from shared.channels import WebhookRequest
from shared.channels.portal import GenericInbound, message_from_json
from shared.channels.providers.standard_webhooks import sign
from shared.channels.table import CHANNELS, can_send, provider_of
from shared.errors import Invalid
from shared.events import MessageReceived
from tests.contracts.channels.behaviour import (
    CHECKS,
    RECEIVED_AT,
    Check,
    Door,
    load,
    name_of,
    named,
    post,
)

TABLES = Path(__file__).parent / "posted"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
ACCOUNTS = load(
    """
    accounts:
      counter: {channel: counter, secret: "${SECRET}"}
      internal: {channel: internal, secret: "${SECRET}"}
      portal: {channel: portal, provider: generic, region: NL}
    """,
    SECRET=SECRET,
)


def rows(*kinds: str) -> list[Any]:
    return [
        pytest.param(path.stem, row, id=f"{path.stem}: {row['name']}")
        for path in sorted(TABLES.glob("*.json"))
        for row in json.loads(path.read_text(encoding="utf-8"))
        if set(kinds) & set(row)
    ]


def read(account: str, posted: dict[str, Any]) -> MessageReceived:
    body = {"account": account} | posted
    return message_from_json(body, named(ACCOUNTS, account), RECEIVED_AT, "request-1")[0]


@pytest.mark.parametrize(("account", "row"), rows("expect"))
def test_what_is_taken(account: str, row: dict[str, Any]) -> None:
    message = read(account, row["posted"])
    shown = {
        "sender": [str(identity) for identity in message.sender.identities],
        "authentication": message.sender.authentication,
        "references": list(message.thread.references),
    }
    assert message.channel == account
    for name, value in row["expect"].items():
        assert (shown[name] if name in shown else getattr(message, name)) == value, name


@pytest.mark.parametrize(("account", "row"), rows("refused"))
def test_what_is_refused(account: str, row: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        read(account, row["posted"])
    assert [each["field"] for each in refusal.value.extra["errors"]] == row["refused"]


def signed(body: bytes) -> WebhookRequest:
    seconds = int(RECEIVED_AT.timestamp())
    return post(
        body,
        {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(SECRET, "msg_1", seconds, body),
        },
    )


def door(account: str, **posted: Any) -> Door:
    body = json.dumps({"account": account, "id": "one"} | posted).encode()
    return Door(GenericInbound(), named(ACCOUNTS, account), ACCOUNTS, sign=signed, body=body)


DOORS = [
    door("counter", **{"from": {"address": "1001"}}),
    door("internal", text="May we?", **{"from": {"address": "E-9"}}),
]


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("door", DOORS, ids=["counter", "internal"])
def test_behaviour(door: Door, check: Check) -> None:
    check(door)


@pytest.mark.parametrize("channel", ["counter", "internal"])
def test_no_provider_has_to_be_named(channel: str) -> None:
    account = named(ACCOUNTS, channel)
    assert account.provider == "generic"
    assert provider_of(account).inbound is not None
    assert not can_send(account)
    assert set(CHANNELS[account.channel].providers) == {"generic"}
