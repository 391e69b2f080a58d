"""The sending side of X: a direct message to one person, with one picture at most."""

from __future__ import annotations

from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import File, Outgoing, Receipt
from shared.channels.posting import post
from shared.channels.wire import clean, mapping_at, text_at
from shared.channels.x.calls import address, answer_of, failure
from shared.channels.x.oauth import authorization
from shared.errors import SendError

_LONGEST: Final = 10_000  # characters (docs.x.com, "Direct messages")
_PICTURES: Final = {
    "image/jpeg": ("dm_image", 5_000_000),
    "image/png": ("dm_image", 5_000_000),
    "image/webp": ("dm_image", 5_000_000),
    "image/gif": ("dm_gif", 15_000_000),
}


class XOutbound:
    """Direct messages by `POST /2/dm_conversations/with/:participant_id/messages`.

    X has no idempotency key: a silence is a doubt. Account settings: `user_id`, `access_token` and,
    for OAuth 1.0a, `consumer_key` and `access_token_secret`; `api_base`.
    """

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError."""
        content = _content(message)
        if message.files:
            media = await _upload(message.files[0], account, http)
            content["attachments"] = [{"media_id": media}]
        who = message.recipient.value
        url = address(account, f"/2/dm_conversations/with/{who}/messages")
        response = await post(http, url, headers=authorization(account, "POST", url), json=content)
        if not response.is_success:
            raise failure(response)
        id = text_at(mapping_at(answer_of(response), "data"), "dm_event_id")
        if not id:
            raise SendError("unconfirmed", "X said yes without a dm_event_id", doubtful=True)
        return Receipt(provider_id=id)


def _content(message: Outgoing) -> dict[str, Any]:
    """What X is sent, or a SendError for what it would refuse anyway."""
    if message.recipient.scheme != "x" or not message.recipient.value.isdigit():
        raise SendError("invalid_recipient", "X reaches a user id of X, nobody else")
    if not message.text.strip() and not message.files:
        raise SendError("rejected", "there is no text to send")
    if (length := len(message.text)) > _LONGEST:
        raise SendError(
            "rejected", f"the text has {length} characters and X takes {_LONGEST}: shorten it"
        )
    if len(message.files) > 1:
        raise SendError("rejected", "X takes one picture a message: send the others one by one")
    for file in message.files:
        _fits(file)
    return dict(clean({"text": message.text} if message.text.strip() else {}))


def _fits(file: File) -> None:
    if file.content_type not in _PICTURES:
        raise SendError(
            "rejected", f"Regie sends pictures by X, not {file.content_type}: send a link instead"
        )
    if len(file.content) > (most := _PICTURES[file.content_type][1]):
        raise SendError(
            "rejected", f"{file.name} is larger than the {most // 1_000_000} MB that X takes"
        )


async def _upload(file: File, account: Account, http: httpx.AsyncClient) -> str:
    """The id of an uploaded picture. Nothing was sent to anybody yet, so a silence is no doubt."""
    url = address(account, "/2/media/upload")
    response = await post(
        http,
        url,
        headers=authorization(account, "POST", url),
        form={"media_category": _PICTURES[file.content_type][0]},
        files={"media": (file.name, file.content, file.content_type)},
        repeatable=True,
    )
    if response.status_code >= 500:
        raise SendError("temporary", f"HTTP {response.status_code} at the upload", again=True)
    if not response.is_success:
        raise failure(response)
    if id := text_at(mapping_at(answer_of(response), "data"), "id"):
        return id
    raise SendError("rejected", "X took the picture and gave no id for it")
