"""What no person wrote: told from people's mails by its headers, and by words beside a sign."""

from __future__ import annotations

import pytest

from shared.channels.email.automatic import is_form, is_machine
from shared.channels.email.headers import read_headers
from shared.events import MessageReceived
from tests.contracts.channels.automatic_mails import MAILS, Kind
from tests.contracts.channels.test_bounces import parse


def written(headers: str, text: str, envelope: str | None = "jan@example.net") -> MessageReceived:
    author = "" if headers.lower().startswith("from:") else "From: Jan <jan@example.net>\n"
    return parse(f"{author}{headers.strip()}\n\n{text}", envelope).messages[0]


@pytest.mark.parametrize("name", sorted(MAILS))
def test_what_a_mail_is(name: str) -> None:
    headers, text, kind = MAILS[name]
    message = written(headers, text)
    found: Kind = "message"
    if message.automatic:
        found = "auto_reply" if message.kind == "auto_reply" else "automatic"
    assert found == kind
    assert bool(message.attributes.get("automatic")) is message.automatic


def test_what_is_automatic_is_taken_in_like_any_other() -> None:
    message = written("Subject: Automatic reply: x", "I am away.")
    assert (message.text, message.subject) == ("I am away.", "Automatic reply: x")
    assert message.attributes["automatic"] == ["absence"]


@pytest.mark.parametrize("headers", ["Subject: Hallo", "Subject: Afwezig", "Subject: Nieuws"])
def test_a_null_sender_is_never_waited_for(headers: str) -> None:
    assert written(headers, "Dag.", "").automatic


@pytest.mark.parametrize(
    ("address", "machine"),
    [
        ("no-reply@x.nl", True),
        ("noreply+12@x.nl", True),
        ("do_not_reply@x.nl", True),
        ("mailer-daemon@x.nl", True),
        ("bounces-123@x.nl", True),
        ("nietbeantwoorden@x.nl", True),
        ("reply@x.nl", False),
        ("noor@x.nl", False),
        ("info@noreply.nl", False),
    ],
)
def test_addresses_that_nobody_reads(address: str, machine: bool) -> None:
    assert is_machine(address) is machine


def test_a_form_of_our_own_site() -> None:
    block = b"From: web@example.org\nReply-To: a@b.nl\n"
    assert is_form(read_headers(block), "example.org")
    assert not is_form(read_headers(block), "other.example")
