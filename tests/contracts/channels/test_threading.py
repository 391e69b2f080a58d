"""Which of our mails and cases a mail answers: by signed marks, by Message-IDs, never by words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from typing import Any
from uuid import UUID

import pytest

from shared.accounts import Account
from shared.channels import Outgoing
from shared.channels.email import message_from_mime
from shared.channels.email.compose import compose, return_address
from shared.channels.email.tokens import (
    bounce_address,
    bounced_in,
    reply_address,
    subject_tag,
    tag_in,
    token_in,
)
from shared.errors import SendError
from shared.events import Identity, Thread
from tests.contracts.channels.behaviour import load, named

AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
DESK = "support@example.org"
CASE = UUID("0190a0b0-0000-7000-8000-0000000000ca")
OTHER = UUID("0190a0b0-0000-7000-8000-0000000000cb")
MESSAGE = UUID("0190a0b0-0000-7000-8000-000000000001")
TOKEN, TAG = reply_address(DESK, CASE, "new"), subject_tag(DESK, CASE, "new")


def account(*settings: str, secret: str = 'reply_secret: ["${NEW}", "${OLD}"],') -> Account:
    marks = "".join(f"{name}: true, " for name in settings)
    text = f"""
        accounts:
          support: {{channel: email, provider: smtp, address: Support@example.org, {secret} {marks}
                    listen: "127.0.0.1:0"}}
        """
    return named(load(text, NEW="new", OLD="old"), "support")


def thread(*headers: str, recipients: Sequence[str] = (DESK,)) -> Thread:
    raw = "\r\n".join(["From: jan@example.net", *headers, "", "Hallo"]).encode()
    return message_from_mime(raw, account(), "jan@example.net", recipients, AT).messages[0].thread


# --- the token in an address ---------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        f"To: {TOKEN}",
        f"To: Jan <jan@x.nl>, Support <{TOKEN}>",
        f"Cc: {TOKEN.upper()}",
        f"Delivered-To: {TOKEN}",
        f"X-Original-To: <{TOKEN}>",
        f"X-Forwarded-To: {TOKEN}",
        f"Delivered-To: other@x.nl\r\nDelivered-To: {TOKEN}",
    ],
)
def test_a_token_names_its_case_wherever_the_address_stands(header: str) -> None:
    assert thread(header).token == str(CASE)


def test_the_envelope_is_believed_before_the_headers() -> None:
    other = reply_address(DESK, OTHER, "new")
    assert thread(f"To: {other}", recipients=[TOKEN]).token == str(CASE)


def test_a_token_of_the_secret_before_this_one_is_good() -> None:
    assert thread(f"To: {reply_address(DESK, CASE, 'old')}").token == str(CASE)


@pytest.mark.parametrize(
    "address",
    [
        DESK,
        reply_address(DESK, CASE, "forged"),
        reply_address("claims@example.org", CASE, "new"),
        TOKEN.replace("example.org", "evil.example"),
        TOKEN[:-20] + "@example.org",
        TOKEN.replace("+r", "+b"),
        "support+r@example.org",
        "support+r" + "é" * 42 + "@example.org",
        bounce_address(DESK, CASE, "new"),
    ],
)
def test_what_we_did_not_sign_names_nothing(address: str) -> None:
    assert thread(f"To: {address}").token == ""


def test_marks_do_not_pass_for_each_other() -> None:
    back = bounce_address(DESK, MESSAGE, "new")
    assert bounced_in([back], DESK, ["new"]) == str(MESSAGE)
    assert bounced_in([TOKEN], DESK, ["new"]) == ""
    assert token_in([back.replace("+b", "+r")], DESK, ["new"]) == ""
    assert bounced_in([back], DESK, []) == token_in([TOKEN], DESK, [""]) == ""


def test_a_return_address_fits_a_mail_server() -> None:
    assert len(bounce_address(DESK, MESSAGE, "new").partition("@")[0]) <= 64


# --- the tag in a subject ------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject", [TAG, f"Re: Uw pakket {TAG}", f"{TAG.lower()} antw", f"[#x] {TAG} [#123]"]
)
def test_a_tag_names_its_case(subject: str) -> None:
    assert thread(f"Subject: {subject}").tag == str(CASE)


@pytest.mark.parametrize(
    "subject",
    [
        "[#123]",
        "[#K-123] Uw pakket",
        subject_tag(DESK, CASE, "forged"),
        subject_tag("claims@example.org", CASE, "new"),
        TAG.replace("[#", "[# "),
        TAG[:-3] + "]",
        TAG[:-2] + ("A]" if TAG[-2] != "A" else "B]"),
        "[#" + "A" * 34 + "]",
        "[#" * 5000,
    ],
)
def test_a_tag_that_we_did_not_sign_names_nothing(subject: str) -> None:
    assert thread(f"Subject: {subject}").tag == ""


def test_a_tag_folded_in_an_encoded_subject_is_found() -> None:
    assert tag_in(f"Ré: {TAG}", DESK, ["new"]) == str(CASE)
    folded = f"Subject: =?utf-8?q?R=C3=A9:_?=\r\n {TAG}"
    assert thread(folded).tag == str(CASE)


# --- Message-IDs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "nearest_first"),
    [
        (["In-Reply-To: <a@x>"], ["<a@x>"]),
        (["In-Reply-To: a@x"], ["<a@x>"]),
        (["In-Reply-To: <a@x> (of Monday)"], ["<a@x>"]),
        (["In-Reply-To: Your mail <a@x> of Monday"], ["<a@x>"]),
        (["In-Reply-To: <a@x> <b@x>"], ["<a@x>", "<b@x>"]),
        (["In-Reply-To: <fol\r\n ded@x>"], ["<folded@x>"]),
        (["References: <a@x> <b@x> <c@x>"], ["<c@x>", "<b@x>", "<a@x>"]),
        (["References: <a@x>\r\n\t<b@x>\r\n <c@x>"], ["<c@x>", "<b@x>", "<a@x>"]),
        (["References: <a@x>,<b@x>"], ["<b@x>", "<a@x>"]),
        (["References: <a@x><b@x>"], ["<b@x>", "<a@x>"]),
        (["References: a@x b@x"], ["<b@x>", "<a@x>"]),
        (["References: <a@x> <b@x>", "In-Reply-To: <b@x>"], ["<b@x>", "<a@x>"]),
        (["References: <a@x> <b@x>", "In-Reply-To: <z@x>"], ["<z@x>", "<b@x>", "<a@x>"]),
        (["References: <a@x> <own@x>", "Message-ID: <own@x>"], ["<a@x>"]),
        (["References: <a@x> <a@x> <a@x>"], ["<a@x>"]),
        (["In-Reply-To:"], []),
        (["In-Reply-To: <>"], []),
        (["In-Reply-To: your message of Monday"], []),
        (["Subject: Re: <a@x>"], []),
    ],
)
def test_what_a_mail_answers(headers: list[str], nearest_first: list[str]) -> None:
    assert list(thread(*headers).references) == nearest_first


def test_a_missing_message_id_is_made_up_from_the_mail() -> None:
    first = thread("Subject: a").message_id
    assert first == thread("Subject: a").message_id != thread("Subject: b").message_id
    assert first.endswith("@no-message-id.invalid>")


def test_a_message_id_around_another_text_is_another_message() -> None:
    def of(text: str) -> Any:
        raw = f"From: a@b.nl\r\nMessage-ID: <same@b.nl>\r\n\r\n{text}".encode()
        return message_from_mime(raw, account(), "a@b.nl", [DESK], AT).messages[0]

    assert of("one").id == of("one").id != of("two").id
    assert of("one").thread.message_id == of("two").thread.message_id


# --- what goes out -------------------------------------------------------------------------


def sent(*settings: str, **given: str) -> tuple[Message, str]:
    outgoing = Outgoing(
        id=MESSAGE,
        case_id=CASE,
        recipient=Identity(scheme="email", value="jan@example.net"),
        text="Dag",
        subject="Uw pakket",
        references=["<a@x>"],
    )
    of = account(*settings, **given)
    return message_from_bytes(compose(outgoing, of, AT)), return_address(outgoing, of)


def test_a_reply_says_whose_it_is_even_under_another_message_id() -> None:
    mail, back = sent()
    assert mail["X-Regie-Origin"] == mail["Message-ID"] == f"<regie.{MESSAGE}@example.org>"
    assert back == DESK
    assert mail["Subject"] == "Re: Uw pakket"


def test_a_reply_carries_the_marks_it_is_asked_to() -> None:
    mail, back = sent("subject_tag", "bounce_addressing", "plus_addressing")
    assert mail["Subject"] == f"Re: Uw pakket {TAG}"
    assert thread(f"Subject: {mail['Subject']}").tag == str(CASE)
    assert bounced_in([back], DESK, ["new", "old"]) == str(MESSAGE)
    assert thread(f"To: {mail['Reply-To']}").token == str(CASE)


@pytest.mark.parametrize("setting", ["subject_tag", "bounce_addressing"])
def test_a_mark_needs_a_secret(setting: str) -> None:
    with pytest.raises(SendError, match=f"{setting} but no reply_secret"):
        sent(setting, secret="")
