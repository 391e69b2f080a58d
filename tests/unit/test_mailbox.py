"""What is asked of a mailbox, and how its reader goes on after a failure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.mailbox_pauses import Attempts, pause_after
from shared.accounts import Account, AccountsError, load_accounts
from shared.channels.email.delivered import delivered
from shared.channels.email.imap_settings import (
    ImapSettings,
    Waiting,
    groups,
    sequence_sets,
    to_take,
)

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)


def account(**more: Any) -> Account:
    lines = "".join(f"\n    {name}: {value}" for name, value in more.items())
    text = f"""accounts:
  desk:
    channel: email
    provider: imap
    address: support@example.org
    host: imap.example.org
    username: support{lines}
"""
    found = load_accounts(text, "channels.yaml", {}).get("desk")
    assert found is not None
    return found


def test_what_is_not_said_is_safe() -> None:
    found = ImapSettings.of(account())
    assert (found.port, found.tls, found.folder, found.start) == (993, True, "INBOX", "unseen")
    assert found.every == 60
    demanded = ImapSettings.of(account(starttls="true"))
    assert (demanded.port, demanded.tls, demanded.starttls) == (143, False, True)
    offered = ImapSettings.of(account(tls="false", every="5s", max_size="99GB"))
    assert (offered.starttls, offered.every, offered.most) == (None, 5, 35 * 1024 * 1024)


def test_a_start_that_does_not_exist() -> None:
    with pytest.raises(AccountsError, match="unseen, all or new"):
        account(start="yesterday")


def test_mails_marked_for_deletion_are_left() -> None:
    assert to_take(True) == ["UNKEYWORD", "$RegieTaken", "UNDELETED"]
    assert to_take(False) == ["UNSEEN", "UNDELETED"]


@given(st.sets(st.integers(1, 5000)))
def test_sequence_sets_name_each_uid_once(uids: set[int]) -> None:
    lines = list(sequence_sets(uids))
    assert all(len(line) <= 6_000 for line in lines)
    named = [uid for line in lines for uid in _expanded(line)]
    assert named == sorted(uids)


def _expanded(line: str) -> list[int]:
    found: list[int] = []
    for piece in line.split(","):
        first, _, last = piece.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


def test_runs_are_written_short() -> None:
    assert list(sequence_sets([7, 1, 2, 3, 4])) == ["1:4,7"]
    assert list(sequence_sets([])) == []
    assert len(list(sequence_sets(range(1, 9000, 2)))) > 1


@given(st.lists(st.integers(0, 20_000_000), max_size=200), st.sets(st.integers(1, 200)))
def test_groups_fit_in_memory(sizes: list[int], alone: set[int]) -> None:
    mails = [Waiting(uid, size, NOW) for uid, size in enumerate(sizes, 1)]
    found = list(groups(mails, alone))
    assert [mail for group in found for mail in group] == mails
    for group in found:
        assert len(group) <= 50
        assert len(group) == 1 or sum(mail.size for mail in group) <= 8 * 1024 * 1024
        assert len(group) == 1 or not alone & {mail.uid for mail in group}


def test_groups_are_as_large_as_they_may_be() -> None:
    mails = [Waiting(uid, 1000, NOW) for uid in range(1, 121)]
    assert [len(group) for group in groups(mails)] == [50, 50, 20]


def test_a_mail_is_given_up_only_after_many_tries() -> None:
    attempts, bad, good = Attempts(), (1, 7), (1, 8)
    attempts.failed([bad, good], "protocol")
    assert attempts.suspect(bad)
    assert not attempts.hopeless(bad)
    attempts.done([good])
    assert not attempts.suspect(good)
    attempts.failed([bad], "protocol")
    attempts.failed([bad], "protocol")
    assert attempts.hopeless(bad)
    assert not attempts.hopeless((2, 7))  # the same uid in another mailbox
    for _ in range(11):
        attempts.failed([good], "unreachable")
    assert not attempts.hopeless(good)  # the line is at fault


def test_pauses_grow_and_end() -> None:
    assert [pause_after("unreachable", n) for n in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert pause_after("unreachable", 1000) == 60
    assert pause_after("delayed", 1000) == 10
    # Many wrong passwords in a row lock an account at its provider.
    assert [pause_after("credentials", n) for n in (1, 2, 50)] == [60, 120, 600]


@pytest.mark.parametrize(
    ("head", "sender", "recipients"),
    [
        (b"Return-Path: <jan@example.net>\r\n", "jan@example.net", []),
        (b"Return-Path: <>\r\nReturn-Path: <old@example.net>\r\n", "", []),
        (b"Subject: x\r\n\r\nReturn-Path: <>\r\n", None, []),
        (b"Return-Path: nonsense\r\n", None, []),
        (
            b"Delivered-To: Support+R1@example.org\r\nX-Original-To: <support@example.org>\r\n"
            b"Envelope-To: other@example.org\r\nTo: support+fake@example.org\r\n",
            None,
            ["support+r1@example.org", "support@example.org"],
        ),
    ],
)
def test_the_envelope_in_a_mailbox(head: bytes, sender: str | None, recipients: list[str]) -> None:
    found = delivered(head + b"\r\nReturn-Path: <body@example.net>\r\n", account())
    assert (found.sender, found.recipients) == (sender, recipients)


@given(st.binary(max_size=400))
def test_no_mail_is_too_odd_for_its_envelope(raw: bytes) -> None:
    delivered(b"Return-Path: " + raw, account())
    delivered(raw, account())
