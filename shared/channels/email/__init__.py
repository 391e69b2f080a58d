"""E-mail: mails in by Mailgun's webhook or our own SMTP listener, replies out by SMTP.

mime ← charsets headers transfer html text files    raw bytes to one readable mail
inbound ← addresses authentication automatic bounces quotes tokens    a mail to events
mailgun, smtp    the two providers' sides of it
"""

from __future__ import annotations

from shared.channels.email.inbound import message_from_mime
from shared.channels.email.mailgun import MailgunInbound
from shared.channels.email.smtp import SmtpOutbound

__all__ = ["MailgunInbound", "SmtpOutbound", "message_from_mime"]
