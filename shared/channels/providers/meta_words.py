"""What an item of Messenger or Instagram says, as text a person can read.

Words of our own stand in square brackets, so that nobody takes them for the customer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.channels import media
from shared.channels.wire import list_at, mapping_at, text_at
from shared.events import Attachment, Kind

Part = Mapping[str, Any]

_FILES: Final = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "audio": "audio/mpeg",
    "file": "application/octet-stream",
}  # the type where the address does not tell
_SHARED: Final = {
    "reel": "shared a reel", "ig_reel": "shared a reel", "ig_post": "shared a post",
    "post": "shared a post", "share": "shared a post", "ig_story": "shared a story",
    "story": "shared a story", "story_share": "shared a story",
    "story_mention": "mentioned us in their story", "animated_image": "animation",
    "sticker": "sticker", "media": "shared media",
}  # fmt: skip
# Messenger's thumb, small, middling and large.
_THUMBS: Final = frozenset(("369239263222822", "369239343222814", "369239383222810"))
_SAID: Final = {
    "like_heart": "❤️",
    "ephemeral": "[photo or film to be seen once: open it in Instagram's own app]",
}
_HIDDEN: Final = frozenset(("unsupported_type", "unsupported"))
_MOST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Words:
    """The readable side of an item. `automatic` means that it waits for no answer."""

    text: str
    kind: Kind = "message"
    target: str = ""
    references: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    automatic: bool = False

    def by_machine(self) -> Words:
        return replace(self, automatic=True)


def message(part: Part) -> Words:
    """A message. One that says nothing we can read is `unsupported`: its sender did write."""
    text = text_at(part, "text")
    lines, files, hidden = [text] if text else [], list[Attachment](), False
    for each in list_at(part, "attachments"):
        said, file = _attachment(each, text)
        hidden = hidden or said is None
        lines += [said] if said and said not in lines else []
        files += [file] if file is not None else []
    readable = bool(lines or files) and part.get("is_unsupported") is not True
    if hidden or not readable:
        lines.append(f"[cannot be shown here ({_what(part)})]")
    return Words(
        "\n".join(lines),
        kind="message" if readable else "unsupported",
        references=tuple(_filled(text_at(mapping_at(part, "reply_to"), "mid"))),
        attachments=tuple(files),
        attributes=_circumstances(part),
    )


def edit(part: Part, mid: str) -> Words:
    text = text_at(part, "text")
    if text:
        return Words(text, kind="edit", target=mid)
    # Instagram tells that a message was changed, and not to what.
    note = "[changed afterwards: the new words are only in the app itself]"
    return Words(note, kind="edit", target=mid, attributes={"text_missing": True})


def reaction(part: Part, mid: str) -> Words:
    taken = text_at(part, "action") == "unreact"
    emoji = "" if taken else text_at(part, "emoji") or text_at(part, "reaction")
    return Words(
        emoji or ("[reaction taken back]" if taken else "[reaction]"),
        kind="reaction",
        target=mid,
        attributes={"emoji": emoji},
    )


def postback(part: Part) -> Words:
    payload = text_at(part, "payload")
    return Words(
        text_at(part, "title") or payload or "[button pressed]",
        references=tuple(_filled(text_at(mapping_at(part, "reply_to"), "mid"))),
        attributes=_given(payload=payload, referral=mapping_at(part, "referral")),
    )


def referral(part: Part) -> Words:
    advertisement = text_at(mapping_at(part, "ads_context_data"), "ad_title")
    came = "[came here by an advertisement]" if text_at(part, "ad_id") else "[came here by a link]"
    lines = _filled(came, advertisement, text_at(part, "ref"))
    return _aside("\n".join(lines), referral=dict(part))


def optin(part: Part) -> Words:
    status = text_at(part, "notification_messages_status")
    stopped = status.startswith("STOP")
    what = "wants no more notifications" if stopped else "agreed to be written to"
    return _aside("\n".join(_filled(f"[{what}]", text_at(part, "title"))), optin=dict(part))


def linking(part: Part) -> Words:
    done = "linked" if text_at(part, "status") == "linked" else "unlinked"
    return _aside(f"[{done} their account]", account_linking=done)


def feedback(part: Part) -> Words:
    """A customer filled in Meta's questionnaire: the answers, one a line."""
    lines = []
    for screen in list_at(part, "feedback_screens"):
        for name, answer in mapping_at(screen, "questions").items():
            more = text_at(mapping_at(answer, "follow_up"), "payload")
            lines.append(f"{name}: {' '.join(_filled(text_at(answer, 'payload'), more))}")
    return _aside("\n".join(["[feedback]", *lines[:_MOST_LINES]]), feedback=dict(part))


def passed(part: Part, *, to_us: bool) -> Words:
    whom = "us" if to_us else "another app"
    lines = _filled(f"[conversation handed to {whom}]", text_at(part, "metadata"))
    return Words("\n".join(lines), attributes={"handover": dict(part)})


def taken(part: Part) -> Words:
    return _aside("[another app took the conversation over]", handover=dict(part))


def requested(part: Part) -> Words:
    return _aside("[another app asks for the conversation]", handover=dict(part))


def _aside(text: str, **attributes: Any) -> Words:
    return Words(text, kind="auto_reply", attributes=attributes, automatic=True)


# --- attachments -----------------------------------------------------------------------------


def _attachment(each: Any, text: str) -> tuple[str | None, Attachment | None]:
    """The words an attachment adds to the text, empty where it adds none; and its file. None for
    words: there is something that Meta does not pass on."""
    type, payload = text_at(each, "type"), mapping_at(each, "payload")
    url = text_at(payload, "url") or text_at(each, "url")
    title = text_at(payload, "title") or text_at(each, "title")
    if type in _FILES:
        return _file(type, payload, url, alone=not text)
    if type in _SHARED:
        return _shared(type, url, title)
    match type:
        case "location":
            return _location(payload, title, url), None
        case "fallback":
            return ("" if url and url in text else _link(title, url)), None
        case "template":
            return _template(payload, title), None
    if type in _SAID or type in _HIDDEN or not (title or url):
        return _SAID.get(type), None
    return _shared(type, url, title)


def _file(type: str, payload: Part, url: str, *, alone: bool) -> tuple[str, Attachment | None]:
    file = media.remote(url, media.type_of(url) or _FILES[type])
    if text_at(payload, "sticker_id") in _THUMBS:
        return "👍", file
    word = "sticker" if text_at(payload, "sticker_id") else type
    if file is None:
        return f"[{word} without an address]", None
    return (f"[{word}]" if alone else ""), file


def _shared(type: str, url: str, title: str) -> tuple[str, Attachment | None]:
    word = _SHARED.get(type, type[:40])
    # A post may be anything until it is fetched; a reel is a film.
    guess = "video/mp4" if "reel" in type else "application/octet-stream"
    file = media.remote(url, media.type_of(url) or guess, name=word.rpartition(" ")[2])
    return "\n".join(_filled(f"[{word}]", title, "" if file else url)), file


def _location(payload: Part, title: str, url: str) -> str:
    point = mapping_at(payload, "coordinates")
    places = _filled(text_at(point, "lat"), text_at(point, "long"))
    return "[location] " + "\n".join(_filled(title, ", ".join(places), url))


def _link(title: str, url: str) -> str:
    return "\n".join(_filled("[link]", title, url))


def _template(payload: Part, title: str) -> str:
    lines = [title, text_at(payload, "text")]
    products = mapping_at(payload, "product")
    for each in (*list_at(payload, "elements"), *list_at(products, "elements")):
        lines += [text_at(each, name) for name in ("title", "subtitle", "retailer_id")]
    lines += [text_at(each, "title") for each in list_at(payload, "buttons")]
    return "\n".join(["[shown]", *_filled(*lines)][:_MOST_LINES])


# --- what surrounds a text ---------------------------------------------------------------------


def _circumstances(part: Part) -> dict[str, Any]:
    """What rules may ask about beyond the text: the button, the advertisement, the story …"""
    return _given(
        payload=text_at(mapping_at(part, "quick_reply"), "payload"),
        referral=mapping_at(part, "referral"),
        story=mapping_at(mapping_at(part, "reply_to"), "story"),
    )


def _what(part: Part) -> str:
    types = (text_at(each, "type") for each in list_at(part, "attachments"))
    return ", ".join(dict.fromkeys(_filled(*types))) or "no content"


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _filled(*texts: str) -> list[str]:
    return [text for text in texts if text]
