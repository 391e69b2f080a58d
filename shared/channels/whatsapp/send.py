"""The sending side of WhatsApp: text inside the reply window, approved templates at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import Outgoing, Receipt
from shared.channels.whatsapp.failures import failure
from shared.channels.wire import clean, list_at, mapping_at, text_at
from shared.errors import SendError

_BOUND: Final = 15.0  # seconds for the whole call
_TIMES: Final = httpx.Timeout(_BOUND, connect=5.0, pool=5.0)
_LONGEST_TEXT: Final = 4096  # characters (Meta, "Text messages")
_GRAPH: Final = "https://graph.facebook.com"
_VERSION: Final = "v23.0"


class MetaOutbound:
    """WhatsApp messages through Meta's Cloud API.

    Account settings: `phone_number_id`, `access_token` (secret), `api_base`, `graph_version` and
    `templates: {name: {name, language}}`. A template's body parameters are
    `Outgoing.attributes["parameters"]`, a list of texts in the template's order; without it the
    message's own text, where there is one, is the only parameter.
    """

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once the request may have been read."""
        content = body(message, account)
        response = await _post(_address(account), content, _token(account), http)
        if not response.is_success:
            raise failure(response)
        return _receipt(response)


def body(message: Outgoing, account: Account) -> dict[str, Any]:
    """The JSON Meta is sent. Raises SendError for what it would refuse anyway, saying why."""
    if message.attachments:
        raise SendError("rejected", "Regie sends no files by WhatsApp: send the text, with a link")
    content: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_recipient(message),
        # Comes back in every status of this message: no lookup is needed to match them.
        "biz_opaque_callback_data": str(message.id),
    }
    if answered := _answered(message):
        content["context"] = {"message_id": answered}
    content |= _template(message, account) if message.template else _text(message)
    return dict(clean(content))


def _text(message: Outgoing) -> dict[str, Any]:
    if not message.text.strip():
        raise SendError("rejected", "there is no text to send")
    if (length := len(message.text)) > _LONGEST_TEXT:
        raise SendError(
            "rejected",
            f"the text has {length} characters and WhatsApp takes {_LONGEST_TEXT}: shorten it",
        )
    return {"type": "text", "text": {"body": message.text}}


def _template(message: Outgoing, account: Account) -> dict[str, Any]:
    chosen = mapping_at(mapping_at(dict(account.settings), "templates"), message.template)
    name, language = text_at(chosen, "name"), text_at(chosen, "language")
    if not (name and language):
        raise SendError(
            "rejected",
            f"account {account.name} has no template {message.template!r}: add it under "
            "`templates` in the channels file, with its name and language at Meta",
        )
    template: dict[str, Any] = {"name": name, "language": {"code": language}}
    if parameters := _parameters(message):
        template["components"] = [{"type": "body", "parameters": parameters}]
    return {"type": "template", "template": template}


def _parameters(message: Outgoing) -> list[dict[str, str]]:
    given = message.attributes.get("parameters")
    if given is None:
        given = (message.text,) if message.text.strip() else ()
    texts = given if isinstance(given, list | tuple) else (given,)
    # Meta refuses line breaks, tabs and runs of blanks in a parameter.
    return [{"type": "text", "text": " ".join(str(text).split())} for text in texts]


def _recipient(message: Outgoing) -> dict[str, str]:
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
    # After a switch from e-mail the nearest reference may be a mail's Message-ID.
    return next((each for each in message.references if not each.startswith("<")), "")


def _address(account: Account) -> str:
    settings = dict(account.settings)
    base = (text_at(settings, "api_base") or _GRAPH).rstrip("/")
    version = text_at(settings, "graph_version") or _VERSION
    number = text_at(settings, "phone_number_id")
    if not number:
        raise SendError("rejected", f"account {account.name} has no phone_number_id")
    return f"{base}/{version}/{number}/messages"


def _token(account: Account) -> str:
    if not (tokens := account.secrets("access_token")):
        raise SendError("token", f"account {account.name} has no access_token: it cannot send")
    return tokens[0]


async def _post(
    address: str, content: Mapping[str, Any], token: str, http: httpx.AsyncClient
) -> httpx.Response:
    headers = {b"authorization": f"Bearer {token}".encode()}
    try:
        async with asyncio.timeout(_BOUND):
            return await http.post(address, json=content, headers=headers, timeout=_TIMES)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
        reason = f"{type(error).__name__}: no connection to {httpx.URL(address).host}"
        raise SendError("connection", reason, again=True) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise SendError("rejected", f"{address} cannot be called: {error}") from error
    except (httpx.HTTPError, TimeoutError) as error:
        # The request was on its way: whether the customer has it is not known.
        reason = f"{type(error).__name__}: no answer after the message was sent"
        raise SendError("timeout", reason, doubtful=True) from error


def _receipt(response: httpx.Response) -> Receipt:
    try:
        sent = list_at(response.json(), "messages")
    except (ValueError, RecursionError):
        sent = []
    if not (wamid := text_at(next(iter(sent), None), "id")):
        raise SendError("unconfirmed", "Meta said yes without a message id", doubtful=True)
    return Receipt(provider_id=wamid)
