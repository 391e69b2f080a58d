"""The envelope of Amazon SNS: what it signs, whose topic it is, where its certificate may lie."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.channels.providers import sns
from shared.errors import Unauthenticated, Unreadable
from tests.contracts.channels.behaviour import RECEIVED_AT, load, named, post
from tests.fakes.aws import CERTIFICATE_URL, PEM_PATH, TOPIC, Signer, signer

OTHER_TOPIC = "arn:aws:sns:eu-west-1:123456789012:events"


def account(**settings_: str) -> Account:
    extra = "".join(f", {name}: {value!r}" for name, value in settings_.items())
    text = f"""
    accounts:
      support-mail: {{channel: email, provider: ses, address: support@example.org,
                     topic_arn: [{TOPIC}, {OTHER_TOPIC}]{extra}}}
    """
    return named(load(text), "support-mail")


ACCOUNT = account()


def request(message: Any, by: Signer | None = None) -> WebhookRequest:
    """As the door hands it over, the certificate fetched."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    came = post(body, {"content-type": "text/plain; charset=UTF-8"})
    certificate = (by or signer()).certificate
    return replace(came, keys={CERTIFICATE_URL: certificate})


def refused(message: Any, words: str | None = None, account_: Account = ACCOUNT) -> None:
    with pytest.raises(Unauthenticated, match=words):
        sns.verify(request(message), account_)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", ["Amazon SES Email Receipt Notification", "Größe\nx", None])
def test_both_signatures_of_each_kind(version: str, subject: str | None) -> None:
    changes: dict[str, Any] = {"SignatureVersion": version, "Subject": subject}
    for message in (
        signer().notification("Zoë said: “😀”\n\n", **changes),
        signer().notification("", TopicArn=OTHER_TOPIC, **changes),
        signer().confirmation(SignatureVersion=version),
        signer().confirmation(SignatureVersion=version, Type="UnsubscribeConfirmation"),
    ):
        sns.verify(request(message), ACCOUNT)


def test_the_string_to_sign_is_the_documented_one() -> None:
    # "Verifying the signature of an Amazon SNS message": name, value, each with a line end.
    message = {"Type": "Notification", "MessageId": "4d4dc071", "TopicArn": TOPIC,
               "Message": "Test", "Subject": "My subject",
               "Timestamp": "2019-01-31T04:37:04.321Z"}  # fmt: skip
    assert sns.to_sign(message) == (
        b"Message\nTest\nMessageId\n4d4dc071\nSubject\nMy subject\nTimestamp\n"
        b"2019-01-31T04:37:04.321Z\nTopicArn\n" + TOPIC.encode() + b"\nType\nNotification\n"
    )
    del message["Subject"]
    assert b"Subject" not in sns.to_sign(message)


@pytest.mark.parametrize("field", ["Message", "MessageId", "Subject", "Timestamp", "Signature"])
def test_every_signed_field_counts(field: str) -> None:
    good = signer().notification("mail")
    refused({**good, field: good[field] + "x"})
    refused({**good, field: None})
    refused({name: value for name, value in good.items() if name != field})


@pytest.mark.parametrize("field", ["SubscribeURL", "Token"])
def test_every_signed_field_of_a_confirmation_counts(field: str) -> None:
    good = signer().confirmation()
    refused({**good, field: good[field] + "x"})


@pytest.mark.parametrize("version", ["", "0", "3", 1, None])
def test_other_versions_are_refused(version: Any) -> None:
    good = signer().notification("mail")
    if version != 1:  # a number is written as the text is
        refused({**good, "SignatureVersion": version}, "SignatureVersion")
    refused({**good, "SignatureVersion": "1"}, "Signature")


def test_anybody_has_a_topic_so_it_must_be_ours() -> None:
    for topic in ("arn:aws:sns:eu-west-1:999999999999:mails", f"{TOPIC}x", TOPIC.upper(), "", None):
        refused(signer().notification("mail", TopicArn=topic), "TopicArn")
        with pytest.raises(Unauthenticated):
            sns.keys_wanted(request(signer().notification("mail", TopicArn=topic)), ACCOUNT)


@pytest.mark.parametrize("kind", ["Other", "", None, [], {}])
def test_other_kinds_are_refused(kind: Any) -> None:
    refused({**signer().notification("mail"), "Type": kind}, "raw message delivery")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'"x"', b'{"mail": {}}']
)
def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    refused(body)
    with pytest.raises(Unauthenticated):
        sns.keys_wanted(request(body), ACCOUNT)


def test_a_certificate_of_somebody_else() -> None:
    other = Signer()
    refused(other.notification("mail"), "Signature")
    sns.verify(request(other.notification("mail"), other), ACCOUNT)
    came = replace(request(signer().notification("mail")), keys={})
    with pytest.raises(Unauthenticated, match="no certificate"):
        sns.verify(came, ACCOUNT)


@pytest.mark.parametrize(
    "begins", [RECEIVED_AT + timedelta(days=1), datetime(2020, 1, 1, tzinfo=UTC)]
)
def test_a_certificate_out_of_its_time(begins: datetime) -> None:
    other = Signer(begins, days=30)
    with pytest.raises(Unauthenticated, match="not valid now"):
        sns.verify(request(other.notification("mail"), other), ACCOUNT)


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
        "https://sns.eu-west-1.amazonaws.com/x.pem?x=.pem",
        "https://sns.eu-west-1.amazonaws.com/x.pem#a",
        "https://sns.eu-west-1.amazonaws.com/x.txt",
        "https://sns.eu-west-1.amazonaws.com",
        "https://sns.amazonaws.com/x.pem",
        "https://sns.a.b.amazonaws.com/x.pem",
        "https://xsns.eu-west-1.amazonaws.com/x.pem",
        "https://s3.eu-west-1.amazonaws.com/bucket/x.pem",
        "https://SNS.eu-west-1.amazonaws.com\n.evil.example/x.pem",
        "https://[::1/x.pem",
        "//sns.eu-west-1.amazonaws.com/x.pem",
        "x.pem",
        "",
        None,
        7,
    ],
)
def test_where_a_certificate_may_not_lie(address: Any) -> None:
    message = signer().notification("mail", SigningCertURL=address)
    refused(message, "SigningCertURL")
    with pytest.raises(Unauthenticated, match="SigningCertURL"):
        sns.keys_wanted(request(message), ACCOUNT)


@pytest.mark.parametrize(
    "address",
    [
        CERTIFICATE_URL,
        "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0.pem",
        "https://sns.us-gov-west-1.amazonaws.com:443/SimpleNotificationService-0.pem",
    ],
)
def test_where_a_certificate_lies(address: str) -> None:
    wanted = sns.keys_wanted(request(signer().notification("x", SigningCertURL=address)), ACCOUNT)
    assert wanted.url == wanted.id == address
    assert wanted.chosen
    assert wanted.read(signer().pem) == {address: signer().certificate}
    for wrong in (
        b"",
        b"<Error/>",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ):
        with pytest.raises(ValueError):
            wanted.read(wrong)


def test_a_sandbox_by_the_operators_word() -> None:
    boxed = account(api_base="http://localhost:4566/")
    for given_ in (CERTIFICATE_URL, f"http://localhost:4566{PEM_PATH}"):
        message = signer().notification("mail", SigningCertURL=given_)
        wanted = sns.keys_wanted(request(message), boxed)
        assert wanted.url == f"http://localhost:4566{PEM_PATH}"
        came = replace(request(message), keys=wanted.read(signer().pem))
        sns.verify(came, boxed)
    for given_ in ("http://localhost:4566.evil.example/x.pem", "https://evil.example/x.pem"):
        refused(signer().notification("mail", SigningCertURL=given_), "SigningCertURL", boxed)


def test_a_confirmation_is_made_of_topic_and_token() -> None:
    message = signer().confirmation()
    assert sns.confirmation(message, ACCOUNT) == (
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
        "&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Amails&Token=2336412f37"
        "&Version=2010-03-31"
    )
    china = {**message, "TopicArn": "arn:aws-cn:sns:cn-north-1:123456789012:mails"}
    assert sns.confirmation(china, ACCOUNT).startswith("https://sns.cn-north-1.amazonaws.com.cn/?")
    strange = {**message, "Token": "a&Action=Publish é"}
    assert "&Token=a%26Action%3DPublish+%C3%A9&" in sns.confirmation(strange, ACCOUNT)
    with pytest.raises(Unreadable):
        sns.confirmation({**message, "Token": ""}, ACCOUNT)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from(["Type", "TopicArn", "SigningCertURL", "Signature", "SignatureVersion",
                         "Message", "Subject", "MessageId"]),
        st.none() | st.text() | st.integers() | st.sampled_from(["é", "AAAA", "\ud83d"]),
        min_size=1,
    )
)  # fmt: skip
def test_nothing_a_stranger_sends_gets_in(changes: dict[str, Any]) -> None:
    good = signer().notification("mail")
    changed = {**good, **changes}
    if changed == good:
        return
    for check in (sns.verify, sns.keys_wanted):
        try:
            check(request(changed), ACCOUNT)
        except (Unauthenticated, UnicodeError):  # which the door makes a refusal
            continue
        assert check is sns.keys_wanted
