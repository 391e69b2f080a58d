"""One item of a Messenger or Instagram webhook as events of ours.

Sources: developers.facebook.com, "Messenger Platform: webhook events reference", and for handovers
"Conversation routing" (editions of 2025 and 2026).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shared.channels.providers import meta_words
from shared.channels.providers.meta_place import Place, customer, moment, received
from shared.channels.providers.meta_words import Words
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.errors import Unreadable
from shared.events import (
    DeliveryState,
    DeliveryStatusReceived,
    Identity,
    MessageReceived,
)
from shared.ids import event_id

# Meta's own inboxes: what is sent there was typed by somebody ("Conversation routing").
_INBOXES: Final = frozenset(("263902037430900", "1217981644879628"))
Event = MessageReceived | DeliveryStatusReceived


def read(item: Any, place: Place) -> Iterator[Event]:
    """What an item tells; nothing where it tells a desk nothing. Raises Unreadable."""
    if not isinstance(item, dict):
        raise Unreadable("this item is no object")
    for name, reader in _READERS.items():
        if name in item:
            yield from reader(item, place)
            return
    named = sorted(set(item) - {"sender", "recipient", "timestamp"})
    if not named:
        raise Unreadable("this item is neither a message nor any other event")
    label = f"[cannot be shown here ({named[0][:40]})]"
    yield _noted(item, place, Words(label, kind="unsupported"), named[0])


# --- messages --------------------------------------------------------------------------------


def _message(item: Any, place: Place) -> Iterator[Event]:
    part = mapping_at(item, "message")
    mid = need(part, "mid", "message.")
    # On Instagram our own messages come in among the customer's.
    if part.get("is_echo") is True or text_at(mapping_at(item, "sender"), "id") == place.id:
        yield from _echo(item, part, mid, place)
        return
    if part.get("is_deleted") is True:
        words = Words("[message deleted]", kind="revoke", target=mid)
        yield received(item, place, words, mid, person=customer(item, place))
        return
    words = meta_words.message(part)
    yield received(item, place, words, mid, person=customer(item, place), message_id=mid)


def _echo(item: Any, part: Mapping[str, Any], mid: str, place: Place) -> Iterator[Event]:
    """Ours comes back: a step of its delivery where we sent it, else a reply typed elsewhere."""
    ours, metadata = _ours(text_at(part, "metadata"))
    if ours:
        if metadata:
            yield _status(place, mid, "sent", moment(text_at(item, "timestamp"), place), metadata)
        return
    app = text_at(part, "app_id")
    if part.get("is_deleted") is True or (app and app == _app_id(place)):
        return
    words = meta_words.message(part)
    if words.kind == "unsupported" and not list_at(part, "attachments"):
        return  # there is nothing in it
    by_hand = not app or app in _INBOXES
    words = words if by_hand else words.by_machine()
    person = customer(item, place)
    yield received(item, place, words, mid, person=person, message_id=mid, echo=True)


def _ours(metadata: str) -> tuple[bool, str]:
    """Whether an echo carries an id of ours; and the id, where it stands for the whole message."""
    id, _, part = metadata.partition("/")
    try:
        UUID(id)
    except ValueError:
        return False, ""
    return True, "" if part else id


def _app_id(place: Place) -> str:
    return text_at(dict(place.account.settings), "app_id")


def _edit(item: Any, place: Place) -> Iterator[Event]:
    part = mapping_at(item, "message_edit")
    mid = need(part, "mid", "message_edit.")
    if text_at(mapping_at(item, "sender"), "id") == place.id:
        return  # we changed what we wrote
    person = customer(item, place)
    words = meta_words.edit(part, mid)
    once = text_at(part, "num_edit") or text_at(item, "timestamp")
    yield received(item, place, words, mid, person=person, once=once)


def _reaction(item: Any, place: Place) -> Iterator[Event]:
    part = mapping_at(item, "reaction")
    mid = need(part, "mid", "reaction.")
    if text_at(mapping_at(item, "sender"), "id") == place.id:
        return  # our own thumb answers nobody
    person, words = customer(item, place), meta_words.reaction(part, mid)
    once = f"{text_at(part, 'action')} {text_at(item, 'timestamp')} {person.value}"
    yield received(item, place, words, mid, person=person, once=once)


def _postback(item: Any, place: Place) -> Iterator[Event]:
    part, person = mapping_at(item, "postback"), customer(item, place)
    mid = text_at(part, "mid")  # older versions give none
    words = meta_words.postback(part)
    id = mid or _made_up(item, "postback", person)
    yield received(item, place, words, id, person=person, message_id=mid)


# --- what became of ours -----------------------------------------------------------------------


def _delivery(item: Any, place: Place) -> Iterator[Event]:
    part = mapping_at(item, "delivery")
    mids = [mid for mid in list_at(part, "mids") if isinstance(mid, str) and mid]
    at = moment(text_at(item, "timestamp") or text_at(part, "watermark"), place)
    for mid in mids:
        yield _status(place, mid, "delivered", at)
    if not mids:
        yield _mark(item, place, part, "delivered")


def _seen(item: Any, place: Place) -> Iterator[Event]:
    part = mapping_at(item, "read")
    if mid := text_at(part, "mid"):  # Instagram
        yield _status(place, mid, "read", moment(text_at(item, "timestamp"), place))
    else:
        yield _mark(item, place, part, "read")


def _status(
    place: Place, mid: str, state: DeliveryState, at: datetime, correlation: str = ""
) -> DeliveryStatusReceived:
    return DeliveryStatusReceived(
        id=event_id(place.account.name, mid, "status", state),
        account=place.account.name,
        provider_id=mid,
        status=state,
        at=at,
        correlation=correlation,
    )


def _mark(
    item: Any, place: Place, part: Mapping[str, Any], state: DeliveryState
) -> DeliveryStatusReceived:
    """All that was sent to somebody until then."""
    until, person = need(part, "watermark"), customer(item, place)
    return DeliveryStatusReceived(
        id=event_id(place.account.name, f"{person.value} {until}", "status", state),
        account=place.account.name,
        provider_id=f"until {person.value}",
        status=state,
        at=moment(until, place),
        recipient=person,
    )


# --- what is no message ------------------------------------------------------------------------


def _noted(item: Any, place: Place, words: Words, name: str) -> MessageReceived:
    person = customer(item, place)
    return received(item, place, words, _made_up(item, name, person), person=person)


def _made_up(item: Any, name: str, person: Identity) -> str:
    """An id for what Meta gives none: the same when it comes again."""
    return f"{name} {person.value} {text_at(item, 'timestamp')}"


def _note(name: str, words: Callable[[Mapping[str, Any]], Words]) -> _Reader:
    def reader(item: Any, place: Place) -> Iterator[Event]:
        yield _noted(item, place, words(mapping_at(item, name)), name)

    return reader


def _passed(item: Any, place: Place) -> Iterator[Event]:
    """A conversation that another app had is ours from now on; what an inbox gives back is done."""
    part = mapping_at(item, "pass_thread_control")
    new, ours = text_at(part, "new_owner_app_id"), _app_id(place)
    to_us = not (ours and new) or new == ours
    from_inbox = text_at(part, "previous_owner_app_id") in _INBOXES
    words = meta_words.passed(part, to_us=to_us)
    words = words if to_us and not from_inbox else words.by_machine()
    yield _noted(item, place, words, "pass_thread_control")


def _policy(item: Any, place: Place) -> Iterator[Event]:
    part = mapping_at(item, "policy_enforcement")
    action, reason = text_at(part, "action"), text_at(part, "reason")
    if action == "unblock":
        return iter(())
    raise Unreadable(f"Meta enforces a policy on this account: {action} {reason[:200]}".rstrip())


def _nothing(item: Any, place: Place) -> Iterator[Event]:
    return iter(())


_Reader = Callable[[Any, Place], Iterator[Event]]
_READERS: Final[Mapping[str, _Reader]] = {
    "message": _message,
    "message_edit": _edit,
    "reaction": _reaction,
    "postback": _postback,
    "delivery": _delivery,
    "read": _seen,
    "referral": _note("referral", meta_words.referral),
    "optin": _note("optin", meta_words.optin),
    "account_linking": _note("account_linking", meta_words.linking),
    "messaging_feedback": _note("messaging_feedback", meta_words.feedback),
    "pass_thread_control": _passed,
    "take_thread_control": _note("take_thread_control", meta_words.taken),
    "request_thread_control": _note("request_thread_control", meta_words.requested),
    "policy_enforcement": _policy,
    "app_roles": _nothing,  # which app of the page is the first to be asked
    "typing": _nothing,
}
