"""E-mail: mails in by Mailgun's webhook or our own SMTP listener, replies out by SMTP.

mime ← charsets headers transfer html text files    raw bytes to one readable mail
inbound ← addresses authentication automatic bounces quotes tokens    a mail to events
mailgun, sendgrid, postmark, ses, smtp, imap    the providers' sides of it
"""

from __future__ import annotations

from shared.channels.email.by_api import ApiOrSmtp
from shared.channels.email.inbound import message_from_mime
from shared.channels.email.mail_health import MailHealth
from shared.channels.email.mailgun import MailgunInbound
from shared.channels.email.mailgun_health import MailgunHealth
from shared.channels.email.mailgun_media import MailgunMedia
from shared.channels.email.mailgun_send import MailgunOutbound
from shared.channels.email.postmark import PostmarkInbound
from shared.channels.email.postmark_health import PostmarkHealth
from shared.channels.email.postmark_send import PostmarkOutbound
from shared.channels.email.sendgrid import SendGridInbound
from shared.channels.email.sendgrid_health import SendGridHealth
from shared.channels.email.sendgrid_send import SendGridOutbound
from shared.channels.email.ses import SesInbound
from shared.channels.email.ses_health import SesHealth
from shared.channels.email.ses_send import SesOutbound
from shared.channels.email.smtp import SmtpOutbound

__all__ = [
    "ApiOrSmtp",
    "MailHealth",
    "MailgunHealth",
    "MailgunInbound",
    "MailgunMedia",
    "MailgunOutbound",
    "PostmarkHealth",
    "PostmarkInbound",
    "PostmarkOutbound",
    "SendGridHealth",
    "SendGridInbound",
    "SendGridOutbound",
    "SesHealth",
    "SesInbound",
    "SesOutbound",
    "SmtpOutbound",
    "message_from_mime",
]
