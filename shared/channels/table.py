"""CHANNELS: every channel, its providers in both directions, and how long a reply is free.

A row without providers is a channel whose adapters are still to be written; an account on it is
refused at start, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from shared.accounts import Account
from shared.channels import ChannelRow, Provider, Rate, sms
from shared.channels.email import MailgunInbound, SmtpOutbound
from shared.channels.phone import CtiInbound, TelnyxInbound, TwilioInbound, VonageInbound
from shared.channels.portal import GenericInbound
from shared.channels.providers.twilio_messages import TwilioInbound as TwilioMessages
from shared.channels.providers.twilio_send import TwilioOutbound
from shared.channels.sms.twilio import message as twilio_text
from shared.channels.whatsapp import MetaInbound, MetaOutbound
from shared.channels.whatsapp.twilio import message as twilio_whatsapp
from shared.channels.x import XHealth, XInbound, XMedia, XOutbound
from shared.errors import Misconfigured
from shared.events import Channel

_DAY: Final = timedelta(hours=24)
_SMTP: Final = SmtpOutbound()
_LISTENED: Final = Provider(outbound=_SMTP)  # its mail comes in by our own listener, not by webhook
_GENERIC: Final = {"generic": Provider(inbound=GenericInbound())}
_PHONE: Final = {
    "twilio": Provider(inbound=TwilioInbound()),
    "vonage": Provider(inbound=VonageInbound()),
    "telnyx": Provider(inbound=TelnyxInbound()),
    "cti": Provider(inbound=CtiInbound()),
}
# One messaging service of Twilio's may have senders of both kinds, and one address for them.
_TWILIO: Final = Provider(
    TwilioMessages({"sms": twilio_text, "whatsapp": twilio_whatsapp}), TwilioOutbound()
)
_SMS: Final = {
    "twilio": _TWILIO,
    "vonage": Provider(sms.VonageInbound(), sms.VonageOutbound()),
    "telnyx": Provider(sms.TelnyxInbound(), sms.TelnyxOutbound()),
}
_WHATSAPP: Final = {"meta": Provider(MetaInbound(), MetaOutbound()), "twilio": _TWILIO}
# 15 messages in 15 minutes of one user (docs.x.com, "Rate limits", August 2026).
_X: Final = Provider(
    XInbound(), XOutbound(), media=XMedia(), health=XHealth(), per_account=Rate(15, 900.0)
)

_ROWS: Final = (
    ChannelRow("email", {"mailgun": Provider(MailgunInbound(), _SMTP), "smtp": _LISTENED}),
    ChannelRow("whatsapp", _WHATSAPP, reply_window=_DAY),
    ChannelRow("phone", _PHONE),
    ChannelRow("sms", _SMS),
    ChannelRow("messenger", {}, reply_window=_DAY),
    ChannelRow("instagram", {}, reply_window=_DAY),
    ChannelRow("x", {"x": _X}),
    ChannelRow("teams", {}),
    ChannelRow("portal", _GENERIC),
    ChannelRow("webchat", _GENERIC),
    ChannelRow("counter", _GENERIC),
    ChannelRow("internal", _GENERIC),
)

CHANNELS: Final[Mapping[Channel, ChannelRow]] = {row.name: row for row in _ROWS}


def provider_of(account: Account) -> Provider:
    """The adapter behind an account. Raises Misconfigured, naming what its channel does have."""
    providers = CHANNELS[account.channel].providers
    if (provider := providers.get(account.provider)) is not None:
        return provider
    known = ", ".join(sorted(providers)) or "no provider yet"
    raise Misconfigured(
        f"account {account.name}: channel {account.channel} has no provider "
        f"{account.provider!r}; it has {known}"
    )


def reply_window(channel: Channel) -> timedelta | None:
    """How long after a customer's message the channel lets us answer freely; None: for ever."""
    return CHANNELS[channel].reply_window


def can_send(account: Account) -> bool:
    """Whether a reply can leave by this account: a mail account also needs its `outbound`."""
    sends = provider_of(account).outbound is not None
    return sends and (account.channel != "email" or bool(account.settings.get("outbound")))
