"""What every inbound adapter must do, whatever its provider.

A channel's test module describes its door once and runs CHECKS over it:

    DOOR = Door(MetaInbound(), account, accounts, sign=signed, body=b"…")

    @pytest.mark.parametrize("check", CHECKS, ids=name_of)
    def test_behaviour(check: Check) -> None:
        check(DOOR)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.accounts import Account, Accounts, load_accounts
from shared.broker import Message, Record
from shared.channels import Inbound, Parked, Parsed, WebhookRequest
from shared.cloudevents import decode, encode
from shared.errors import Unauthenticated, Unreadable
from shared.events import DeliveryStatusReceived, MessageReceived

RECEIVED_AT = datetime(2026, 10, 1, 12, tzinfo=UTC)


def load(text: str, **env: str) -> Accounts:
    """The accounts of a channels file written in a test."""
    return load_accounts(text, "channels.yaml", env)


def named(accounts: Accounts, name: str) -> Account:
    account = accounts.get(name)
    assert account is not None
    return account


def post(body: bytes, headers: Mapping[str, str], path: str = "") -> WebhookRequest:
    """A POST as a door hands it to an adapter; `headers` by lower-case name."""
    return WebhookRequest("POST", path, (), "", dict(headers), body, RECEIVED_AT)


@dataclass(frozen=True)
class Door:
    """One adapter with an account behind it.

    sign     a rightly signed request around a body
    body     a good one, with at least one message in it
    covered  whether the signature covers the body (Mailgun's does not)
    wrong    further headers that must be refused, instead of the right ones
    """

    inbound: Inbound
    account: Account
    accounts: Accounts
    sign: Callable[[bytes], WebhookRequest]
    body: bytes
    covered: bool = True
    wrong: Sequence[Mapping[str, str]] = field(default=())

    def request(self) -> WebhookRequest:
        return self.sign(self.body)

    def parse(self, request: WebhookRequest) -> Parsed:
        return self.inbound.parse(request, self.account, self.accounts)

    def refuses(self, request: WebhookRequest) -> None:
        with pytest.raises(Unauthenticated) as refusal:
            self.inbound.verify(request, self.account)
        assert len(refusal.value.detail) > 10, "the refusal does not say what to do"


Check = Callable[[Door], None]


def check_a_signed_request_is_taken(door: Door) -> None:
    door.inbound.verify(door.request(), door.account)
    assert door.parse(door.request()).messages
    assert len(door.body) < door.inbound.max_body


def check_a_repeat_has_the_same_ids(door: Door) -> None:
    first, again = door.parse(door.request()), door.parse(_later(door.request()))
    assert [each.id for each in first.messages] == [each.id for each in again.messages]
    assert [each.id for each in first.statuses] == [each.id for each in again.statuses]
    assert len({each.id for each in first.messages}) == len(first.messages)


def check_every_message_names_its_sender(door: Door) -> None:
    for message in door.parse(door.request()).messages:
        for identity in message.sender.identities:
            assert identity.value.strip() == identity.value != ""
            assert identity.scheme != "e164" or identity.value.startswith("+")
            assert identity.scheme != "email" or identity.value == identity.value.lower()
        assert len(set(message.sender.identities)) == len(message.sender.identities)


def check_nothing_occurs_after_its_receipt(door: Door) -> None:
    parsed = door.parse(door.request())
    for message in parsed.messages:
        assert message.received_at == RECEIVED_AT
        assert message.occurred_at <= RECEIVED_AT
    assert all(status.at <= RECEIVED_AT for status in parsed.statuses)


def check_events_come_back_from_the_log(door: Door) -> None:
    for event in _events(door.parse(door.request())):
        assert decode(_record(_encoded(event))).body == event


def check_a_wrong_signature_is_refused(door: Door) -> None:
    good = door.request()
    door.refuses(replace(good, headers={}))
    for headers in door.wrong:
        door.refuses(replace(good, headers={**good.headers, **headers}))
    if door.covered:
        door.refuses(replace(good, body=good.body + b" "))
        door.refuses(replace(good, body=good.body[:-1]))
        door.refuses(replace(good, body=b""))


def check_garbage_is_unreadable_and_nothing_else(door: Door) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(), _json(), _cut(door.body), _spoilt(door.body)))
    def run(body: bytes) -> None:
        survives(door, body)

    run()


CHECKS: tuple[Check, ...] = (
    check_a_signed_request_is_taken,
    check_a_repeat_has_the_same_ids,
    check_every_message_names_its_sender,
    check_nothing_occurs_after_its_receipt,
    check_events_come_back_from_the_log,
    check_a_wrong_signature_is_refused,
    check_garbage_is_unreadable_and_nothing_else,
)


def name_of(check: Check) -> str:
    return check.__name__.removeprefix("check_")


def survives(door: Door, body: bytes) -> None:
    """Under a good signature, `body` becomes events that can be written, parked items, or
    Unreadable: never another error."""
    request = door.sign(body)
    door.inbound.verify(request, door.account)
    try:
        parsed = door.parse(request)
    except Unreadable as error:
        reason = str(error)
        parsed = Parsed(parked=[Parked(body, reason)])
    for event in _events(parsed):
        value = _encoded(event).value
        assert b"\\u0000" not in value.replace(b"\\\\", b"")
        json.loads(value)
    for item in parsed.parked:
        assert item.reason.encode()
        assert "\0" not in item.key.encode().decode()


def _events(parsed: Parsed) -> list[MessageReceived | DeliveryStatusReceived]:
    return [*parsed.messages, *parsed.statuses]


def _later(request: WebhookRequest) -> WebhookRequest:
    return replace(request, received_at=RECEIVED_AT + timedelta(minutes=4))


def _encoded(event: MessageReceived | DeliveryStatusReceived) -> Message:
    return encode("messages.received", b"key", event, id=str(event.id), source="/ingest/test")


def _record(message: Message) -> Record:
    return Record(message.topic, 0, 0, message.key, message.value, message.headers, RECEIVED_AT)


def _json() -> st.SearchStrategy[bytes]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    values = st.recursive(
        leaves, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=10
    )
    return values.map(lambda value: json.dumps(value).encode())


def _cut(body: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, len(body)).map(lambda end: body[:end])


def _spoilt(body: bytes) -> st.SearchStrategy[bytes]:
    """`body` with a few bytes replaced anywhere, by what breaks parsers."""
    pieces = st.sampled_from(
        [
            b"",
            b"\xff",
            b"\x00",
            b'"',
            b"null",
            b"[]",
            b"{}",
            b"1e999",
            b"\\u0000",
            b"\\ud83d",
            b"-1",
        ]
    )
    edits = st.lists(
        st.tuples(st.integers(0, len(body)), st.integers(0, 12), pieces), min_size=1, max_size=4
    )
    return edits.map(lambda changes: _edited(body, changes))


def _edited(body: bytes, changes: Sequence[tuple[int, int, bytes]]) -> bytes:
    for at, length, piece in changes:
        body = body[:at] + piece + body[at + length :]
    return body
