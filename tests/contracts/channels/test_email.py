"""Mails as they come: every file of `email/` against its row, then noise, bounds and the oracle."""

from __future__ import annotations

import email.message
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.blobs import blob_for
from shared.channels import Parsed
from shared.channels.email import message_from_mime
from shared.channels.email.addresses import addresses, author_in
from shared.channels.email.charsets import decode
from shared.channels.email.mime import read_mail
from shared.cloudevents import encode
from shared.errors import Unreadable
from shared.events import DeliveryStatusReceived, MessageReceived
from tests.contracts.channels.behaviour import load, named
from tests.contracts.channels.email_table import OUR_ID, OUR_MAIL, TABLE, Row

MAILS = Path(__file__).parent / "email"
AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
ACCOUNTS = load(
    """
    accounts:
      support-mail: {channel: email, provider: mailgun, address: support@example.org,
                     signing_key: "${KEY}", trusted_authserv: MX.example.org}
      claims-mail: {channel: email, provider: mailgun, address: claims@example.org,
                    signing_key: "${KEY}"}
    """,
    KEY="a-signing-key",
)
SUPPORT = named(ACCOUNTS, "support-mail")


def raw_of(name: str) -> bytes:
    return (MAILS / f"{name}.eml").read_bytes()


def parse(raw: bytes, sender: str | None = "envelope@example.net") -> Parsed:
    return message_from_mime(raw, SUPPORT, sender, ["support@example.org"], AT)


def only(raw: bytes, sender: str | None = "envelope@example.net") -> MessageReceived:
    (message,) = parse(raw, sender).messages
    return message


def written(parsed: Parsed) -> None:
    """Everything can go to the log, and from there into PostgreSQL."""
    events: list[MessageReceived | DeliveryStatusReceived] = [*parsed.messages, *parsed.statuses]
    for event in events:
        record = encode("messages.received", b"key", event, id=str(event.id), source="/ingest/test")
        assert b"\\u0000" not in record.value.replace(b"\\\\", b"")


def mail(*headers: str, body: str = "Hallo") -> bytes:
    return "\r\n".join(["From: jan@example.net", *headers, "", body]).encode()


# --- the table -----------------------------------------------------------------------------


def test_every_mail_has_its_row() -> None:
    assert {path.stem for path in MAILS.glob("*.eml")} == set(TABLE)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_mail(name: str) -> None:
    row, raw = TABLE[name], raw_of(name)
    parsed = parse(raw)
    (message,) = parsed.messages
    if row.text is not None:
        assert message.text == row.text
    assert message.reply_text == (message.text if row.reply is None else row.reply)
    _check_sender(message, row)
    assert row.subject is None or message.subject == row.subject
    assert (message.kind, message.automatic) == (row.kind, row.automatic)
    assert message.thread.references == row.references
    assert tuple((f.name, f.content_type, f.inline) for f in message.attachments) == row.files
    for key, value in row.attributes.items():
        assert message.attributes[key] == value
    assert [status.provider_id for status in parsed.statuses] == ([OUR_MAIL] if row.status else [])
    assert all(status.correlation == OUR_ID for status in parsed.statuses)


def _check_sender(message: MessageReceived, row: Row) -> None:
    assert [str(each) for each in message.sender.identities] == [f"email:{row.sender}"]
    assert message.sender.authentication == row.authentication
    assert row.name is None or message.sender.name == row.name


@pytest.mark.parametrize("name", sorted(TABLE))
def test_what_is_kept_of_a_mail(name: str) -> None:
    raw = raw_of(name)
    parsed = parse(raw)
    message = parsed.messages[0]
    kept = {blob.ref: blob.content for blob in parsed.blobs}
    assert message.raw_blob == blob_for(raw)
    wanted = [message.raw_blob, message.html_blob, *(file.blob for file in message.attachments)]
    assert {blob.ref for blob in wanted if blob} == set(kept)
    assert all(blob_for(content).ref == ref for ref, content in kept.items())
    assert message.occurred_at == message.received_at == AT
    written(parsed)


# --- identity of a message -----------------------------------------------------------------


def test_a_mail_that_comes_again_is_the_same() -> None:
    first = only(raw_of("plain"))
    other_way = b"Received: from backup.example.org\r\n" + raw_of("plain")
    later = message_from_mime(other_way, SUPPORT, None, [], AT + timedelta(hours=3)).messages[0]
    assert later.id == first.id


def test_one_mail_through_two_accounts_is_two_messages() -> None:
    claims = named(ACCOUNTS, "claims-mail")
    second = message_from_mime(raw_of("plain"), claims, None, [], AT).messages[0]
    assert second.id != only(raw_of("plain")).id
    assert second.thread.message_id == only(raw_of("plain")).thread.message_id


def test_the_same_message_id_around_another_body_is_another_message() -> None:
    other = raw_of("plain").replace(b"1001", b"1002")
    assert only(other).id != only(raw_of("plain")).id
    assert only(other).thread == only(raw_of("plain")).thread


def test_two_mails_without_a_message_id_are_two_if_they_came_apart() -> None:
    first = only(b"Received: a\r\n" + mail("Subject: test"))
    second = only(b"Received: b\r\n" + mail("Subject: test"))
    assert first.id != second.id
    assert first.thread.message_id.endswith("@no-message-id.invalid>")


# --- threads -------------------------------------------------------------------------------


def test_references_come_nearest_first() -> None:
    message = only(
        mail(
            "Message-ID: <own@x>",
            "In-Reply-To: <near@x> (Jan's mail)",
            "References: <first@x> <second@x>\r\n <near@x> <own@x>",
        )
    )
    assert message.thread.references == ("<near@x>", "<second@x>", "<first@x>")


@pytest.mark.parametrize(
    ("written_as", "read"),
    [
        ("bare@x", ("<bare@x>",)),
        ("<a@x><b@x>", ("<a@x>", "<b@x>")),
        ("<fol ded@x>", ("<folded@x>",)),
        ("your message of Monday", ()),
    ],
)
def test_broken_message_ids(written_as: str, read: Sequence[str]) -> None:
    assert only(mail(f"In-Reply-To: {written_as}")).thread.references == tuple(read)


# --- who -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "author"),
    [
        ("Jan <JAN@Example.net>", "jan@example.net"),
        ("victim@bank.example <thief@evil.example>", "thief@evil.example"),
        ('"victim@bank.example" <thief@evil.example>', "thief@evil.example"),
        ("=?utf-8?Q?=3Cvictim=40bank.example=3E?= <thief@evil.example>", "thief@evil.example"),
        ("jürgen@köln.example", "jürgen@köln.example"),
        ("undisclosed-recipients:;", None),
        ("Jan", None),
        ("<>", None),
        ("(" * 10_000, None),
    ],
)
def test_authors(header: str, author: str | None) -> None:
    found = author_in(header.encode())
    assert (found.value if found else None) == author


def test_two_authors_are_never_proven() -> None:
    vouched = "Authentication-Results: mx.example.org; dmarc=pass header.from=example.net"
    assert only(mail(vouched)).sender.authentication == "proven"
    assert only(mail(vouched, "From: eve@evil.example")).sender.authentication == "asserted"
    both = mail(vouched).replace(b"jan@example.net", b"jan@example.net, eve@evil.example")
    assert only(both).sender.authentication == "asserted"


def test_without_any_sender_there_is_no_identity() -> None:
    assert only(b"Subject: x\r\n\r\nHallo", None).sender.identities == ()
    assert only(b"Subject: x\r\n\r\nHallo", "").sender.identities == ()


def test_lists_of_recipients() -> None:
    found = addresses(b"Jan <a@x.nl>, =?utf-8?Q?B=2C?= <b@x.nl>, Team: c@x.nl, d@x.nl;")
    assert [each.value for each in found] == ["a@x.nl", "b@x.nl", "c@x.nl", "d@x.nl"]


# --- automatic -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "sender", "kind", "automatic"),
    [
        (["Auto-Submitted: no"], "a@b.nl", "message", False),
        (["Auto-Submitted: auto-generated"], "a@b.nl", "message", True),
        (["Auto-Submitted: Auto-Replied; owner=x"], "a@b.nl", "auto_reply", True),
        (["X-Auto-Response-Suppress: OOF"], "a@b.nl", "message", True),
        (["Precedence: auto_reply"], "a@b.nl", "auto_reply", True),
        (["X-Loop: x"], "a@b.nl", "message", True),
        (["Subject: Abwesenheitsnotiz: Re: x"], "a@b.nl", "auto_reply", True),
        (["Subject: Réponse automatique : x"], "a@b.nl", "auto_reply", True),
        (["Subject: Re: Automatic reply: x"], "a@b.nl", "message", False),
        (["Subject: Afwezig bij bezorging"], "a@b.nl", "message", False),
        (["Subject: Pakket"], "", "message", True),
        (["Subject: Re: Pakket"], "", "auto_reply", True),
        (["Subject: Undeliverable: Pakket"], "", "bounce", True),
        (["Subject: Mail delivery problem with my parcel"], "a@b.nl", "message", False),
        (["X-Failed-Recipients: jan@example.net"], "", "bounce", True),
        (["Message-ID: <regie.0190a0b0-0000-7000-8000-000000000001@other.example>"],
         "a@b.nl", "message", False),
    ],
)  # fmt: skip
def test_what_no_person_wrote(headers: list[str], sender: str, kind: str, automatic: bool) -> None:
    message = only(mail(*headers), sender)
    assert (message.kind, message.automatic) == (kind, automatic)


@pytest.mark.parametrize("address", ["no-reply", "noreply", "mailer-daemon", "do_not_reply"])
def test_machines_are_nobody_s_conversation(address: str) -> None:
    message = only(mail().replace(b"jan@", f"{address}@".encode()))
    assert message.automatic
    assert message.shared_sender


# --- noise, bounds, oracle -----------------------------------------------------------------

_NOISE = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
_CHARSETS = [
    "", "utf-8", "iso-8859-1", "x-gbk", "utf-16", "punycode", "hex", "idna", "\0", "iso-2022-jp",
]  # fmt: skip
_PIECES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\0", b"\xff\xfe", b"--b", b"--b--", b"=?utf-8?B?", b"?=", b"=",
     b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: message/rfc822", b"From: ",
     b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: x-uuencode",
     b"charset=utf-7", b"charset=punycode", b"charset=utf-16", b"begin 644 x\r\n", b"<a href='",
     b"Content-Type: text/html", b"<!--", b"<style>", b"\xed\xa0\x80", b"In-Reply-To: <", b">",
     b"Content-Disposition: attachment; filename*0*=x''%ff", b"Action: failed", b"\x1b$B"]
)  # fmt: skip


def survives(raw: bytes) -> None:
    try:
        written(parse(raw))
    except Unreadable:
        assert not raw.removeprefix(b"\xef\xbb\xbf").strip(), "only a mail of nothing is refused"


@_NOISE
@given(st.binary(max_size=2000))
def test_any_bytes(raw: bytes) -> None:
    survives(raw)


@_NOISE
@given(st.lists(_PIECES | st.binary(max_size=20), max_size=60))
def test_pieces_of_mails(pieces: list[bytes]) -> None:
    survives(b"".join(pieces))


@_NOISE
@given(
    st.sampled_from(sorted(TABLE)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), _PIECES), min_size=1, max_size=5),
)
def test_spoilt_mails(name: str, edits: list[tuple[float, int, bytes]]) -> None:
    raw = raw_of(name)
    for where, length, piece in edits:
        at = int(where * len(raw))
        raw = raw[:at] + piece + raw[at + length :]
    survives(raw)


@_NOISE
@given(st.binary(max_size=300), st.sampled_from(_CHARSETS))
def test_any_charset(content: bytes, charset: str) -> None:
    text = decode(content, charset).text
    assert text.encode().decode() == text
    assert "\0" not in text
    assert "\r" not in text


_LINES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=60
).map(str.strip)


@_NOISE
@given(
    _LINES,
    st.lists(_LINES, max_size=6),
    st.sampled_from(["8bit", "quoted-printable", "base64"]),
)
def test_what_the_standard_library_writes_is_read(
    subject: str, lines: list[str], encoding: str
) -> None:
    text = "\n".join(lines)
    wrote = email.message.EmailMessage()
    wrote["From"] = "Jan <jan@example.net>"
    wrote["Subject"] = subject.replace("=?", "")
    wrote.set_content(text, cte=encoding)
    wrote.add_attachment(b"\x00\xff\r\n", maintype="image", subtype="png", filename="é ü.png")
    read = read_mail(wrote.as_bytes())
    expected = decode(text.encode(), "utf-8").text.strip()
    assert read.text == expected
    assert " ".join(read.headers.text("Subject").split()) == " ".join(
        decode(subject.replace("=?", "").encode(), "utf-8").text.split()
    )
    assert [(file.name, file.content) for file in read.files] == [("é ü.png", b"\x00\xff\r\n")]


@pytest.mark.parametrize(
    "raw",
    [
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i)
                 for i in range(5000)),
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 50_000,
        b"Content-Type: text/html\n\n" + b"<!--" * 100_000,
        b"Content-Type: text/html\n\n" + b"<a b='" * 100_000,
        b"Content-Type: text/html\n\n" + b"<blockquote>" * 50_000,
        b"Subject: " + b"=?a?q?" * 10_000 + b"\n\n",
        b"Content-Type: text/plain" + b';x="' * 15_000 + b"\n\n",
        b"From: " + b"(" * 60_000 + b"\n\nx",
        b"Subject: x\n\n" + b"begin 644 a\n" * 100_000,
        b"Subject: x\n\n" + (b"On 3/3 " + b"wrote " * 30 + b":\n") * 5_000,
        b"Content-Transfer-Encoding: base64\n\n" + b"QQ==" * 300_000,
        b"bad line\n" * 20_000,
        b"Content-Type: multipart/mixed; boundary=-\n\n" + b"-" * 1_500_000,
    ],
    ids=range(13),
)  # fmt: skip
def test_hostile_mails_take_no_more_than_their_length(raw: bytes) -> None:
    began = time.process_time()
    survives(raw)
    assert time.process_time() - began < 10


def test_bounds_on_parts() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: a/b\n\nx\n" * 500
    message = only(raw)
    assert len(message.attachments) == 99
    assert message.attributes["truncated"] is True
    assert message.attributes["limits"] == ["parts"]
    assert len({file.name for file in message.attachments}) == 99


def test_the_html_that_is_kept_may_be_shown() -> None:
    raw = mail("Content-Type: text/html", body="<p>Hallo<script>alert(1)</script>")
    parsed = parse(raw)
    (message,) = parsed.messages
    assert message.html_blob == blob_for(b"<p>Hallo</p>")
    assert raw in [blob.content for blob in parsed.blobs]


def test_an_empty_mail_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="empty"):
        parse(b"\r\n \r\n")


def test_a_long_text_goes_to_the_blob_store() -> None:
    text = "regel één\n" * 40_000
    parsed = parse(mail("Content-Type: text/plain; charset=utf-8", body=text))
    (message,) = parsed.messages
    whole = text.strip().encode()
    assert message.text == text[:10_000]
    assert message.text_blob == blob_for(whole)
    assert whole in [blob.content for blob in parsed.blobs]
    assert len(message.reply_text.encode()) <= 256_000


def test_an_attached_mail_stays_as_it_came() -> None:
    inner = b"From: x\r\nX-Odd:   spaces \r\n\r\nBody\r\n"
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822"
        b"\r\n\r\n" + inner + b"\r\n--b--\r\n"
    )
    (file,) = read_mail(raw).files
    assert file.content == inner


@pytest.mark.parametrize("site", ["support@example.org", "wordpress@example.org"])
def test_a_website_of_ours_writes_for_its_visitor(site: str) -> None:
    raw = (
        f"From: Website <{site}>\r\nReply-To: jan@visitor.example\r\nSubject: Form\r\n"
        "Message-ID: <f1@mail.example.net>\r\n\r\nMy parcel is late.\r\n"
    ).encode()
    (message,) = parse(raw).messages
    assert [str(identity) for identity in message.sender.identities] == [
        "email:jan@visitor.example"
    ]
    assert (message.sender.authentication, message.automatic) == ("asserted", False)
