"""One activity of Teams as events of ours: messages, edits, withdrawals, reactions, receipts.

Source: learn.microsoft.com, "Bot Framework – Activity schema" and "Conversation events in your
Teams bot" (editions of October 2024).

A reply's only way back is the conversation: its `serviceUrl` and id go along as the last of a
message's references, and ids are written with their conversation, which alone makes them unique.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.accounts import Account
from shared.channels.email.html import html_to_text
from shared.channels.media import remote
from shared.channels.times import moment
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.events import (
    Attachment,
    DeliveryStatusReceived,
    Identity,
    Kind,
    MessageReceived,
    Sender,
    Thread,
)
from shared.ids import event_id

_FILE: Final = "application/vnd.microsoft.teams.file.download.info"
_QUOTES: Final = re.compile(r"messageReference|forwardedMessageReference")
_CARD: Final = "application/vnd.microsoft.card."
_TAG: Final = re.compile(r"</?at[^<>]*+>")
_LONGEST_NAME: Final = 200
SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True)
class Setting:
    """Whose account an activity is for, and when it came."""

    account: Account
    received_at: datetime


def message(activity: Any, around: Setting, kind: Kind = "message") -> MessageReceived:
    """What somebody wrote, or made of it since. Raises Unreadable, naming the field."""
    files, shown = _attachments(activity)
    text = _words(activity) or _form(activity.get("value"))
    said = "\n".join(filter(None, (text, *shown)))
    target = _scoped(activity, need(activity, "id")) if kind in ("edit", "revoke") else ""
    return _event(
        activity,
        around,
        id=_version(activity, kind),
        kind=kind,
        text=said or (f"[{_what(files)}]" if files else "[empty message]"),
        attachments=tuple(files),
        target=target,
    )


def reactions(activity: Any, around: Setting) -> Iterator[MessageReceived]:
    """A reaction each: Teams tells of those that came and those that went together."""
    target = _scoped(activity, need(activity, "replyToId"))
    for name, taken in (("reactionsAdded", False), ("reactionsRemoved", True)):
        for each in list_at(activity, name):
            type = need(each, "type", f"{name}.")
            yield _event(
                activity,
                around,
                id=f"{_scoped(activity, need(activity, 'id'))}:{'-' if taken else '+'}{type}",
                kind="reaction",
                text="[reaction taken back]" if taken else type,
                target=target,
                attributes={"emoji": "" if taken else type},
            )


def clicked(activity: Any, around: Setting, kind: Kind = "message") -> MessageReceived:
    """A button of a card, or a form in one: an `invoke`, which waits for its answer inline."""
    value = mapping_at(activity, "value")
    data = mapping_at(mapping_at(value, "action"), "data") or value
    return _event(
        activity,
        around,
        id=_scoped(activity, need(activity, "id")),
        kind=kind,
        text=_form(data) or f"[{text_at(activity, 'name')[:100] or 'button'}]",
        attributes={"form": dict(data)} if data else {},
    )


def feedback(activity: Any, around: Setting) -> MessageReceived:
    """What somebody thought of a message of ours, by Teams' own thumbs: it waits for no answer."""
    return msgspec.structs.replace(clicked(activity, around, kind="auto_reply"), automatic=True)


def unsupported(activity: Any, around: Setting) -> MessageReceived:
    """Somebody did something that Regie cannot show: a person looks in Teams."""
    what = text_at(activity, "name") or text_at(activity, "type")
    return _event(
        activity,
        around,
        id=_scoped(activity, need(activity, "id")),
        kind="unsupported",
        text=f"[cannot be shown here ({what[:100]})]",
    )


def receipt(activity: Any, around: Setting) -> DeliveryStatusReceived | None:
    """They read up to one message of ours."""
    last = text_at(mapping_at(activity, "value"), "lastReadMessageId")
    if not last:
        return None
    id = _scoped(activity, last)
    return DeliveryStatusReceived(
        id=event_id(around.account.name, id, "status", "read"),
        account=around.account.name,
        provider_id=id,
        status="read",
        at=_moment(activity, around),
    )


def conversation_of(activity: Any) -> str:
    """The reply address: `https://service/|conversation id`."""
    service = need(activity, "serviceUrl").rstrip("/")
    return (
        f"{service}{SEPARATOR}{need(mapping_at(activity, 'conversation'), 'id', 'conversation.')}"
    )


def _event(activity: Any, around: Setting, *, id: str, kind: Kind, **given: Any) -> MessageReceived:
    answered = text_at(activity, "replyToId")
    target = given.pop("target", "")
    text = given.pop("text")
    return MessageReceived(
        id=event_id(around.account.name, id, kind),
        account=around.account.name,
        channel="teams",
        kind=kind,
        provider_event_id=id,
        sender=_sender(activity),
        automatic=text_at(mapping_at(activity, "from"), "role") == "bot",
        occurred_at=_moment(activity, around),
        received_at=around.received_at,
        recipient=text_at(mapping_at(activity, "recipient"), "id"),
        text=text,
        reply_text=text,
        language=text_at(activity, "locale").partition("-")[0].lower()[:3],
        thread=Thread(
            message_id=_scoped(activity, need(activity, "id")),
            references=tuple(
                filter(
                    None,
                    (_scoped(activity, answered) if answered else "", conversation_of(activity)),
                )
            ),
            target=target,
        ),
        attributes=_circumstances(activity) | given.pop("attributes", {}),
        raw=activity,
        **given,
    )


def _scoped(activity: Any, id: str) -> str:
    return f"{need(mapping_at(activity, 'conversation'), 'id', 'conversation.')}#{id}"


def _version(activity: Any, kind: Kind) -> str:
    """An edit has the id of what it changes, and may come again and again."""
    id = _scoped(activity, need(activity, "id"))
    return f"{id}:{text_at(activity, 'timestamp')}" if kind == "edit" else id


def _sender(activity: Any) -> Sender:
    who = mapping_at(activity, "from")
    # The first is what a conversation can be opened with; the other is the same person for all
    # bots of the organisation.
    ids = dict.fromkeys((need(who, "id", "from."), text_at(who, "aadObjectId")))
    return Sender(
        identities=tuple(Identity(scheme="teams", value=id) for id in ids if id),
        authentication="proven",
        name=text_at(who, "name")[:_LONGEST_NAME],
    )


def _moment(activity: Any, around: Setting) -> datetime:
    # Never later than the receipt: a clock ahead of ours may not move a deadline (DESIGN 5.3).
    at = moment(text_at(activity, "timestamp"))
    return around.received_at if at is None else min(at, around.received_at)


def _circumstances(activity: Any) -> dict[str, Any]:
    conversation = mapping_at(activity, "conversation")
    data = mapping_at(activity, "channelData")
    kind = text_at(conversation, "conversationType")
    found = {
        "conversation": kind if kind != "personal" else "",
        "group": text_at(conversation, "id") if kind in ("groupChat", "channel") else "",
        "team": text_at(mapping_at(data, "team"), "id"),
        "tenant": text_at(conversation, "tenantId") or text_at(mapping_at(data, "tenant"), "id"),
    }
    return {name: value for name, value in found.items() if value}


# --- words and files -------------------------------------------------------------------------


def _words(activity: Any) -> str:
    """The text without the mention of us; other people's mentions stay, as names."""
    text = text_at(activity, "text")
    us = text_at(mapping_at(activity, "recipient"), "id")
    for each in list_at(activity, "entities"):
        named = mapping_at(each, "mentioned")
        if text_at(each, "type") == "mention" and us and text_at(named, "id") == us:
            text = text.replace(text_at(each, "text") or "\0", "")
    text = html.unescape(_TAG.sub("", text)).replace("\xa0", " ").strip()
    return text or _from_html(activity)


def _from_html(activity: Any) -> str:
    """Teams sends the formatted text beside the plain one; sometimes alone."""
    for each in list_at(activity, "attachments"):
        content = each.get("content") if isinstance(each, dict) else None
        if text_at(each, "contentType") == "text/html" and isinstance(content, str):
            return html_to_text(_without_us(content, activity)).strip()
    return ""


def _without_us(content: str, activity: Any) -> str:
    name = text_at(mapping_at(activity, "recipient"), "name")
    return re.sub(rf"<at[^<>]*+>\s*+{re.escape(name)}\s*</at>", "", content) if name else content


def _form(value: Any) -> str:
    """What a card's form sent, a line a field."""
    if not isinstance(value, dict) or not value:
        return ""
    lines = (
        f"{name}: {each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)}"
        for name, each in value.items()
    )
    return "\n".join(("[form sent]", *lines))


def _attachments(activity: Any) -> tuple[list[Attachment], list[str]]:
    """Files, and what else hangs on the message, in words."""
    files: list[Attachment] = []
    shown: list[str] = []
    for each in list_at(activity, "attachments"):
        type, name = text_at(each, "contentType"), text_at(each, "name")
        content = mapping_at(each, "content")
        if type == _FILE:
            file = remote(text_at(content, "downloadUrl"), "", name=name)
        elif type.startswith(("image/", "video/", "audio/")) or (name and type != "text/html"):
            file = remote(text_at(each, "contentUrl"), "" if "*" in type else type, name=name)
        elif type in ("", "text/html"):
            continue
        else:
            shown.append(_other(type, content))
            continue
        if file is None:
            shown.append(f"[file: {name or type}]")
        else:
            files.append(file)
    return files, shown


def _other(type: str, content: Mapping[str, Any]) -> str:
    if _QUOTES.search(type):
        return f"[quoted: {text_at(content, 'messagePreview')}]"
    if type.startswith(_CARD):
        words = (
            text_at(content, "title")
            or text_at(content, "text")
            or text_at(content, "fallbackText")
        )
        return f"[card: {words}]" if words else "[card]"
    return f"[attachment: {type[:100]}]"


def _what(files: list[Attachment]) -> str:
    main = files[0].content_type.partition("/")[0]
    return main if main in ("image", "video", "audio") else f"file: {files[0].name}"
