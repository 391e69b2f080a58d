"""What Slack, Microsoft Teams and ntfy take, and how much of it.

Sources: docs.slack.dev, "Sending messages using incoming webhooks" and "Section block" (150 and
3,000 characters); learn.microsoft.com, "Create incoming webhooks with Workflows" and "Send adaptive
cards using an incoming webhook" (28 kB); docs.ntfy.sh, "Publishing" (4,096 bytes; headers in UTF-8
by RFC 2047).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.notices.kinds import NoticeKind
from shared.notices.notice import Put

SLACK_TITLE: Final = 150
SLACK_TEXT: Final = 3_000
TEAMS_BYTES: Final = 28_000
NTFY_BYTES: Final = 4_096
NTFY_TITLE: Final = 250

# (characters of the subject, characters of the text) that a target shows whole.
LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "email": (250, 100_000),
    "slack": (SLACK_TITLE, SLACK_TEXT),
    "teams": (250, 10_000),
    "ntfy": (NTFY_TITLE, NTFY_BYTES // 2),
}
_URGENCY: Final[Mapping[NoticeKind, int]] = {"breach": 4, "promise_broken": 4, "escalation": 4}
_TAGS: Final[Mapping[NoticeKind, str]] = {
    "reminder": "alarm_clock", "promise": "alarm_clock", "escalation": "warning",
    "breach": "rotating_light", "promise_broken": "rotating_light", "handoff": "inbox_tray",
    "unreached": "telephone_receiver", "frozen": "snowflake", "digest": "books",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """A POST. Header values are ASCII."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def slack(put: Put) -> Request:
    """Blocks, and `text` for notifications; `&`, `<` and `>` cannot mention anybody."""
    title, text = cut(put.subject, SLACK_TITLE), _cut_escaped(put.text, SLACK_TEXT)
    return _json(
        {
            "text": _cut_escaped(put.subject, SLACK_TEXT),
            "unfurl_links": False,
            "unfurl_media": False,
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
                {"type": "section", "text": {"type": "mrkdwn", "text": text}},
            ],
        }
    )


def teams(put: Put) -> Request:
    """A card in a message. Its lines are runs, in which nothing is read as Markdown."""
    return _fitting(put.text, TEAMS_BYTES, lambda text: _json(_card(put, text)))


def ntfy(put: Put) -> Request:
    """The text as body, all else as headers."""
    tag = _TAGS.get(put.kind, "bell")
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Title": encoded_word(cut(put.subject, NTFY_TITLE)),
        "Priority": str(put.urgency or _URGENCY.get(put.kind, 3)),
        "Tags": tag,
    }
    if put.link:
        headers["Click"] = encoded_word(put.link)
    return Request(_cut_bytes(put.text, NTFY_BYTES), headers)


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def encoded_word(text: str) -> str:
    """A header's value by RFC 2047: as it is in ASCII, else in encoded words of 75 at most."""
    if text.isascii() and text.isprintable() and "=?" not in text:
        return text
    words, start = [], 0
    while start < len(text):
        end = start + 1
        while end < len(text) and len(text[start : end + 1].encode()) <= 45:
            end += 1
        words.append(base64.b64encode(text[start:end].encode("utf-8", "replace")).decode())
        start = end
    return " ".join(f"=?UTF-8?B?{word}?=" for word in words)


def _card(put: Put, text: str) -> dict[str, Any]:
    title = {"type": "TextRun", "text": put.subject, "weight": "Bolder", "size": "Medium"}
    lines = [{"type": "TextRun", "text": line} for line in text.split("\n") if line.strip()]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": [run]} for run in (title, *lines)],
    }
    if put.link:
        label = put.link.partition("://")[2].partition("/")[0]
        card["actions"] = [{"type": "Action.OpenUrl", "title": label, "url": put.link}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _fitting(text: str, most: int, made: Callable[[str], Request]) -> Request:
    """With as much of the text as fits."""
    request = made(text)
    while len(request.body) > most and len(text) > 1:
        text = cut(text, len(text) // 2)
        request = made(text)
    return request


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut_escaped(text: str, most: int) -> str:
    """Never in the middle of an entity."""
    while len(_escaped(text)) > most:
        text = cut(text, max(most - (len(_escaped(text)) - len(text)), len(text) // 2))
        if len(text) <= 1:
            break
    return _escaped(text)


def _cut_bytes(text: str, most: int) -> bytes:
    whole = text.encode("utf-8", "replace")
    if len(whole) <= most:
        return whole
    return whole[: most - 3].decode("utf-8", "ignore").encode() + "…".encode()


def _json(content: Any) -> Request:
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    return Request(body, {"Content-Type": "application/json; charset=utf-8"})
