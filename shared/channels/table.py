"""CHANNELS: every channel, its providers in both directions, and how long a reply is free.

A row without providers is a channel whose adapters are still to be written; an account on it is
refused at start, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from shared.accounts import Account
from shared.channels import (
    ChannelRow,
    FileLimits,
    Provider,
    Rate,
    instagram,
    messenger,
    sms,
    teams,
    whatsapp,
    x,
)
from shared.channels.email import (
    ApiOrSmtp,
    MailgunHealth,
    MailgunInbound,
    MailgunMedia,
    MailgunOutbound,
    MailHealth,
    PostmarkHealth,
    PostmarkInbound,
    PostmarkOutbound,
    SendGridHealth,
    SendGridInbound,
    SendGridOutbound,
    SesHealth,
    SesInbound,
    SesOutbound,
    SmtpOutbound,
    mailgun_api,
    mailgun_send,
    postmark_send,
    sendgrid_send,
    ses,
    ses_send,
    smtp,
)
from shared.channels.phone import CtiInbound, TelnyxInbound, TwilioInbound, VonageInbound
from shared.channels.portal import GenericInbound
from shared.channels.providers import sns, telnyx_media, twilio_send, vonage_media
from shared.channels.providers.telnyx_health import TelnyxHealth
from shared.channels.providers.telnyx_media import TelnyxMedia
from shared.channels.providers.twilio_health import TwilioHealth
from shared.channels.providers.twilio_media import TwilioMedia
from shared.channels.providers.twilio_messages import TwilioInbound as TwilioMessages
from shared.channels.providers.twilio_send import TwilioOutbound
from shared.channels.providers.vonage_health import VonageHealth
from shared.channels.providers.vonage_media import VonageMedia
from shared.channels.sms.twilio import message as twilio_text
from shared.channels.webchat import takes_chats
from shared.channels.whatsapp.twilio import message as twilio_whatsapp
from shared.errors import Misconfigured
from shared.events import Channel

_DAY: Final = timedelta(hours=24)
_SMTP: Final = SmtpOutbound()
_SENDGRID: Final = Provider(
    SendGridInbound(),
    ApiOrSmtp("api_key", SendGridOutbound(), _SMTP),
    files=sendgrid_send.FILES,
    health=SendGridHealth(),
)
_POSTMARK: Final = Provider(
    PostmarkInbound(),
    ApiOrSmtp("server_token", PostmarkOutbound(), _SMTP),
    files=postmark_send.FILES,
    health=PostmarkHealth(),
)
# Mail comes in by our own listener or out of a mailbox, not by webhook.
_OWN_MAIL: Final = Provider(outbound=_SMTP, files=smtp.FILES, health=MailHealth())
_GENERIC: Final = {"generic": Provider(inbound=GenericInbound())}
_WEBCHAT: Final = {"generic": Provider(GenericInbound(), files=FileLimits(10, 25_000_000))}
_PHONE: Final = {
    "twilio": Provider(TwilioInbound(), media=TwilioMedia(), health=TwilioHealth()),
    "vonage": Provider(VonageInbound(), media=VonageMedia(), health=VonageHealth()),
    "telnyx": Provider(TelnyxInbound(), media=TelnyxMedia(), health=TelnyxHealth()),
    "cti": Provider(inbound=CtiInbound()),
}
# One messaging service of Twilio's may have senders of both kinds, and one address for them.
_TWILIO: Final = Provider(
    TwilioMessages({"sms": twilio_text, "whatsapp": twilio_whatsapp}),
    TwilioOutbound(),
    media=TwilioMedia(),
    files=twilio_send.SMS_FILES,
    health=TwilioHealth(),
)
_SMS: Final = {
    "twilio": _TWILIO,
    "vonage": Provider(
        sms.VonageInbound(),
        sms.VonageOutbound(),
        media=VonageMedia(),
        files=vonage_media.FILES,
        health=VonageHealth(),
    ),
    "telnyx": Provider(
        sms.TelnyxInbound(),
        sms.TelnyxOutbound(),
        media=TelnyxMedia(),
        files=telnyx_media.FILES,
        health=TelnyxHealth(),
    ),
}
_WHATSAPP: Final = {
    "meta": whatsapp.META,
    "twilio": replace(_TWILIO, files=twilio_send.WHATSAPP_FILES),
}
_MAILGUN: Final = Provider(
    MailgunInbound(),
    MailgunOutbound(_SMTP),
    media=MailgunMedia(),
    files=mailgun_send.FILES,
    health=MailgunHealth(),
)
_SES: Final = Provider(
    SesInbound(),
    ApiOrSmtp("secret_access_key", SesOutbound(), _SMTP),
    keys=sns.keys_wanted,
    enclosure=ses.enclosure,
    files=ses_send.FILES,
    health=SesHealth(),
    # 14 a second is what an account out of the sandbox begins with; the doctor shows its own.
    per_account=Rate(10),
)
_EMAIL: Final = {
    "mailgun": _MAILGUN,
    "ses": _SES,
    "sendgrid": _SENDGRID,
    "postmark": _POSTMARK,
    "smtp": _OWN_MAIL,
    "imap": _OWN_MAIL,
}
# The field of a mail account that lets its replies leave by the provider's API.
_API_KEYS: Final = {
    "sendgrid": "api_key",
    "postmark": "server_token",
    "ses": "secret_access_key",
}
_ROWS: Final = (
    ChannelRow("email", _EMAIL),
    ChannelRow("whatsapp", _WHATSAPP, reply_window=_DAY),
    ChannelRow("phone", _PHONE),
    ChannelRow("sms", _SMS),
    ChannelRow("messenger", {"meta": messenger.META}, reply_window=_DAY),
    ChannelRow("instagram", {"meta": instagram.META}, reply_window=_DAY),
    ChannelRow("x", {"x": x.X}),
    ChannelRow("teams", {"microsoft": teams.MICROSOFT}),
    ChannelRow("portal", _GENERIC),
    ChannelRow("webchat", _WEBCHAT),
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
    """Whether a reply can leave by this account: one for mail also needs its API's key, or its
    `outbound`."""
    if account.channel == "webchat":  # without a provider: what is for it goes into its store
        return takes_chats(account)
    sends = provider_of(account).outbound is not None
    return sends and (account.channel != "email" or _has_a_way_out(account))


def _has_key(account: Account) -> bool:
    return bool(account.secrets(_API_KEYS.get(account.provider, "")))


def _has_a_way_out(account: Account) -> bool:
    by_api = mailgun_api.uses_api if account.provider == "mailgun" else _has_key
    return bool(account.settings.get("outbound")) or by_api(account)
