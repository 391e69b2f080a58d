"""Delivery reports: recognised, understood, and led back to the mail of ours that came back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.channels import Parsed
from shared.channels.email import message_from_mime
from shared.channels.email.diagnosis import diagnose
from shared.channels.email.dsn import read_fates
from shared.channels.email.tokens import bounce_address
from tests.contracts.channels.behaviour import load, named
from tests.contracts.channels.bounce_mails import OUR_ID, OURS, REPORTS, THEM, dsn, fields, plain

AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
ACCOUNTS = load(
    """
    accounts:
      support-mail: {channel: email, provider: smtp, address: support@example.org,
                     reply_secret: "${KEY}", listen: "127.0.0.1:0"}
    """,
    KEY="a-signing-key",
)
SUPPORT = named(ACCOUNTS, "support-mail")


def parse(
    raw: bytes | str, sender: str | None = "", recipient: str = "support@example.org"
) -> Parsed:
    raw = raw.encode() if isinstance(raw, str) else raw
    return message_from_mime(raw, SUPPORT, sender, [recipient], AT)


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_is_understood(name: str) -> None:
    row = REPORTS[name]
    parsed = parse(row.raw, row.envelope)
    (message,) = parsed.messages
    report = message.attributes["report"]
    assert (report["action"], report["recipient"]) == (row.action, row.recipient)
    assert not row.code or report["code"] == row.code
    assert not row.weight or report["class"] == row.weight
    assert not row.cause or report["cause"] == row.cause
    bounced = row.action in ("failed", "delayed")
    assert (message.kind, message.automatic) == ("bounce" if bounced else "auto_reply", True)
    assert (OURS in message.thread.references) is row.ours
    told = {"failed": ["failed"], "delivered": ["delivered"]}.get(row.action, [])
    assert [status.status for status in parsed.statuses] == (told if row.ours else [])
    assert all((s.correlation, s.provider_id) == (OUR_ID, OURS) for s in parsed.statuses)


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_with_windows_line_ends_is_the_same(name: str) -> None:
    row = REPORTS[name]
    mails = (parse(raw, row.envelope) for raw in (row.raw, row.raw.replace(b"\n", b"\r\n")))
    first, second = (parsed.messages[0] for parsed in mails)
    assert first.attributes["report"] == second.attributes["report"]


def test_the_reason_is_told_in_words() -> None:
    (status,) = parse(REPORTS["postfix"].raw).statuses
    assert status.reason == "the address does not exist: 550 5.1.1 user unknown"
    assert status.code == "5.1.1"


def test_every_failed_recipient_is_named() -> None:
    both = (
        fields() + "\n\nFinal-Recipient: rfc822; piet@example.net\nAction: failed\nStatus: 5.1.1\n"
    )
    report = parse("\n\n".join(dsn(both))).messages[0].attributes["report"]
    assert report["recipients"] == [THEM, "piet@example.net"]


# --- the return address of each mail -------------------------------------------------------


def test_a_bounce_to_the_return_address_of_a_mail_is_about_that_mail() -> None:
    back = bounce_address("support@example.org", UUID(OUR_ID), "a-signing-key")
    raw = plain("Undeliverable", "MAILER-DAEMON@mx.example") + "\n\nSorry, nobody knows why."
    (status,) = parse(raw, recipient=back.upper()).statuses
    assert (status.status, status.correlation, status.provider_id) == ("failed", OUR_ID, OURS)
    header = parse(f"Delivered-To: {back}\n{raw}").statuses
    assert [each.correlation for each in header] == [OUR_ID]


def test_a_return_address_that_we_did_not_sign_is_nobody_s() -> None:
    forged = bounce_address("support@example.org", UUID(OUR_ID), "another-key")
    raw = plain("Undeliverable", "MAILER-DAEMON@mx.example") + "\n\nSorry."
    assert parse(raw, recipient=forged).statuses == ()


def test_what_is_no_bounce_fails_no_reply_by_its_address() -> None:
    back = bounce_address("support@example.org", UUID(OUR_ID), "a-signing-key")
    parsed = parse("From: jan@example.net\nSubject: Hallo\n\nDag", "jan@example.net", back)
    assert (parsed.statuses, parsed.messages[0].kind) == ((), "message")


def test_our_id_at_another_domain_is_not_ours() -> None:
    elsewhere = REPORTS["postfix"].raw.replace(b"@example.org>", b"@other.example>")
    assert parse(elsewhere).statuses == ()


# --- what people write ---------------------------------------------------------------------

_PERSON = "From: Jan <jan@example.net>\nReturn-Path: <jan@example.net>\nContent-Type: text/plain\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Subject: Mail delivery problem with my parcel", "It was not delivered. Order 550 12."),
        ("Subject: Delivery failed", "The courier says: delivery failed. Where is it?"),
        ("Subject: Undeliverable parcel", "Returned to sender?! The address is right: 5.1.1 Ede."),
        ("Subject: Pakket onbestelbaar", "De bezorger zegt dat het onbestelbaar is."),
        ("Subject: Zustellung fehlgeschlagen", "Das Paket konnte nicht zugestellt werden."),
        ("Subject: Colis non livré", "Le colis n'a pas pu être livré."),
        ("Subject: Fwd: Undelivered Mail Returned to Sender",
         f"I got this back:\n\n<{THEM}>: host said: 550 5.1.1 user unknown"),
        ("Subject: Re: failure notice", "> Hi. This is the qmail-send program\n\nWhat is this?"),
        ("Subject: FW: Onbestelbaar: uw mail", "550 5.1.1 user unknown\n\nKunt u dit nazien?"),
        ("Subject: Your message was delayed", "You wrote me late, the delivery has been delayed."),
        ("Subject: Undelivered mail",
         f"My letter box is empty.\n550 5.1.1 unknown\nMessage-ID: {OURS}\nReceived: today"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("envelope", ["jan@example.net", None])
def test_what_a_person_writes_is_no_bounce(headers: str, body: str, envelope: str | None) -> None:
    parsed = parse(f"{_PERSON}{headers}\n\n{body}", envelope)
    assert (parsed.messages[0].kind, parsed.statuses) == ("message", ())


@pytest.mark.parametrize("prefix", ["Re", "FW", "Antw", "Doorst", "AW", "TR"])
def test_an_answer_about_a_bounce_is_a_person_s_whoever_delivered_it(prefix: str) -> None:
    raw = (
        f"From: Jan <jan@example.net>\nSubject: {prefix}: Undelivered Mail\n\nWhat is this?\n"
        "550 5.1.1 user unknown\n\n----- Original message -----\nReceived: from x"
    )
    assert parse(raw, None).messages[0].kind == "message"


def test_an_absence_notice_about_a_bounce_is_an_absence_notice() -> None:
    raw = "From: jan@example.net\nSubject: Automatic reply: Undelivered parcel\n\nI am away."
    assert parse(raw, "").messages[0].kind == "auto_reply"


def test_a_bounce_that_a_person_forwards_whole_is_theirs() -> None:
    inner = REPORTS["postfix"].raw.decode()
    raw = (
        f"{_PERSON.replace('Content-Type: text/plain', 'MIME-Version: 1.0')}Subject: Kijk\n"
        "Content-Type: multipart/mixed; boundary=outer\n\n--outer\nContent-Type: text/plain\n\n"
        f"Dit kreeg ik terug.\n--outer\nContent-Type: message/rfc822\n\n{inner}\n--outer--"
    )
    parsed = parse(raw, "jan@example.net")
    assert (parsed.messages[0].kind, parsed.statuses) == ("message", ())


def test_a_carrier_s_notice_is_no_bounce() -> None:
    raw = (
        "From: Parcels <no-reply@carrier.example>\nSubject: Delivery failed: parcel 3SABC\n\n"
        "We were unable to deliver your parcel. It is being returned to sender."
    )
    assert parse(raw, "bounce-12@carrier.example").messages[0].kind == "message"


# --- receipts and complaints ---------------------------------------------------------------


def receipt(disposition: str, original: str = OURS) -> str:
    return (
        f"From: Jan <{THEM}>\nSubject: Gelezen: Uw pakket\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nUw bericht is gelezen.\n"
        "--b\nContent-Type: message/disposition-notification\n\nReporting-UA: mail.example\n"
        f"Final-Recipient: rfc822;{THEM}\nOriginal-Message-ID: {original}\n"
        f"Disposition: manual-action/MDN-sent-manually; {disposition}\n--b--"
    )


@pytest.mark.parametrize(
    ("disposition", "original", "statuses"),
    [
        ("displayed", OURS, ["read"]),
        ("displayed/error", OURS, ["read"]),
        ("Displayed", OURS, ["read"]),
        ("deleted", OURS, []),
        ("denied", OURS, []),
        ("displayed", "<x@else.example>", []),
        ("displayed", OURS.replace("example.org", "other.example"), []),
    ],
)
def test_a_read_receipt_marks_our_mail_as_read(
    disposition: str, original: str, statuses: list[str]
) -> None:
    parsed = parse(receipt(disposition, original), "")
    assert [status.status for status in parsed.statuses] == statuses
    (message,) = parsed.messages
    assert (message.kind, message.automatic) == ("auto_reply", True)
    assert message.attributes["receipt"]["original"] == original


def test_a_complaint_is_kept_and_fails_nothing() -> None:
    raw = (
        "From: fbl@isp.example\nSubject: complaint\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nThis is an abuse report.\n"
        "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n"
        f"Original-Rcpt-To: <{THEM}>\n--b\nContent-Type: message/rfc822\n\n"
        f"Message-ID: {OURS}\nSubject: x\n\nx\n--b--"
    )
    parsed = parse(raw)
    (message,) = parsed.messages
    assert (message.kind, parsed.statuses) == ("auto_reply", ())
    assert message.attributes["complaint"] == {
        "type": "abuse", "recipient": THEM, "original": OURS,
    }  # fmt: skip
    assert OURS in message.thread.references


# --- causes, noise, bounds -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said", "cause", "weight"),
    [
        ("5.1.1", "", "the address does not exist", "hard"),
        ("5.0.0", "550 No such user here", "the address does not exist", "hard"),
        ("550", "Requested action not taken: mailbox unavailable", "", "hard"),
        ("5.7.1", "550 User unknown", "the address does not exist", "hard"),
        ("5.7.1", "Message rejected due to local policy", "the server refuses our mail", "soft"),
        ("5.7.26", "", "the server refuses our mail", "soft"),
        ("4.2.2", "", "the mailbox is full", "soft"),
        ("552", "Mailbox quota exceeded", "the mailbox is full", "soft"),
        ("", "Host not found", "the domain takes no mail", "hard"),
        ("", "Postvak is vol", "the mailbox is full", "soft"),
        ("", "gibberish", "", "soft"),
        ("5.9.9", "gibberish", "", "hard"),
        ("4.4.7", "", "the server could not be reached in time", "soft"),
    ],
)
def test_the_cause_of_a_failure(code: str, said: str, cause: str, weight: str) -> None:
    assert diagnose(code, said) == (cause, weight)


_PIECES = st.sampled_from(
    [b"Final-Recipient: rfc822; a@b.nl", b"Action: failed", b"Status: 5.1.1", b"\n", b"\n\n", b":",
     b"Diagnostic-Code: smtp;", b" ", b"Action:", b"Status: 5.", b"\r\n", b"\0", b"\xff", b"<",
     b"@"]
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_PIECES | st.binary(max_size=10), max_size=40))
def test_any_report_is_read_or_left(pieces: list[bytes]) -> None:
    for fate in read_fates(b"".join(pieces)):
        assert fate.recipient == fate.recipient.lower()
    head, body = dsn("", status="")
    parse(f"{head}\n\n{body}".encode() + b"".join(pieces))


@pytest.mark.parametrize(
    "body",
    ["Action: failed\n" * 20_000, "a" * 200_000, "<a@b.nl>:\n" * 20_000, "550 " * 50_000,
     "user " * 40_000, "Message-ID:\n" * 20_000, "delivery to " * 20_000, "-" * 200_000],
    ids=range(8),
)  # fmt: skip
def test_a_hostile_report_takes_no_more_than_its_length(body: str) -> None:
    began = time.process_time()
    parse(plain("Undelivered Mail", "MAILER-DAEMON@mx.example") + "\n\n" + body)
    parse("\n\n".join(dsn(body, notice=body)))
    assert time.process_time() - began < 5
