"""A case's events without anybody's words, names and addresses. Pure.

What is counted stays: types, instants, numbers, ids, teams, our people, channels, rules. All else
goes, a new field too, unless it is named here. The events still read, and still fold to the case.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeVar, get_args
from uuid import UUID

from msgspec.structs import replace

from services.router.rules.switches import SwitchReason
from shared import events as ev
from shared.events import Event, Identity

E = TypeVar("E", bound=Event)

# Fields of any event whose text is ours: our names, and words of a fixed list.
_OURS: Final = frozenset((
    "account", "agent", "at_risk", "author", "authentication", "by", "calendar", "channel", "code",
    "cost", "escalations", "from_channel", "from_team", "group", "joined", "kind", "marked",
    "metric", "opened_by", "outcome", "owner", "priority", "product", "purpose", "rule", "scale",
    "skills", "state", "status", "team", "to_channel", "to_team",
))  # fmt: skip
_ALSO: Final[dict[type[Event], frozenset[str]]] = {
    ev.DeadlineStarted: frozenset(("words",)),
    ev.PromiseMade: frozenset(("words",)),
    ev.HandoffAccepted: frozenset(("how",)),
    ev.ResultRecorded: frozenset(("name",)),
    ev.CaseFrozen: frozenset(("reason", "trail")),
    **dict.fromkeys(
        (ev.SwitchSuggested, ev.PromiseBroken, ev.PromiseRevived, ev.SurveySkipped,
         ev.DeadlineAtRisk, ev.DeadlineSuperseded, ev.MessageRevised, ev.CaseForgotten),
        frozenset(("reason",)),
    ),
}  # fmt: skip
REASONS: Final = frozenset(get_args(SwitchReason))
_ADDRESSES: Final = frozenset(
    ("address", "provider_id", "recipient", "references", "reply_to", "language")
)


def forgotten(event: E, *, addresses: bool = True) -> E:
    """The event without words. With `addresses` False those stay: the customer is still known, and
    a case that is opened again has to be answered."""
    kept = _OURS | _ALSO.get(type(event), frozenset())
    if not addresses:
        kept |= _ADDRESSES
    if getattr(event, "automatic", False) or getattr(event, "reason", None) in REASONS:
        kept |= {"reason"}
    changes: dict[str, Any] = {}
    for name in event.__struct_fields__:
        if name not in kept:
            changes[name] = _blank(getattr(event, name))
    return replace(event, **changes)


def _blank(value: Any) -> Any:
    """Nothing of the same type; of what is no text, the value itself."""
    match value:
        case str():
            return ""
        case Identity(scheme=scheme):
            return Identity(scheme=scheme, value="")
        case dict():
            return {}
        case tuple():
            return tuple(each for each in value if isinstance(each, datetime | UUID))
    return value
