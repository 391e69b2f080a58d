"""What one WhatsApp item says, as text a person can read: one reader for each type Meta names.

Words of our own stand in square brackets, so that nobody takes them for the customer's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.channels.providers.meta import explanation
from shared.channels.whatsapp.media import attachment
from shared.channels.whatsapp.people import identity_of
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.errors import Unreadable
from shared.events import Attachment, Identity, Kind

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """The readable side of an item. `automatic` means that nobody typed or did it to reach us."""

    text: str
    kind: Kind = "message"
    target: str = ""
    attachments: tuple[Attachment, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    moved: tuple[Identity, Identity] | None = None  # (their identity now, the former one)
    automatic: bool = False


def content_of(item: Item) -> Content:
    """What `item` says. Raises Unreadable, naming the field, when its type's own part is wrong.

    A type that is not known here becomes `unsupported`: the customer did write, so it must be seen.
    """
    reader = _READERS.get(text_at(item, "type"), _unsupported)
    return reader(item)


def _text(item: Item) -> Content:
    body = mapping_at(item, "text").get("body")
    if not isinstance(body, str):
        raise Unreadable("text.body is missing or is not a text")
    return Content(body.strip() or "[empty message]")


def _media(item: Item) -> Content:
    type = text_at(item, "type")
    file = attachment(type, mapping_at(item, type))
    caption = text_at(mapping_at(item, type), "caption")
    return Content(caption or f"[{_file_words(item, type)}]", attachments=(file,))


def _file_words(item: Item, type: str) -> str:
    part = mapping_at(item, type)
    if type == "audio" and part.get("voice") is True:
        return "voice message"
    return ": ".join(_filled(type, text_at(part, "filename")))


def _location(item: Item) -> Content:
    place = mapping_at(item, "location")
    point = f"{need(place, 'latitude', 'location.')}, {need(place, 'longitude', 'location.')}"
    named = _filled(text_at(place, "name"), text_at(place, "address"), point, text_at(place, "url"))
    return Content("[location] " + "\n".join(named))


def _contacts(item: Item) -> Content:
    cards = [card for card in list_at(item, "contacts") if isinstance(card, dict)]
    if not cards:
        raise Unreadable("contacts is missing or holds no contact")
    return Content("\n\n".join(f"[contact] {_card(card)}" for card in cards))


def _card(card: Item) -> str:
    name, org = mapping_at(card, "name"), mapping_at(card, "org")
    phones = (text_at(p, "phone") or text_at(p, "wa_id") for p in list_at(card, "phones"))
    emails = (text_at(e, "email") for e in list_at(card, "emails"))
    urls = (text_at(u, "url") for u in list_at(card, "urls"))
    who = text_at(name, "formatted_name") or text_at(name, "first_name")
    return "\n".join(_filled(who, text_at(org, "company"), *phones, *emails, *urls))


def _reaction(item: Item) -> Content:
    part = mapping_at(item, "reaction")
    emoji = text_at(part, "emoji")  # empty or absent takes an earlier reaction back
    return Content(
        emoji or "[reaction taken back]",
        kind="reaction",
        target=need(part, "message_id", "reaction."),
        attributes={"emoji": emoji},
    )


def _button(item: Item) -> Content:
    part = mapping_at(item, "button")
    payload = text_at(part, "payload")
    if not (text := text_at(part, "text") or payload):
        raise Unreadable("button.text is missing or is not a text")
    return Content(text, attributes={"payload": payload} if payload else {})


def _interactive(item: Item) -> Content:
    part = mapping_at(item, "interactive")
    type = text_at(part, "type")
    chosen = mapping_at(part, type)
    if type in ("button_reply", "list_reply"):
        title = need(chosen, "title", f"interactive.{type}.")
        text = "\n".join(_filled(title, text_at(chosen, "description")))
        return Content(text, attributes={"payload": text_at(chosen, "id")})
    if type == "nfm_reply":
        return _form(chosen)
    if type == "call_permission_reply":
        return _permission(chosen)
    if type in ("product", "product_list", "catalog_message"):
        return _product(type, part)
    # Meta sends `interactive` without its body too, with an error 131000 beside it.
    return _unsupported(item)


def _permission(reply: Item) -> Content:
    """Whether we may call them: a button they pressed, which waits for no answer."""
    response = text_at(reply, "response")
    words = {"accept": "allows us to call them", "reject": "does not want to be called"}
    return Content(
        f"[{words.get(response, 'answered whether we may call them')}]",
        kind="auto_reply",
        attributes={"call_permission": response},
        automatic=True,
    )


def _product(type: str, part: Item) -> Content:
    action = mapping_at(part, "action")
    named = (text_at(mapping_at(part, place), "text") for place in ("header", "body", "footer"))
    shown = {**mapping_at(part, type), **action}
    ids = (text_at(shown, name) for name in ("name", "title", "product_retailer_id"))
    return Content("\n".join(_filled(f"[{type.partition('_')[0]}]", *named, *ids)))


def _form(reply: Item) -> Content:
    try:
        answers = json.loads(text_at(reply, "response_json"))
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, dict):
        written = _filled(text_at(reply, "body"), text_at(reply, "response_json"))
        return Content("\n".join(written) or "[form sent]")
    shown = {name: answer for name, answer in answers.items() if name != "flow_token"}
    lines = (f"{name}: {_plain(answer)}" for name, answer in shown.items())
    return Content("\n".join(_filled("[form sent]", *lines)), attributes={"form": shown})


def _plain(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _order(item: Item) -> Content:
    part = mapping_at(item, "order")
    goods = [each for each in list_at(part, "product_items") if isinstance(each, dict)]
    if not goods:
        raise Unreadable("order.product_items is missing or empty")
    lines = (
        f"{text_at(each, 'quantity') or '1'} × {text_at(each, 'product_retailer_id')} "
        f"at {text_at(each, 'item_price')} {text_at(each, 'currency')}".rstrip()
        for each in goods
    )
    return Content("\n".join(_filled("[order]", text_at(part, "text"), *lines)))


def _system(item: Item) -> Content:
    part = mapping_at(item, "system")
    type = need(part, "type", "system.")
    old = identity_of(text_at(item, "from") or text_at(part, "previous_user_id"))
    new = identity_of(text_at(part, "wa_id") or text_at(part, "user_id"))
    return Content(
        f"[{text_at(part, 'body') or type}]",
        kind="auto_reply",  # WhatsApp itself wrote it: it waits for no answer
        attributes={"system": type},
        moved=(new, old) if old and new and old != new else None,
        automatic=True,
    )


def _welcome(item: Item) -> Content:
    return Content("[opened the chat]", kind="auto_reply", automatic=True)


def _edit(item: Item) -> Content:
    part = mapping_at(item, "edit")
    changed = mapping_at(part, "message")
    if text_at(changed, "type") in ("", "edit", "revoke"):
        raise Unreadable("edit.message is missing or is not a message")
    target = need(part, "original_message_id", "edit.")
    return replace(content_of(changed), kind="edit", target=target)


def _revoke(item: Item) -> Content:
    target = need(mapping_at(item, "revoke"), "original_message_id", "revoke.")
    return Content("[message deleted]", kind="revoke", target=target)


def _unsupported(item: Item) -> Content:
    type = text_at(item, "type")
    what = text_at(mapping_at(item, type), "type") or type
    why = next((explanation(each) for each in list_at(item, "errors")), "")
    written = text_at(mapping_at(item, "text"), "body")
    label = "[" + ": ".join(_filled(f"cannot be shown here ({what or 'no type'})", why)) + "]"
    return Content("\n".join(_filled(written, label)), kind="unsupported")


def _filled(*texts: str) -> Iterable[str]:
    return [text for text in texts if text]


_READERS: Final[Mapping[str, Callable[[Item], Content]]] = {
    "text": _text,
    "image": _media,
    "video": _media,
    "audio": _media,
    "voice": _media,
    "document": _media,
    "sticker": _media,
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "button": _button,
    "interactive": _interactive,
    "order": _order,
    "system": _system,
    "request_welcome": _welcome,
    "edit": _edit,
    "revoke": _revoke,
}
