"""The envelope of a mail that lies in a mailbox already, as far as its delivery wrote it down.

Source: RFC 5321 section 4.4 (the last server puts Return-Path on top). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.accounts import Account
from shared.channels.email.addresses import account_at, addresses, recipients_of
from shared.channels.email.headers import Headers, read_headers, split_head

_BEGINNING: Final = 256 * 1024  # bytes; a header block is no longer
# Where servers write for whom it was, extension and all. To and Cc are the sender's word.
_DELIVERED: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")


class Delivered(NamedTuple):
    """`sender` is empty for the null sender `<>`, None where nobody wrote it down."""

    sender: str | None
    recipients: Sequence[str]


def delivered(raw: bytes, account: Account) -> Delivered:
    headers = read_headers(split_head(raw[:_BEGINNING])[0])
    found = recipients_of(headers, *_DELIVERED)
    return Delivered(_sender(headers), [each for each in found if account_at(each, [account])])


def _sender(headers: Headers) -> str | None:
    # The topmost: one further down came with the mail.
    path = next(iter(headers.all("Return-Path")), None)
    if path is None:
        return None
    if path.strip() == b"<>":
        return ""
    return next((each.value for each in addresses(path)), None)
