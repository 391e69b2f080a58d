"""The sending side of WhatsApp: text and files inside the reply window, approved templates at any
time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import File, Outgoing, Receipt
from shared.channels.posting import post
from shared.channels.providers import meta_graph
from shared.channels.whatsapp import files
from shared.channels.whatsapp.failures import CODES
from shared.channels.wire import clean, list_at, mapping_at, text_at
from shared.errors import SendError

_LONGEST_TEXT: Final = 4096  # characters (Meta, "Text messages")
_WAMID: Final = re.compile(r"wamid\.\S+")

Content = dict[str, Any]


class MetaOutbound:
    """WhatsApp messages through Meta's Cloud API.

    Account settings: `phone_number_id`, `access_token` (secret), `api_base`, `graph_version` and
    `templates: {name: {name, language}}`. A template's body parameters are
    `Outgoing.attributes["parameters"]`, a list of texts in the template's order; without it the
    message's own text, where there is one, is the only parameter. `attributes["header"]` is the
    text of its header, the first file its picture, film or document; `attributes["buttons"]` a list
    of texts, the changing end of each button's address in turn.
    """

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once the request may have been read.

        A text that fits under its file goes there; else it goes first, and each file after it. The
        receipt names the last.
        """
        address = _address(account)
        kinds = checked(message, account)
        placed = await files.placed(tuple(message.files), account, http)
        bodies = parts(message, account, list(zip(kinds, message.files, placed, strict=True)))
        posts = [partial(_post, http, address, body, account) for body in bodies]
        return Receipt(provider_id=await meta_graph.in_order(posts))


Placed = tuple[str, File, Content]


def checked(message: Outgoing, account: Account) -> Sequence[str]:
    """The kind of each file. Raises SendError for what Meta would refuse anyway, saying why."""
    meta_graph.authorization(account)
    _recipient(message)
    if message.attachments and not message.files:
        raise SendError(
            "rejected", "no files came with the attachments: send the text, with a link"
        )
    if (length := len(message.text)) > _LONGEST_TEXT:
        raise SendError(
            "rejected",
            f"the text has {length} characters and WhatsApp takes {_LONGEST_TEXT}: shorten it",
        )
    if message.template:
        _named_template(message, account)
        if len(message.files) > 1:
            raise SendError("rejected", "a template takes one file, in its header: send fewer")
    elif not (message.text.strip() or message.files):
        raise SendError("rejected", "there is no text to send")
    return [files.kind_of(file) for file in message.files]


def parts(message: Outgoing, account: Account, placed: Sequence[Placed]) -> list[Content]:
    """What Meta is posted, in order."""
    if message.template:
        contents = [_template(message, account, placed)]
    else:
        contents = _contents(message, placed)
    last = len(contents)
    return [_whole(message, content, number, last) for number, content in enumerate(contents, 1)]


def _contents(message: Outgoing, placed: Sequence[Placed]) -> list[Content]:
    text = message.text if message.text.strip() else ""
    captioned = (
        len(placed) == 1 and placed[0][0] in files.CAPTIONED and len(text) <= files.LONGEST_CAPTION
    )
    caption = {"caption": text} if text and captioned else {}
    said = [{"type": "text", "text": {"body": text}}] if text and not captioned else []
    return said + [
        {"type": kind, kind: where | _named(kind, file) | caption} for kind, file, where in placed
    ]


def _named(kind: str, file: File) -> Content:
    return {"filename": file.name} if kind == "document" and file.name else {}


def _whole(message: Outgoing, content: Content, number: int, last: int) -> Content:
    # Our id comes back in every status of the message: no lookup is needed to match them. Of
    # several parts only the last one's tell of the whole (`items.status`).
    mark = str(message.id) if number == last else f"{message.id}/{number}"
    whole: Content = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_recipient(message),
        "biz_opaque_callback_data": mark,
    }
    if number == 1 and (answered := _answered(message)):
        whole["context"] = {"message_id": answered}
    return dict(clean(whole | content))


def _named_template(message: Outgoing, account: Account) -> tuple[str, str]:
    chosen = mapping_at(mapping_at(dict(account.settings), "templates"), message.template)
    name, language = text_at(chosen, "name"), text_at(chosen, "language")
    if not (name and language):
        raise SendError(
            "rejected",
            f"account {account.name} has no template {message.template!r}: add it under "
            "`templates` in the channels file, with its name and language at Meta",
        )
    return name, language


def _template(message: Outgoing, account: Account, placed: Sequence[Placed]) -> Content:
    name, language = _named_template(message, account)
    template: Content = {"name": name, "language": {"code": language}}
    if components := [*_header(message, placed), *_body(message), *_buttons(message)]:
        template["components"] = components
    return {"type": "template", "template": template}


def _header(message: Outgoing, placed: Sequence[Placed]) -> list[Content]:
    for kind, file, where in placed:
        media = {"type": kind, kind: where | _named(kind, file)}
        return [{"type": "header", "parameters": [media]}]
    header = message.attributes.get("header")
    return [{"type": "header", "parameters": _texts([header])}] if header else []


def _body(message: Outgoing) -> list[Content]:
    given = message.attributes.get("parameters")
    if given is None:
        given = (message.text,) if message.text.strip() else ()
    texts = _texts(given if isinstance(given, list | tuple) else (given,))
    return [{"type": "body", "parameters": texts}] if texts else []


def _buttons(message: Outgoing) -> list[Content]:
    given = message.attributes.get("buttons")
    texts = _texts(given if isinstance(given, list | tuple) else ())
    return [
        {"type": "button", "sub_type": "url", "index": str(index), "parameters": [text]}
        for index, text in enumerate(texts)
    ]


def _texts(given: Sequence[Any]) -> list[dict[str, str]]:
    # Meta refuses line breaks, tabs and runs of blanks in a parameter.
    return [{"type": "text", "text": " ".join(str(text).split())} for text in given]


def _recipient(message: Outgoing) -> Mapping[str, str]:
    match message.recipient.scheme:
        case "e164":
            return {"to": message.recipient.value.lstrip("+")}
        case "bsuid":
            return {"recipient": message.recipient.value}
        case other:
            raise SendError(
                "invalid_recipient", f"WhatsApp reaches a number or a user id, not {other!r}"
            )


def _answered(message: Outgoing) -> str:
    # After a switch the nearest reference may be a mail's Message-ID; one of a call is no message.
    return next((each for each in message.references if _WAMID.fullmatch(each)), "")


def _address(account: Account) -> str:
    number = text_at(dict(account.settings), "phone_number_id")
    if not number:
        raise SendError("rejected", f"account {account.name} has no phone_number_id")
    return meta_graph.address(account, number, "messages")


async def _post(http: httpx.AsyncClient, address: str, body: Content, account: Account) -> str:
    response = await post(http, address, json=body, headers=meta_graph.authorization(account))
    if not response.is_success:
        raise meta_graph.failure(response, CODES)
    try:
        sent = list_at(response.json(), "messages")
    except (ValueError, RecursionError):
        sent = []
    if not (wamid := text_at(next(iter(sent), None), "id")):
        raise SendError("unconfirmed", "Meta said yes without a message id", doubtful=True)
    return wamid
