"""Amazon SES' notifications: mails, verdicts, buckets, and what became of ours."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.account_fields import read_topics
from shared.accounts import AccountsError
from shared.blobs import blob_for
from shared.channels import Parsed, WebhookRequest
from shared.channels.email import SesInbound
from shared.channels.email.ses import enclosure
from shared.errors import Forbidden, Unreadable
from tests.contracts.channels.behaviour import (
    CHECKS,
    RECEIVED_AT,
    Check,
    Door,
    load,
    name_of,
    named,
    post,
)
from tests.contracts.channels.messages import Case, _status, name_of_case, table
from tests.fakes.aws import CERTIFICATE_URL, KEY_ID, SECRET, TOPIC, signer

ACCOUNTS = load(
    """
    accounts:
      support-mail: {channel: email, provider: ses, address: support@example.org,
                     topic_arn: "${TOPIC}", region: eu-west-1, access_key_id: "${KEY_ID}",
                     secret_access_key: "${SECRET}"}
      claims-mail: {channel: email, provider: ses, address: Claims@example.org,
                    topic_arn: "${TOPIC}", trusted_authserv: amazonses.com}
      foreign-mail: {channel: email, provider: ses, address: desk@elsewhere.example,
                     topic_arn: "arn:aws:sns:eu-west-1:123456789012:other"}
    """,
    TOPIC=TOPIC, KEY_ID=KEY_ID, SECRET=SECRET,
)  # fmt: skip
SUPPORT, CLAIMS = named(ACCOUNTS, "support-mail"), named(ACCOUNTS, "claims-mail")
INBOUND = SesInbound()
EVENTS = table("ses/events.json")
MAIL = (
    b"From: Zo\xc3\xab <Zoe@example.com>\r\nTo: support@example.org\r\nSubject: Pakket & zo\r\n"
    b"Message-ID: <m-1@example.com>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n"
    b"Br\xe9da + 100% zeker\r\n"
)
ASCII = MAIL.replace(b"\xc3\xab", b"e").replace(b"\xe9", b"e")


def said(content: bytes | str | None = ASCII, encoding: str = "BASE64", **changes: Any) -> Any:
    """A received mail, as the rule's SNS action tells of it; `changes` are of its receipt."""
    text = content.decode("latin-1") if isinstance(content, bytes) else content
    if encoding == "BASE64" and isinstance(content, bytes):
        text = base64.b64encode(content).decode()
    receipt = {
        "timestamp": "2026-10-01T11:59:58.222Z",
        "processingTimeMillis": 574,
        "recipients": ["support@example.org"],
        **{f"{each}Verdict": {"status": "PASS"} for each in ("spam", "virus", "spf", "dkim")},
        "dmarcVerdict": {"status": "PASS"},
        "action": {"type": "SNS", "topicArn": TOPIC, "encoding": encoding},
        **changes,
    }
    mail = {
        "timestamp": "2026-10-01T11:59:58.222Z",
        "source": "bounce+1@Example.com",
        "messageId": "d6iitobk75ur44p8kdnnp7g2n800",
        "destination": ["support@example.org"],
        "headersTruncated": False,
        "headers": [{"name": "From", "value": "Zoe <Zoe@example.com>"}],
        "commonHeaders": {"from": ["Zoe <Zoe@example.com>"], "subject": "Pakket & zo"},
    }
    found = {"notificationType": "Received", "receipt": receipt, "mail": mail}
    return found if text is None else {**found, "content": text}


def request(told: Any, **changes: Any) -> WebhookRequest:
    message = signer().notification(told, **changes)
    came = post(json.dumps(message).encode(), {"content-type": "text/plain; charset=UTF-8"})
    return replace(came, keys={CERTIFICATE_URL: signer().certificate})


def parse(came: WebhookRequest, account: Any = SUPPORT) -> Parsed:
    INBOUND.verify(came, account)
    return INBOUND.parse(came, account, ACCOUNTS)


def received(told: Any, account: Any = SUPPORT) -> Any:
    (message,) = parse(request(told), account).messages
    return message


# --- the shared behaviour ------------------------------------------------------------------------


def signed(body: bytes) -> WebhookRequest:
    """The envelope around what SES says, which is the part a parser may stumble over."""
    return request(body.decode("utf-8", "replace").replace("\ud83d", ""))


DOOR = Door(INBOUND, SUPPORT, ACCOUNTS, sign=signed, body=json.dumps(said()).encode(),
            covered=False)  # fmt: skip


# What is refused is in test_sns, and below: this door's `body` is SES' words inside the envelope.
COMMON = [each for each in CHECKS if "wrong_signature" not in name_of(each)]


@pytest.mark.parametrize("check", COMMON, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


@pytest.mark.parametrize("spoil", [b" ", b"x", b"}"])
def test_the_signature_covers_the_message(spoil: bytes) -> None:
    came = request(said())
    inner = json.loads(came.body)
    inner["Message"] += spoil.decode()
    DOOR.refuses(replace(came, body=json.dumps(inner).encode()))
    DOOR.refuses(replace(came, body=b""))
    DOOR.refuses(replace(came, keys={}))


# --- mails ---------------------------------------------------------------------------------------


def test_a_mail_in_base64_comes_whole() -> None:
    parsed = parse(request(said(MAIL)))
    (message,) = parsed.messages
    assert message.text == "Bréda + 100% zeker"
    assert (message.subject, message.sender.name) == ("Pakket & zo", "Zoë")
    assert [str(each) for each in message.sender.identities] == ["email:zoe@example.com"]
    assert message.recipient == "support@example.org"
    assert message.raw_blob == blob_for(MAIL)
    assert [blob.content for blob in parsed.blobs] == [MAIL]
    assert message.thread.message_id == "<m-1@example.com>"
    assert message.occurred_at.isoformat() == "2026-10-01T11:59:58.222000+00:00"
    assert message.received_at == RECEIVED_AT
    assert not message.automatic


@pytest.mark.parametrize("encoding", ["UTF8", ""])
def test_a_mail_as_text(encoding: str) -> None:
    assert received(said(ASCII, encoding)).raw_blob == blob_for(ASCII)
    assert received(said(MAIL.decode("latin-1"), "UTF8")).subject == "Pakket & zo"


def test_base64_without_being_said_so() -> None:
    assert received(said(base64.b64encode(MAIL).decode(), "")).text == "Bréda + 100% zeker"
    with pytest.raises(Unreadable, match="base64"):
        parse(request(said("n/o b@se64 at all!", "BASE64")))


def test_a_repeat_is_the_same_message_whatever_the_action() -> None:
    again = request(said(action={"type": "SNS", "encoding": "BASE64"}), MessageId="another")
    assert parse(again).messages[0].id == received(said()).id


def test_each_recipient_gets_its_own() -> None:
    to = ["Support@Example.org", "claims+tag@example.org", "desk@elsewhere.example"]
    parsed = parse(request(said(recipients=to)))
    assert [(each.account, each.recipient) for each in parsed.messages] == [
        ("support-mail", "support@example.org"),
        ("claims-mail", "claims+tag@example.org"),
    ]
    assert len(parsed.blobs) == 1


def test_a_stranger_is_parked_once() -> None:
    foreign = ASCII.replace(b"support@example.org", b"desk@elsewhere.example")
    first = parse(request(said(foreign, recipients=["desk@elsewhere.example"])))
    again = parse(request(said(foreign, recipients=["desk@elsewhere.example"]), MessageId="2"))
    assert not first.messages
    assert "desk@elsewhere.example" in first.parked[0].reason
    assert first.parked[0].key == again.parked[0].key


def test_the_null_sender() -> None:
    told = said()
    told["mail"]["source"] = "<>"
    assert received(told).automatic


def test_verdicts_are_marked() -> None:
    clean = received(said()).attributes
    assert clean["verdicts"]["spam"] == "PASS"
    assert not {"spam", "virus"} & clean.keys()
    bad = received(said(spamVerdict={"status": "FAIL"}, virusVerdict={"status": "FAIL"},
                        dkimVerdict={"status": "GRAY"}))  # fmt: skip
    assert (bad.attributes["spam"], bad.attributes["virus"]) == (True, True)
    assert bad.attributes["verdicts"]["dkim"] == "GRAY"
    off = received(said(spamVerdict={"status": "DISABLED"}, virusVerdict=None, spfVerdict={}))
    assert off.attributes["verdicts"] == {"spam": "DISABLED", "dkim": "PASS", "dmarc": "PASS"}


FORGED = b"Authentication-Results: amazonses.com; dmarc=pass header.from=example.com\r\n" + ASCII


@pytest.mark.parametrize(
    ("mail", "verdict", "expected"),
    [
        (ASCII, "PASS", "proven"),
        (ASCII, "FAIL", "asserted"),
        (ASCII, "GRAY", "asserted"),
        (FORGED, "FAIL", "asserted"),
        (b"From: other@example.net\r\n" + ASCII, "PASS", "asserted"),
        (ASCII.replace(b"\r\nTo:", b", x@example.net\r\nTo:"), "PASS", "asserted"),
    ],
)  # fmt: skip
def test_who_is_proven(mail: bytes, verdict: str, expected: str) -> None:
    told = said(mail, recipients=["claims@example.org"], dmarcVerdict={"status": verdict})
    assert received(told, CLAIMS).sender.authentication == expected


def test_nobody_at_all_is_not_proven() -> None:
    told = said(ASCII.partition(b"\r\n")[2], recipients=["claims@example.org"])
    told["mail"]["source"] = "<>"
    message = received(told, CLAIMS)
    assert (message.sender.identities, message.sender.authentication) == ((), "asserted")


def test_nobody_is_proven_where_the_account_does_not_trust_ses() -> None:
    assert received(said(FORGED)).sender.authentication == "asserted"
    assert received(said()).sender.authentication == "asserted"


# --- buckets -------------------------------------------------------------------------------------

IN_S3 = {"type": "S3", "topicArn": TOPIC, "bucketName": "our.mails", "objectKeyPrefix": "in/",
         "objectKey": "in/d6iitobk75 +ü"}  # fmt: skip


def test_a_mail_in_a_bucket_is_asked_for_with_the_accounts_key() -> None:
    came = request(said(None, action=IN_S3))
    wanted = enclosure(came, SUPPORT)
    assert wanted is not None
    assert wanted.url == "https://s3.eu-west-1.amazonaws.com/our.mails/in/d6iitobk75%20%2B%C3%BC"
    assert (
        f"Credential={KEY_ID}/20261001/eu-west-1/s3/aws4_request"
        in (wanted.headers["authorization"])
    )
    (message,) = parse(replace(came, enclosed=MAIL)).messages
    assert message.text == "Bréda + 100% zeker"
    assert message.id == received(said(MAIL)).id


def test_a_bucket_that_cannot_be_read_is_parked_with_what_to_do() -> None:
    came = request(said(None, action=IN_S3))
    assert enclosure(came, CLAIMS) is None
    (item,) = parse(came).parked
    assert "s3:GetObject" in item.reason
    assert item.key == "d6iitobk75ur44p8kdnnp7g2n800"


@pytest.mark.parametrize("bucket", ["", "..", "a/b", "UPPER", "x" * 64, None, 7, "a..b", "-ab"])
def test_buckets_that_are_none(bucket: Any) -> None:
    assert enclosure(request(said(None, action={**IN_S3, "bucketName": bucket})), SUPPORT) is None


@pytest.mark.parametrize("told", [said(), "Hello", None, [], {"receipt": {"action": []}}])
def test_what_holds_its_mail_asks_for_none(told: Any) -> None:
    assert enclosure(request(told), SUPPORT) is None
    assert enclosure(post(b"{", {}), SUPPORT) is None


def test_a_notification_without_a_mail_is_parked() -> None:
    action = {"type": "Lambda", "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:x"}
    (item,) = parse(request(said(None, action=action))).parked
    assert "S3 action" in item.reason


# --- subscriptions -------------------------------------------------------------------------------


def kind(name: str) -> WebhookRequest:
    body = json.dumps(signer().confirmation(Type=name)).encode()
    return replace(post(body, {}), keys={CERTIFICATE_URL: signer().certificate})


def test_a_subscription_is_confirmed_by_a_call() -> None:
    parsed = parse(kind("SubscriptionConfirmation"))
    (call,) = parsed.calls
    assert call.startswith("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&")
    assert (parsed.messages, parsed.parked) == ((), ())


def test_the_end_of_a_subscription_is_shown() -> None:
    parsed = parse(kind("UnsubscribeConfirmation"))
    assert parsed.calls == ()
    assert "subscribe the address again" in parsed.parked[0].reason


def test_there_is_no_handshake() -> None:
    with pytest.raises(Forbidden):
        INBOUND.handshake(replace(request(said()), method="GET"), SUPPORT)


@pytest.mark.parametrize(
    "topic", ["mails", "arn:aws:sqs:eu-west-1:123456789012:mails", "https://sns", f"{TOPIC}:sub"]
)
def test_a_topic_must_be_one(topic: str) -> None:
    with pytest.raises(ValueError):
        read_topics(topic)
    text = (
        f"accounts: {{a: {{channel: email, provider: ses, address: a@b.nl, topic_arn: '{topic}'}}}}"
    )
    with pytest.raises(AccountsError, match="no topic"):
        load(text)


# --- what became of ours -------------------------------------------------------------------------


@pytest.mark.parametrize("case", EVENTS, ids=name_of_case)
def test_events(case: Case) -> None:
    came = request(case["text"] if case["said"] is None else case["said"])
    if case.get("unreadable"):
        with pytest.raises(Unreadable):
            parse(came)
        return
    parsed = parse(came)
    assert parsed.messages == ()
    if "status" in case:
        (status,) = parsed.statuses
        found = _status(status)
        assert {name: found[name] for name in case["status"]} == case["status"]
    elif "parked" in case:
        assert case["parked"] in parsed.parked[0].reason
        assert parsed.parked[0].key
    else:
        assert parsed == Parsed()


def test_each_event_has_its_own_id_and_a_repeat_the_same() -> None:
    told = [case for case in EVENTS if "status" in case]
    ids = {}
    for case in told:
        (first,) = parse(request(case["said"])).statuses
        (again,) = parse(request(case["said"], MessageId="another")).statuses
        assert first.id == again.id
        ids[case["name"]] = (first.account, first.status, first.id)
    sent = ids["event: send"][2]
    assert len({sent, ids["event: delivery"][2], ids["event: delayed is not failed"][2],
                ids["event: reject"][2], ids["event: complaint"][2]}) == 5  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_shape_of_a_notification(data: st.DataObject) -> None:
    """Each object of a good one replaced by something else."""
    case = data.draw(st.sampled_from([each["said"] for each in EVENTS if each["said"]] + [said()]))
    spoilt = json.loads(json.dumps(case))
    holder = spoilt
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted(holder)))
        if not isinstance(holder[name], dict) or not holder[name]:
            break
        holder = holder[name]
    name = data.draw(st.sampled_from(sorted(holder)))
    holder[name] = data.draw(
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.none() | st.text())
        | st.dictionaries(st.text(), st.text(), max_size=2)
    )  # fmt: skip
    came = request(spoilt)
    enclosure(came, SUPPORT)
    try:
        parsed = parse(came)
    except Unreadable:
        return
    assert all(status.at <= RECEIVED_AT for status in parsed.statuses)


def test_the_table_is_ours() -> None:
    text = (Path(__file__).parent / "ses" / "events.json").read_text()
    assert "amazon.com" not in text
