"""CHANNELS: every channel of the design has a row, and an account finds its adapter."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from shared.accounts import Account
from shared.channels.table import CHANNELS, provider_of, reply_window
from shared.errors import Misconfigured
from shared.events import Channel
from tests.contracts.channels.behaviour import load, named

ACCOUNTS = load(
    """
    accounts:
      desk-whatsapp:
        channel: whatsapp
        provider: meta
        phone_number_id: "1"
        app_secret: secret-of-the-app
        verify_token: our-verify-token
        access_token: EAAB-access
      service-portal: {channel: portal, provider: generic}
      other-whatsapp:
        channel: whatsapp
        provider: twilio
        number: "+31880001234"
        auth_token: token-of-twilio
        public_url: https://regie.example.org
    """
)


def test_every_channel_has_its_row() -> None:
    assert set(CHANNELS) == set(get_args(Channel))
    assert all(row.name == name for name, row in CHANNELS.items())


@pytest.mark.parametrize(
    ("channel", "hours"),
    [("whatsapp", 24), ("messenger", 24), ("instagram", 24), ("email", None), ("phone", None)],
)
def test_how_long_a_reply_is_free(channel: Channel, hours: int | None) -> None:
    assert reply_window(channel) == (None if hours is None else timedelta(hours=hours))


def test_an_account_finds_its_provider() -> None:
    whatsapp = provider_of(named(ACCOUNTS, "desk-whatsapp"))
    assert whatsapp.inbound is not None
    assert whatsapp.outbound is not None
    other = provider_of(named(ACCOUNTS, "other-whatsapp"))
    assert other.outbound is not None
    assert other is not whatsapp
    portal = provider_of(named(ACCOUNTS, "service-portal"))
    assert portal.inbound is not None
    assert portal.outbound is None


def test_a_provider_without_an_adapter_is_named() -> None:
    with pytest.raises(Misconfigured, match="no provider 'pigeon'; it has meta, twilio"):
        provider_of(Account("other-whatsapp", "whatsapp", "pigeon"))
