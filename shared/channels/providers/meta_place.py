"""Where an item of Messenger or Instagram stands, and what all its messages have in common.

Source: developers.facebook.com, "Messenger Platform: webhook events reference" (common properties)
and "Messaging windows" (24 hours; 7 days by HUMAN_AGENT).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.accounts import Account
from shared.channels import times
from shared.channels.providers.meta_words import Words
from shared.channels.wire import mapping_at, text_at
from shared.errors import Unreadable
from shared.events import Identity, MessageReceived, Scheme, Sender, Thread
from shared.ids import event_id

DAY: Final = timedelta(hours=24)
WEEK: Final = timedelta(days=7)  # for what a person types, with Meta's leave (`human_agent`)
_PERSON: Final = re.compile(r"[0-9]{1,32}")
_TIME: Final = re.compile(r"[0-9]{1,15}")
_MILLISECONDS: Final = 100_000_000_000  # a time is in seconds below this; Meta writes both


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands: whose it is, and what its surroundings say.

    id       our own id there; scheme: what a customer's is
    time     the entry's, for an item without one of its own
    standby  another app has the conversation: we only listen
    """

    account: Account
    id: str
    scheme: Scheme
    time: str
    received_at: datetime
    standby: bool = False


def window(place: Place, at: datetime) -> datetime:
    """Until when a person may answer what was written `at`."""
    return at + (WEEK if place.account.settings.get("human_agent") else DAY)


def moment(written: str, place: Place) -> datetime:
    """A time of Meta's, never later than the receipt (DESIGN 5.3). Raises Unreadable."""
    written = written or place.time
    if (at := times.moment(written)) is not None:
        return min(at, place.received_at)
    if not _TIME.fullmatch(written):
        raise Unreadable("timestamp is missing or is no time")
    number = int(written)
    seconds = number / 1000 if number >= _MILLISECONDS else number
    if seconds >= place.received_at.timestamp():
        return place.received_at
    return datetime.fromtimestamp(seconds, UTC)


def received(
    item: Any,
    place: Place,
    words: Words,
    id: str,
    *,
    person: Identity,
    once: str = "",
    message_id: str = "",
    echo: bool = False,
) -> MessageReceived:
    """What `words` say, as `person`'s. `once` tells two events of one id and kind apart."""
    at = moment(text_at(item, "timestamp"), place)
    automatic = words.automatic or place.standby
    opens = words.kind in ("message", "unsupported") and not (echo or automatic)
    standby: dict[str, Any] = {"standby": True} if place.standby else {}
    return MessageReceived(
        id=event_id(place.account.name, id, words.kind, once),
        account=place.account.name,
        channel=place.account.channel,
        kind=words.kind,
        provider_event_id=id,
        sender=Sender(identities=(person,), authentication="proven"),
        occurred_at=at,
        received_at=place.received_at,
        recipient=place.id,
        text=words.text,
        reply_text=words.text,  # what is answered is named, never quoted
        thread=Thread(message_id=message_id, references=words.references, target=words.target),
        attachments=words.attachments,
        automatic=automatic,
        echo=echo,
        reply_window_closes_at=window(place, at) if opens else None,
        attributes={**standby, **words.attributes},
        raw=item,
    )


def customer(item: Any, place: Place) -> Identity:
    """The side of an item that is not ours. Raises Unreadable where that is nobody we can name."""
    sides = [text_at(mapping_at(item, side), "id") for side in ("sender", "recipient")]
    found = next((id for id in sides if id and id != place.id), "")
    if found and not _PERSON.fullmatch(found):
        raise Unreadable("sender.id is no id of a person")
    if found:
        return Identity(scheme=place.scheme, value=found)
    if text_at(mapping_at(item, "sender"), "user_ref"):
        raise Unreadable("the item names only a user_ref, by which nobody can be known")
    raise Unreadable("the item names no sender")
