"""Comments under posts, which pages and profiles get through the same door.

They are public and no conversation: an answer has to be given where they stand. So one is shown as
`unsupported`, with its words, and opens no reply window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from shared.channels.providers.meta import Change
from shared.channels.providers.meta_place import Place, moment, received
from shared.channels.providers.meta_words import Words
from shared.channels.wire import mapping_at, text_at
from shared.errors import Unreadable
from shared.events import Identity, MessageReceived

_COMMENTS: Final = frozenset(("comments", "live_comments"))  # Instagram
_FEED: Final = "feed"  # Messenger: also likes, posts of our own, what was removed
_SAID: Final = frozenset(("comment", "post", "status"))
# Figures and moods about what we publish.
_IGNORED: Final = frozenset(("story_insights", "ratings", "live_videos", "videos"))


def read(change: Change, place: Place) -> Iterator[MessageReceived]:
    """A comment, as its writer's message; nothing for what is no words of a person's. Raises
    Unreadable."""
    if change.field in _IGNORED:
        return
    if change.field != _FEED and change.field not in _COMMENTS:
        raise Unreadable(
            f"Regie does not read {change.field[:40]!r}: take that field off the app's "
            "subscriptions" if change.field else "this entry is not a change with a `field`"
        )  # fmt: skip
    value: Mapping[str, Any] = change.value if isinstance(change.value, dict) else {}
    said = text_at(value, "text") or text_at(value, "message")
    who = mapping_at(value, "from")
    person = text_at(who, "id")
    if not said or person == place.id or _is_no_word(change.field, value):
        return
    if not (person.isascii() and person.isdigit() and len(person) <= 32):
        raise Unreadable("from.id is missing or is no id of a person")
    yield _comment(value, said, person, place)


def _is_no_word(field: str, value: Mapping[str, Any]) -> bool:
    return field == _FEED and not (
        text_at(value, "item") in _SAID and text_at(value, "verb") in ("add", "")
    )


def _comment(value: Mapping[str, Any], said: str, person: str, place: Place) -> MessageReceived:
    id = text_at(value, "comment_id") or text_at(value, "id") or text_at(value, "post_id")
    if not id:
        raise Unreadable("the comment has no id")
    where = "Instagram" if place.scheme == "igsid" else "the page"
    words = Words(f"{said}\n[a public comment: answer it on {where}]", kind="unsupported")
    who = mapping_at(value, "from")
    at = moment(text_at(value, "created_time"), place)
    message = received(
        value,
        place,
        words,
        f"comment {id}",
        person=Identity(scheme=place.scheme, value=person),
    )
    name = (text_at(who, "name") or text_at(who, "username"))[:200]
    return replace(
        message,
        occurred_at=at,
        reply_window_closes_at=at,  # none opens
        sender=replace(message.sender, name=name),
    )
