"""One event of X's as an event of ours: a direct message, a mention, or a read receipt.

Sources: docs.x.com, "Account Activity API: data objects" (its envelope is deprecated and still
sent) and "X Activity API" (read August 2026).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from shared.accounts import Account
from shared.channels.media import remote
from shared.channels.times import moment
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.errors import Unreadable
from shared.events import (
    Attachment,
    DeliveryStatusReceived,
    Identity,
    MessageReceived,
    Sender,
    Thread,
)
from shared.ids import event_id

_MILLISECONDS: Final = re.compile(r"[0-9]{1,16}")
_PAIR: Final = re.compile(r"([0-9]+)[:-]([0-9]+)", re.ASCII)
_POSTED: Final = "%a %b %d %H:%M:%S %z %Y"  # Wed Aug 27 13:08:45 +0000 2008
_LONGEST_NAME: Final = 200
# X's own programs: what was typed in one of them was typed by a person.
_CLIENTS: Final = re.compile(r"(?:.+\.)?(?:x|twitter)\.com")
_FILES: Final = {
    "photo": "image/jpeg",
    "image": "image/jpeg",
    "animated_gif": "video/mp4",
    "video": "video/mp4",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Whose account the events are about, and who is who.

    users  by id; of the newer envelope with everything one level deeper, under `data`
    apps   by id: the programs messages were sent with
    """

    account: Account
    users: Mapping[str, Any]
    apps: Mapping[str, Any]
    received_at: datetime

    @property
    def us(self) -> str:
        return str(self.account.settings.get("user_id", ""))


def direct_message(event: Any, around: Setting) -> MessageReceived | None:
    """A customer's message; with `echo` a reply typed in X; None for one that we sent ourselves.

    Raises Unreadable, naming the field.
    """
    created, id = mapping_at(event, "message_create"), need(event, "id")
    sender = need(created, "sender_id", "message_create.")
    other = (
        text_at(mapping_at(created, "target"), "recipient_id") if sender == around.us else sender
    )
    if sender == around.us and (not other or not _typed(created, around)):
        return None
    data = mapping_at(created, "message_data")
    files = tuple(_files(data))
    chosen = text_at(mapping_at(data, "quick_reply_response"), "metadata")
    return _message(
        around,
        id=id,
        who=other,
        at=_milliseconds(event, around),
        text=_words(data) or (f"[{files[0].content_type.partition('/')[0]}]" if files else ""),
        attachments=files,
        echo=sender == around.us,
        attributes={"payload": chosen} if chosen else {},
        raw=event,
    )


def mention(post: Any, around: Setting) -> MessageReceived | None:
    """A public post that is addressed to us; None for our own, repeats of others' words, and
    those that only pass by. Raises Unreadable."""
    id, author = need(post, "id_str"), mapping_at(post, "user")
    who = text_at(author, "id_str") or need(author, "id", "user.")
    if who == around.us or mapping_at(post, "retweeted_status") or not _names(post, around.us):
        return None
    name = text_at(author, "screen_name")
    whole = mapping_at(post, "extended_tweet") or post
    entities = mapping_at(whole, "entities")
    shown = mapping_at(whole, "extended_entities") or entities
    media = [each for each in list_at(shown, "media") if isinstance(each, dict)]
    text = text_at(whole, "full_text") or text_at(whole, "text") or text_at(post, "text")
    return _message(
        around,
        id=id,
        who=who,
        at=_posted(text_at(post, "created_at"), around),
        text=_expanded(text, entities, [text_at(each, "url") for each in media]),
        attachments=tuple(filter(None, map(_file, media))),
        name=text_at(author, "name"),
        attributes={"public": True, "post": id, "url": f"https://x.com/{name or 'i'}/status/{id}"},
        raw=post,
    )


def encrypted(event: Any, id: str, around: Setting) -> MessageReceived:
    """A message of XChat, of which only its existence can be known; one of ours was typed in X,
    as nothing else can write there. Raises Unreadable."""
    sender = text_at(event, "sender_id") or text_at(mapping_at(event, "sender"), "id")
    echo = sender == around.us
    who = _other(event, around) if echo or not sender else sender
    if not who:
        raise Unreadable("the encrypted chat names no sender: look for it in X")
    written = text_at(event, "created_at_msec")
    return _message(
        around,
        id=text_at(event, "id") or id,
        who=who,
        at=_of_milliseconds(written, around)
        or moment(text_at(event, "created_at"))
        or around.received_at,
        text="[encrypted chat: it can be read in X only]",
        kind="unsupported",
        echo=echo,
        raw=event,
    )


def _other(event: Any, around: Setting) -> str:
    """With whom we are in a chat of two; a group's id names nobody."""
    parties = _PAIR.fullmatch(text_at(event, "conversation_id"))
    return next((each for each in parties.groups() if each != around.us), "") if parties else ""


def read(event: Any, around: Setting) -> DeliveryStatusReceived | None:
    """The customer read up to one message of ours; None where it was us who read."""
    if need(event, "sender_id") == around.us:
        return None
    id = need(event, "last_read_event_id")
    return DeliveryStatusReceived(
        id=event_id(around.account.name, id, "status", "read"),
        account=around.account.name,
        provider_id=id,
        status="read",
        at=_milliseconds(event, around),
    )


def _message(around: Setting, *, id: str, who: str, at: datetime, **given: Any) -> MessageReceived:
    kind = given.pop("kind", "message")
    name = given.pop("name", "") or _name(who, around)
    text = given.pop("text")
    return MessageReceived(
        id=event_id(around.account.name, id, kind),
        account=around.account.name,
        channel="x",
        kind=kind,
        provider_event_id=id,
        # The platform signed who it was.
        sender=Sender(
            identities=(Identity(scheme="x", value=who),),
            authentication="proven",
            name=name[:_LONGEST_NAME],
        ),
        occurred_at=min(at, around.received_at),
        received_at=around.received_at,
        recipient=around.us,
        text=text or "[empty message]",
        reply_text=text or "[empty message]",
        thread=Thread(message_id=id),
        **given,
    )


# --- parts of a message ----------------------------------------------------------------------


def _words(data: Mapping[str, Any]) -> str:
    """The text with its short links written out; the one that stands for the file goes."""
    media = mapping_at(mapping_at(data, "attachment"), "media")
    return _expanded(text_at(data, "text"), mapping_at(data, "entities"), [text_at(media, "url")])


def _expanded(text: str, entities: Mapping[str, Any], files: Sequence[str]) -> str:
    for link in filter(None, files):
        text = text.replace(link, "")
    for url in list_at(entities, "urls"):
        short, whole = text_at(url, "url"), text_at(url, "expanded_url")
        if short and whole and short not in files:
            text = text.replace(short, whole)
    return _unescaped(text).strip()


def _unescaped(text: str) -> str:
    # X escapes these three, and these only.
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _files(data: Mapping[str, Any]) -> Iterator[Attachment]:
    file = _file(mapping_at(mapping_at(data, "attachment"), "media"))
    if file is not None:
        yield file


def _file(media: Mapping[str, Any]) -> Attachment | None:
    kind = text_at(media, "type")
    address = _film(media) or text_at(media, "media_url_https") or text_at(media, "media_url")
    return remote(address, _FILES.get(kind, ""), media_id=text_at(media, "id_str"))


def _film(media: Mapping[str, Any]) -> str:
    """The best of a film's versions that is one file."""
    versions = [
        v
        for v in list_at(mapping_at(media, "video_info"), "variants")
        if text_at(v, "content_type") == "video/mp4"
    ]
    return text_at(max(versions, key=_bitrate, default=None), "url")


def _bitrate(version: Any) -> int:
    given = text_at(version, "bitrate")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 12 else 0


def _typed(created: Mapping[str, Any], around: Setting) -> bool:
    """Whether a person typed this in a program of X's, rather than we or another service.

    With `app_id` given, whatever another program sent is a person's; without it only what one of
    X's own did, so that we never take our own words for an agent's.
    """
    app = text_at(created, "source_app_id")
    ours = str(around.account.settings.get("app_id", ""))
    if not app:
        return True
    if ours:
        return app != ours
    try:
        host = urlsplit(text_at(mapping_at(around.apps, app), "url")).hostname or ""
    except ValueError:
        return False
    return bool(_CLIENTS.fullmatch(host))


def _names(post: Any, us: str) -> bool:
    whole = mapping_at(post, "extended_tweet") or post
    named = (
        text_at(m, "id_str") or text_at(m, "id")
        for m in list_at(mapping_at(whole, "entities"), "user_mentions")
    )
    return us in named or text_at(post, "in_reply_to_user_id_str") == us


def _name(who: str, around: Setting) -> str:
    user = mapping_at(around.users, who)
    user = mapping_at(user, "data") or user
    return text_at(user, "name") or text_at(user, "screen_name") or text_at(user, "username")


# --- times -----------------------------------------------------------------------------------


def _milliseconds(event: Any, around: Setting) -> datetime:
    at = _of_milliseconds(need(event, "created_timestamp"), around)
    if at is None:
        raise Unreadable("created_timestamp is not milliseconds")
    return at


def _of_milliseconds(written: str, around: Setting) -> datetime | None:
    if not _MILLISECONDS.fullmatch(written):
        return None
    # Never later than the receipt: a clock ahead of ours may not move a deadline (DESIGN 5.3).
    if int(written) >= around.received_at.timestamp() * 1000:
        return around.received_at
    return datetime.fromtimestamp(int(written) / 1000, UTC)


def _posted(written: str, around: Setting) -> datetime:
    if at := moment(written):
        return at
    try:
        return datetime.strptime(written, _POSTED).astimezone(UTC)
    except (ValueError, OverflowError):
        return around.received_at
