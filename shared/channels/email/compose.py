"""A reply as a mail: its headers, its text, its files.

Written with the standard library's older policy: the newer one encodes a Message-ID that is longer
than a line, and then no program finds the thread again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr
from typing import Final
from uuid import UUID

from shared.accounts import Account
from shared.channels import File, Outgoing
from shared.channels.email.addresses import domain_of, is_address, own_address
from shared.channels.email.tokens import (
    bounce_address,
    reply_address,
    reply_secrets,
    subject_tag,
)
from shared.errors import SendError

_PREFIXES: Final = re.compile(
    r"(?:(?:re|aw|antw|antwort|betr|sv|rép|réf|r|ref)\s?(?:\[\d+\])?\s?:\s*)+", re.IGNORECASE
)
_MOST_REFERENCES: Final = 20
_POLICY: Final = compat32.clone(linesep="\r\n")


def message_id(id: UUID, account: Account) -> str:
    """The Message-ID of our message `id`: answers, bounces and events name it again."""
    return f"<regie.{id}@{domain_of(own_address(account))}>"


def notice_id(id: UUID, account: Account) -> str:
    """The same of a notice to our own people, so that an answer to it is known for one."""
    return f"<regie.notice.{id}@{domain_of(own_address(account))}>"


def compose(message: Outgoing, account: Account, at: datetime) -> bytes:
    """The mail, ready for DATA, with the message's files.

    An address with accents stands in the headers as it is, in UTF-8 (RFC 6532): such a mail may
    only go to a server that offers SMTPUTF8. Raises SendError where the account lacks what it
    needs, or a file its bytes.
    """
    body = _body(message.text, _files(message))
    body["From"] = _raw(_from(sender_name(account), own_address(account)))
    body["To"] = _raw(recipient_of(message))
    body["Subject"] = _header("Subject", subject_of(message, account))
    body["Date"] = format_datetime(at)
    if answer_to := reply_to(message, account):
        body["Reply-To"] = _raw(answer_to)
    for name, value in threading(message, account).items():
        body[name] = value
    return body.as_bytes(policy=_POLICY)


async def composed(message: Outgoing, account: Account, at: datetime) -> bytes:
    """The same, beside the event loop where there are files: a large one takes seconds."""
    if not message.files:
        return compose(message, account, at)
    return await asyncio.to_thread(compose, message, account, at)


def threading(message: Outgoing, account: Account) -> dict[str, str]:
    """The headers that bind the mail to its thread, and mark one that no person wrote."""
    own = notice_id(message.id, account) if message.notice else message_id(message.id, account)
    # Some providers give the mail another Message-ID: by this a bounce or a loop still shows ours.
    headers = {"Message-ID": own, "X-Regie-Origin": own}
    references = [each for each in message.references if _is_id(each)][:_MOST_REFERENCES]
    if references:
        headers["In-Reply-To"] = references[0]
        headers["References"] = " ".join(reversed(references))
    if message.notice:
        headers["Auto-Submitted"] = "auto-generated"
        headers["X-Auto-Response-Suppress"] = "All"
    elif message.automatic:
        headers["Auto-Submitted"] = "auto-replied"
        headers["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    return headers


def recipient_of(message: Outgoing) -> str:
    """The address as mail servers take it: its domain in ASCII. Raises SendError."""
    address = message.recipient.value.strip()
    if message.recipient.scheme != "email" or not is_address(address):
        raise SendError("invalid_recipient", "this is no mail address: correct the customer's")
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError as error:
        raise SendError("invalid_recipient", "the address has an impossible domain") from error


def sender_name(account: Account) -> str:
    """What stands before our address in From; empty where nothing does."""
    return _one_line(str(account.settings.get("display_name", "")))


def subject_of(message: Outgoing, account: Account) -> str:
    """One line. An answer has `Re: ` once, however many programs put theirs before it."""
    subject = _one_line(message.subject)
    if message.references:
        subject = f"Re: {_PREFIXES.sub('', subject, count=1)}".strip()
    if message.notice or not account.settings.get("subject_tag"):
        return subject or "(no subject)"
    tag = subject_tag(own_address(account), message.case_id, _secret(account, "subject_tag"))
    return subject if tag in subject.upper() else f"{subject} {tag}".strip()


def return_address(message: Outgoing, account: Account) -> str:
    """The envelope sender, where bounces go: with `bounce_addressing` it names the message."""
    address = own_address(account)
    if not account.settings.get("bounce_addressing"):
        return address
    return bounce_address(address, message.id, _secret(account, "bounce_addressing"))


def reply_to(message: Outgoing, account: Account) -> str:
    """Where answers are asked to go: our address with the case's token; empty for From's own."""
    if message.notice or not account.settings.get("plus_addressing"):
        return ""
    secret = _secret(account, "plus_addressing")
    return reply_address(own_address(account), message.case_id, secret)


def _secret(account: Account, setting: str) -> str:
    if secrets := reply_secrets(account):
        return secrets[0]
    raise SendError(
        "misconfigured",
        f"account {account.name} has {setting} but no reply_secret to sign with: "
        "add one to the channels file",
    )


def _files(message: Outgoing) -> Sequence[File]:
    # Rather nothing than a mail that says "see the attachment" without one.
    if len(message.files) < len(message.attachments):
        raise SendError("rejected", "an attachment cannot be read: send the text without it")
    return message.files


def _from(name: str, address: str) -> str:
    # The standard library writes no address with accents, so the name is written without one.
    shown, _, _ = formataddr((name, "a@b")).rpartition(" <")
    return f"{shown} <{address}>" if name else address


def _raw(value: str) -> str:
    # So that the bytes are written as they are: an encoded word is no address.
    return value.encode("utf-8", "replace").decode("ascii", "surrogateescape")


def _body(text: str, files: Sequence[File]) -> Message:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    plain = MIMEText(text, "plain")
    del plain["Content-Transfer-Encoding"]
    plain.set_payload(text.encode("utf-8", "replace").decode(), charset)
    if not files:
        return plain
    whole = MIMEMultipart("mixed")
    whole.attach(plain)
    for file in files:
        whole.attach(_file(file))
    return whole


def _file(file: File) -> Message:
    main, _, sub = file.content_type.partition("/")
    part = MIMEApplication(file.content, "octet-stream")
    # What is itself made of parts may not be in base64 (RFC 2046, 5.1 and 5.2.1).
    made_of_parts = main.lower() in ("multipart", "message")
    if re.fullmatch(r"[\w.+-]+/[\w.+-]+", file.content_type, re.ASCII) and not made_of_parts:
        part.set_type(f"{main}/{sub}")
    name = _one_line(file.name) or "file"
    given = name if name.isascii() else ("utf-8", "", name)
    part.add_header("Content-Disposition", "attachment", filename=given)
    return part


def _header(name: str, text: str) -> str:
    # Plain text that looks like an encoded word would be decoded by who reads it.
    plain = text.isascii() and "=?" not in text
    return text if plain else Header(text, "utf-8", header_name=name).encode()


def _one_line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())[:900]


def _is_id(reference: str) -> bool:
    return re.fullmatch(r"<[\x21-\x3b\x3d\x3f-\x7e]{1,900}>", reference) is not None
