"""What is left of an event when its words are gone: every type there is, and every field."""

from __future__ import annotations

import types
from datetime import datetime, time, timedelta
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID, uuid4

import msgspec
import pytest

from services.router.rights.forgetting import forgotten
from services.router.trial.retelling import History, Retelling
from shared import events as ev
from shared.events import CaseChanged, CaseEvent, Event
from tests.builders import NOON, Story, after, example_policy, message

SECRET = "secretword"
# Free text by a customer or an agent, or an address: by name, in any event.
FREE = frozenset((
    "address", "answer_url", "comment", "how", "language", "preview", "provider_id", "references",
    "subject", "tags", "template", "text", "what",
))  # fmt: skip


def filled(hint: Any) -> Any:
    """A value of this type with the secret in every text."""
    origin = get_origin(hint)
    if origin is Literal:
        return get_args(hint)[-1]
    if origin in (types.UnionType, Union):
        return filled(next(each for each in get_args(hint) if each is not type(None)))
    if origin is tuple:
        return tuple(filled(each) for each in get_args(hint) if each is not Ellipsis)
    if origin is dict:
        return {SECRET: filled(get_args(hint)[1])}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint(**{name: filled(each) for name, each in get_type_hints(hint).items()})
    plain: dict[Any, Any] = {
        timedelta: timedelta(minutes=15), time: time(20),
        str: SECRET, int: 1, float: 1.0, bool: False, UUID: uuid4(), datetime: NOON, Any: SECRET
    }  # fmt: skip
    return plain[hint]


def events() -> list[Event]:
    return [filled(kind) for kind in get_args(CaseEvent)]


@pytest.mark.parametrize("event", events(), ids=lambda event: type(event).__name__)
def test_no_word_stays_that_somebody_wrote(event: Event) -> None:
    left = forgotten(event)
    free = FREE - ({"how"} if isinstance(event, ev.HandoffAccepted) else frozenset())
    for name in set(event.__struct_fields__) & free:
        assert SECRET not in str(getattr(left, name)), name
    for name in ("reply_to", "recipient", "data", "files", "consent", "notify"):
        assert SECRET not in str(getattr(left, name, "")), name
    assert msgspec.json.decode(msgspec.json.encode(left), type=CaseEvent) == left
    assert forgotten(left) == left


@pytest.mark.parametrize("event", events(), ids=lambda event: type(event).__name__)
def test_what_is_counted_stays(event: Event) -> None:
    left = forgotten(event)
    counted = (int, float, bool, UUID, datetime)
    for name in event.__struct_fields__:
        if isinstance(getattr(event, name), counted):
            assert getattr(left, name) == getattr(event, name), name
    for name in ("team", "to_team", "agent", "channel", "rule", "metric", "product", "state"):
        assert getattr(left, name, None) == getattr(event, name, None)


def test_reasons_stay_where_they_are_ours() -> None:
    offered = filled(ev.HandoffOffered)
    assert forgotten(offered).reason == ""
    ours = msgspec.structs.replace(offered, reason="window_closing")
    assert forgotten(ours).reason == "window_closing"
    assigned = filled(ev.CaseAssigned)
    assert forgotten(assigned).reason == ""
    by_rule = msgspec.structs.replace(assigned, automatic=True)
    assert forgotten(by_rule).reason == SECRET


def test_addresses_may_stay() -> None:
    added = filled(ev.MessageAdded)
    left = forgotten(added, addresses=False)
    assert left.reply_to == added.reply_to
    assert (left.preview, left.subject) == ("", "")


def test_a_dry_run_takes_what_has_no_words_as_it_was() -> None:
    story = Story()
    story.hear(message())
    changes = list(story.history)
    assert Retelling(History(story.id, changes, {}), example_policy()).possible
    last = changes[-1]
    gone = CaseChanged(
        case_id=story.id, seq=last.seq + 1, version=last.version, at=after(hours=1), actor="regie",
        customer_id=last.customer_id, team=last.team, channel=last.channel,
        event=ev.CaseForgotten(reason="retention"),
    )  # fmt: skip
    assert not Retelling(History(story.id, [*changes, gone], {}), example_policy()).possible
