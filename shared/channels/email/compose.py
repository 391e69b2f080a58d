"""A reply as a mail: its headers, its text, its files.

Written with the standard library's older policy: the newer one encodes a Message-ID that is longer
than a line, and then no program finds the thread again.
"""

from __future__ import annotations

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
from typing import Final, NamedTuple
from uuid import UUID

from shared.accounts import Account
from shared.channels import Outgoing
from shared.channels.email.addresses import domain_of, own_address
from shared.channels.email.tokens import reply_address, reply_secrets
from shared.errors import SendError
from shared.events import Attachment

_PREFIXES: Final = re.compile(
    r"(?:(?:re|aw|antw|antwort|betr|sv|rép|réf|r|ref)\s?(?:\[\d+\])?\s?:\s*)+", re.IGNORECASE
)
_MOST_REFERENCES: Final = 20
_POLICY: Final = compat32.clone(linesep="\r\n")


class Enclosed(NamedTuple):
    """A file that goes along, and its bytes."""

    attachment: Attachment
    content: bytes


def message_id(id: UUID, account: Account) -> str:
    """The Message-ID of our message `id`: answers, bounces and events name it again."""
    return f"<regie.{id}@{domain_of(own_address(account))}>"


def compose(
    message: Outgoing, account: Account, at: datetime, files: Sequence[Enclosed] = ()
) -> bytes:
    """The mail, ready for DATA. Raises SendError where the account lacks what it needs."""
    body = _body(message.text, files)
    address = own_address(account)
    body["From"] = formataddr((_one_line(str(account.settings.get("display_name", ""))), address))
    body["To"] = message.recipient.value
    body["Subject"] = _header("Subject", subject_of(message))
    body["Date"] = format_datetime(at)
    body["Message-ID"] = message_id(message.id, account)
    if reply_to := _reply_to(message, account, address):
        body["Reply-To"] = reply_to
    references = [each for each in message.references if _is_id(each)][:_MOST_REFERENCES]
    if references:
        body["In-Reply-To"] = references[0]
        body["References"] = " ".join(reversed(references))
    if message.automatic:
        body["Auto-Submitted"] = "auto-replied"
        body["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    return body.as_bytes(policy=_POLICY)


def subject_of(message: Outgoing) -> str:
    """One line. An answer has `Re: ` once, however many programs put theirs before it."""
    subject = _one_line(message.subject)
    if not message.references:
        return subject or "(no subject)"
    return f"Re: {_PREFIXES.sub('', subject, count=1)}".strip()


def _reply_to(message: Outgoing, account: Account, address: str) -> str:
    if not account.settings.get("plus_addressing"):
        return ""
    secrets = reply_secrets(account)
    if not secrets:
        raise SendError(
            "misconfigured",
            f"account {account.name} has plus_addressing but no reply_secret to sign with: "
            "add one to the channels file",
        )
    return reply_address(address, message.case_id, secrets[0])


def _body(text: str, files: Sequence[Enclosed]) -> Message:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    plain = MIMEText(text, "plain")
    del plain["Content-Transfer-Encoding"]
    plain.set_payload(text.encode("utf-8", "replace").decode(), charset)
    if not files:
        return plain
    whole = MIMEMultipart("mixed")
    whole.attach(plain)
    for attachment, content in files:
        whole.attach(_file(attachment, content))
    return whole


def _file(attachment: Attachment, content: bytes) -> Message:
    main, _, sub = attachment.content_type.partition("/")
    part = MIMEApplication(content, "octet-stream")
    if re.fullmatch(r"[\w.+-]+/[\w.+-]+", attachment.content_type) and main != "multipart":
        part.set_type(f"{main}/{sub}")
    name = _one_line(attachment.name) or "file"
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
