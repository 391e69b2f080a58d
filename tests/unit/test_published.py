"""What leaves for subscribers, and what never does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID, uuid4

import msgspec
import pytest

from services.notifier import audience
from services.notifier.audience import Audience, checked, sees, types_of
from services.notifier.catalogue import CATALOGUE, TYPES
from services.notifier.catalogue_page import PAGE, written
from services.notifier.feed import Event as Told
from services.notifier.published import ALSO, LARGEST, ping, published, without_codes
from shared.errors import Invalid
from shared.events import (
    Attachment,
    Blob,
    CaseAssigned,
    CaseChanged,
    CaseEvent,
    HandoffOffered,
    Identity,
    MessageAdded,
    ReplyRequested,
    ResultRecorded,
    Target,
    type_name,
)
from shared.security import Caller
from tests.builders import NOON
from tests.subscribing import opened

KINDS = get_args(CaseEvent)
# Of these nothing may leave, whatever event has them: what opens something, where somebody lives,
# what a provider calls it, whom the policy tells, what colleagues write for each other.
SECRETS = {
    "address", "answer_url", "code_expires_at", "consent", "cost", "escalations", "files",
    "known", "marked", "notify", "provider_id", "recipient", "references", "relax_at", "reply_to",
    "secret", "skills", "stirred", "merge_id", "remind_at", "words",
}  # fmt: skip


def change(event: Any, **given: Any) -> CaseChanged:
    values: dict[str, Any] = {
        "case_id": uuid4(), "seq": 3, "version": 2, "at": NOON, "actor": "clock",
        "customer_id": uuid4(), "team": "parcels", "channel": "whatsapp", "event": event,
    }  # fmt: skip
    return CaseChanged(**(values | given))


def data_of(event: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(published(change(event)))["data"]
    return found


def filled(kind: type[Any]) -> Any:
    """One of this kind in which every field that can hold words holds its own name."""
    hints = get_type_hints(kind)
    return kind(**{field: _value(hints[field], field) for field in kind.__struct_fields__})


def _value(hint: Any, name: str) -> Any:
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return _value(next(each for each in get_args(hint) if each is not type(None)), name)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return args[0]
    if origin is tuple:
        return tuple(_value(each, name) for each in args if each is not ...)
    if origin is dict:
        return {f"canary {name}": 1.0 if args[1] is float else f"canary {name}"}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return filled(hint)
    simple: dict[Any, Any] = {
        str: f"canary {name}", int: 1, float: 1.0, bool: True, UUID: uuid4(), datetime: NOON,
        timedelta: timedelta(minutes=5), time: time(20),
    }  # fmt: skip
    return simple[hint]


def test_every_case_event_is_in_the_catalogue_with_fields_it_has() -> None:
    assert set(CATALOGUE) == set(KINDS)
    for kind, told in CATALOGUE.items():
        named = {each.partition(":")[0] for each in told.fields}
        assert named <= set(kind.__struct_fields__), kind
        assert told.words.endswith("."), kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nothing_leaves_but_what_the_catalogue_names(kind: type[Any]) -> None:
    body = json.loads(published(change(filled(kind))))
    place = {"case_id", "version", "seq", "team", "channel", "url"}
    shown = {each.rpartition(":")[2] for each in (*CATALOGUE[kind].fields, *ALSO.get(kind, ()))}
    assert set(body["data"]) == place | shown
    assert set(body["data"]) & SECRETS == set()
    leaked = {word for word in SECRETS if f"canary {word}" in json.dumps(body)}
    assert leaked == set()
    assert body["type"] == type_name(kind.__name__)
    assert body["timestamp"] == "2026-11-17T09:00:00Z"


@pytest.mark.parametrize(
    "given", [{"secret": True}, {"purpose": "survey"}, {"purpose": "invitation"},
              {"purpose": "notice"}]
)  # fmt: skip
def test_what_regie_writes_by_itself_does_not_leave(given: dict[str, Any]) -> None:
    words = "Go on at https://regie.example.org/r/R-7K4Q-2M9X or say 123 456 789"
    reply = ReplyRequested(
        message_id=uuid4(), account="desk", channel="email", text=words, subject=words, answers=0,
        recipient=Identity(scheme="email", value="ada@example.org"), human=False, author="",
        references=("<regie.token@example.org>",), **given,
    )  # fmt: skip
    body = published(change(reply)).decode()
    for secret in ("7K4Q", "123 456", "regie.example.org", "ada@", "regie.token"):
        assert secret not in body


def test_an_agents_words_leave_without_codes_and_files_without_places() -> None:
    file = Attachment(
        name="label.pdf", content_type="application/pdf", size=3, url="https://p.example/x",
        blob=Blob(ref="sha256/abc", size=3, sha256="abc"),
    )  # fmt: skip
    reply = ReplyRequested(
        message_id=uuid4(), account="desk", channel="email", text="Say r7k4q2m9x. Returning it?",
        answers=1, recipient=Identity(scheme="email", value="ada@example.org"), human=True,
        author="jo", attachments=(file,),
    )  # fmt: skip
    data = data_of(reply)
    assert data["text"] == "Say R-****-****. Returning it?"
    assert data["attachments"] == [
        {"name": "label.pdf", "content_type": "application/pdf", "size": 3}
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("R-7K4Q-2M9X", "R-****-****"), ("my code r7k4q2m9x", "my code R-****-****"),
        ("R 7K4Q 2M9X", "R-****-****"), ("R-ABCD-EFGH", "R-****-****"),
        ("Returning", "Returning"), ("order 123456789", "order 123456789"), ("", ""),
    ],
)  # fmt: skip
def test_codes_are_hidden_and_words_are_not(text: str, shown: str) -> None:
    assert without_codes(text) == shown


def test_a_partners_link_and_a_policys_targets_do_not_leave() -> None:
    offer = HandoffOffered(
        handoff_id=uuid4(), reason="agent", author="jo", expires_at=NOON, from_team="parcels",
        from_channel="whatsapp", to_team="carrier", address="ada@example.org",
        answer_url="https://regie.example.org/v1/partners/TOKEN", consent={"how": "said so"},
        notify=(Target(kind="webhook", address="https://hooks.example.org/in"),),
    )  # fmt: skip
    body = published(change(offer)).decode()
    for secret in ("TOKEN", "ada@", "hooks.example.org", "said so"):
        assert secret not in body


def test_team_and_channel_are_the_events_own_where_it_has_them() -> None:
    moved = CaseAssigned(team="claims", reason="transfer")
    assert data_of(moved)["team"] == "claims"
    assert data_of(opened())["url"].startswith("/v1/cases/")
    body = published(change(opened()), "https://regie.example.org/").decode()
    assert "https://regie.example.org/v1/cases/" in body


def test_what_is_too_long_is_cut_and_says_so() -> None:
    long = ResultRecorded(
        name="quote", version=1, state="final", author="jo", data={"x": "é" * 15_000, "y": 1}
    )
    body = published(change(long))
    assert len(body) <= LARGEST
    data = json.loads(body)["data"]
    assert (data["truncated"], data["data"], data["name"]) == (True, None, "quote")
    reply = ReplyRequested(
        message_id=uuid4(), account="desk", channel="email", text="ab" * 12_000, answers=1,
        recipient=Identity(scheme="email", value="a@b.c"), human=True, author="jo",
    )  # fmt: skip
    data = data_of(reply)
    assert (data["truncated"], data["text"]) == (True, "ab" * 250 + "…")
    short = data_of(opened())
    assert "truncated" not in short


def test_bodies_survive_the_database_to_the_byte() -> None:
    """jsonb keeps no spaces and no order: what is signed is encoded from it anew, no longer."""
    message = MessageAdded(
        message_id=uuid4(), account="desk", channel="email", kind="message", occurred_at=NOON,
        received_at=NOON, authentication="proven", joined="thread", unanswered=True,
        preview="é\u2028\"\\" * 30,
    )  # fmt: skip
    body = published(change(message))
    assert len(msgspec.json.encode(json.loads(body))) == len(body)


def test_a_test_says_that_it_is_one() -> None:
    body = json.loads(ping(uuid4(), datetime(2026, 1, 1, tzinfo=UTC)))
    assert body["type"] == "webhook.test"
    assert "webhook.test" not in TYPES


# --- who and which -----------------------------------------------------------------------------


def test_patterns_stand_for_types() -> None:
    assert types_of(checked(["*"])) is None
    assert types_of(checked(["case.opened", "case.*", " case.opened "])) == frozenset(
        name for name in TYPES if name.startswith("case.")
    )
    assert types_of(("reply.sent",)) == frozenset({"reply.sent"})


@pytest.mark.parametrize("name", ["", "case", "case.", "*.opened", "webhook.test", "CASE.OPENED"])
def test_what_is_no_pattern_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="there is no event"):
        checked([name])


CALLERS = [
    Caller(role, "k", teams=frozenset(teams), accounts=frozenset(accounts))
    for role in ("integrator", "agent", "supervisor", "admin")
    for teams in ((), ("parcels",), ("care",))
    for accounts in ((), ("desk",))
]  # fmt: skip
EVENTS = [
    Told(1, "case.opened", team, account, confidential, {})
    for team in ("parcels", "care")
    for account in ("desk", "other")
    for confidential in (False, True)
]


def test_confidential_events_are_for_the_teams_own_keys() -> None:
    secret = Told(1, "case.opened", "care", "desk", True, {})
    readers = {(c.role, *sorted(c.teams)) for c in CALLERS if sees(c, secret)}
    assert readers == {
        ("integrator", "care"), ("agent", "care"), ("supervisor", "care"), ("supervisor",),
        ("admin",), ("admin", "care"), ("admin", "parcels"),
    }  # fmt: skip
    assert not Audience(CALLERS[0], frozenset({"case.closed"})).takes(EVENTS[0])


def test_the_page_lists_what_the_code_publishes() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), "run: python -m services.notifier.catalogue_page"
    assert audience.PREFIXES
