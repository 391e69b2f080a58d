"""The sending side of Messenger and Instagram: Meta's Send API.

Sources: developers.facebook.com, "Send API reference", "Message tags" (HUMAN_AGENT), "Attachment
upload" and "Common error codes" (Graph API v23.0, editions of 2026).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import File, Outgoing, Receipt
from shared.channels.posting import post
from shared.channels.providers import meta_graph
from shared.channels.providers.meta_place import DAY, WEEK
from shared.channels.wire import clean, clean_text, text_at
from shared.errors import SendError

_MB: Final = 1024 * 1024
_SECONDS: Final = 10.0  # for all uploads of a message: nothing is with the customer before
_MARGIN: Final = timedelta(minutes=5)  # our clock is not Meta's, and a message is on its way
_ANSWER: Final = {"messaging_type": "RESPONSE"}
_PERSON: Final = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
_SCHEMES: Final = {"messenger": "psid", "instagram": "igsid"}

CODES: Final = meta_graph.Codes(
    {
        "throttled": (4, 17, 32, 613, 80001, 80002, 80006),
        # expired, withdrawn, or without the permission to send for this page
        "token": (0, 3, 10, 102, 190, *range(200, 300)),
        "rejected": (100, 368, 2022),
        # gone, has blocked us, or takes no messages
        "invalid_recipient": (551, 10903, 2534014),
        "temporary": (1, 2, 1200),
    },
    subcodes={
        # 24 hours (or 7 days) have passed since the customer's last message
        "window_closed": (2018278, 2018065, 2534022),
        # HUMAN_AGENT is not granted; a file is too large, or cannot be used
        "rejected": (2018276, 2018109, 2018047, 2018007),
        "invalid_recipient": (1545041, 2018001, 2534014, 2018108),
        "throttled": (2018022, 2446079),
        "token": (2018021, 2018027, 2018028, 463, 467, 460, 458),
        "temporary": (2018012, 2018091, 1545012),
    },
    hints={
        2018276: "Meta has to grant HUMAN_AGENT in App Review; until then take `human_agent` out "
        "of the channels file",
    },
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may hold.

    text     the longest, in `unit`: characters or bytes
    largest  bytes of a file, by what it is sent as
    types    content types it takes; none: any
    """

    text: int
    unit: str
    largest: Mapping[str, int]
    types: Sequence[str] = ()


def _now() -> datetime:
    return datetime.now(UTC)


class DirectOutbound:
    """Messages to one who wrote first, within the reply window.

    Account settings: `page_id` or `account_id`, `access_token` (secret), `human_agent`, `api_base`,
    `graph_version`. Without a free window a person's reply goes out under the tag HUMAN_AGENT,
    where `human_agent` says that Meta granted it; an automatic message never does.

    now  tells which of the two it is
    """

    def __init__(self, limits: Limits, now: Callable[[], datetime] = _now) -> None:
        self.limits = limits
        self._now = now

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once the request may have been read. A text goes first, and
        each file after it; the receipt names the last."""
        _check(message, account, self.limits)
        envelope = _recipient(message, account) | _tag(message, account, self._now())
        uploads = await _placed(message.files, account, http)
        said = [{"text": clean_text(message.text)}] if message.text.strip() else []
        bodies = _marked(message, account, envelope, [*said, *uploads])
        address = meta_graph.address(account, _node(account), "messages")
        posts = [partial(_post, http, address, body, account) for body in bodies]
        return Receipt(provider_id=await meta_graph.in_order(posts))


def _check(message: Outgoing, account: Account, limits: Limits) -> None:
    """Raises SendError for what Meta would refuse anyway, saying why."""
    where = account.channel.capitalize()
    meta_graph.authorization(account)
    if message.template:
        raise SendError(
            "rejected",
            f"{where} has no templates: write within the reply window, or offer a switch",
        )
    if message.attachments and not message.files:
        raise SendError(
            "rejected", "no files came with the attachments: send the text, with a link"
        )
    if not (message.text.strip() or message.files):
        raise SendError("rejected", "there is no text to send")
    text = clean_text(message.text)
    length = len(text.encode() if limits.unit == "bytes" else text)
    if length > limits.text:
        raise SendError(
            "rejected",
            f"the text has {length} {limits.unit} and {where} takes {limits.text}: shorten it, or "
            "send it in two replies",
        )
    for file in message.files:
        _check_file(file, where, limits)


def _check_file(file: File, where: str, limits: Limits) -> None:
    type, kind = _type(file), _kind(file)
    if limits.types and type not in limits.types:
        raise SendError(
            "rejected",
            f"{where} takes no {type or 'file without a type'} ({file.name}): send a PDF or a "
            "picture, or a link",
        )
    if len(file.content) > limits.largest[kind]:
        raise SendError(
            "rejected",
            f"{file.name} has {len(file.content) / _MB:.1f} MB and {where} takes "
            f"{limits.largest[kind] // _MB} MB of {kind}: send a smaller one, or a link",
        )


def _recipient(message: Outgoing, account: Account) -> dict[str, Any]:
    if message.recipient.scheme != _SCHEMES[account.channel]:
        raise SendError(
            "invalid_recipient",
            f"{account.channel.capitalize()} reaches who wrote there, not "
            f"{message.recipient.scheme!r}",
        )
    return {"recipient": {"id": message.recipient.value}}


def _tag(message: Outgoing, account: Account, now: datetime) -> dict[str, str]:
    """As what Meta is to take it: an answer, or a person's within the week."""
    closes = message.reply_window_closes_at
    if closes is None:
        return _ANSWER
    if now >= closes:
        raise SendError("window_closed", f"the reply window closed at {closes:%Y-%m-%d %H:%M} UTC")
    free = closes - (WEEK - DAY) if account.settings.get("human_agent") else closes
    if not message.automatic and now >= free - _MARGIN and free < closes:
        return _PERSON
    if now >= free:
        raise SendError(
            "window_closed",
            "more than 24 hours since the customer's last message: only a person may still answer",
        )
    return _ANSWER


def _marked(
    message: Outgoing, account: Account, envelope: Mapping[str, Any], contents: Sequence[Any]
) -> list[dict[str, Any]]:
    # Messenger gives `metadata` back with the echo, so that we know our own; of several parts the
    # last one's is our id alone. Instagram knows no such field.
    last, bodies = len(contents), []
    for number, content in enumerate(contents, 1):
        mark = str(message.id) if number == last else f"{message.id}/{number}"
        known = {"metadata": mark} if account.channel == "messenger" else {}
        bodies.append(dict(clean({**envelope, "message": {**content, **known}})))
    return bodies


# --- files -----------------------------------------------------------------------------------


async def _placed(
    files: Sequence[File], account: Account, http: httpx.AsyncClient
) -> list[dict[str, Any]]:
    try:
        async with asyncio.timeout(_SECONDS):
            return [await _place(file, account, http) for file in files]
    except TimeoutError as error:
        reason = f"the files did not reach Meta within {_SECONDS:g} s"
        raise SendError("timeout", reason, again=True) from error


async def _place(file: File, account: Account, http: httpx.AsyncClient) -> dict[str, Any]:
    kind = _kind(file)
    attachment = {"attachment": {"type": kind, "payload": {"is_reusable": True}}}
    form = {"message": json.dumps(attachment)}
    if account.channel == "instagram":
        form["platform"] = "instagram"
    response = await post(
        http,
        meta_graph.address(account, _node(account), "message_attachments"),
        headers=meta_graph.authorization(account),
        form=form,
        files={"filedata": (clean_text(file.name) or "file", file.content, _type(file))},
        repeatable=True,  # an upload reaches nobody
    )
    if not response.is_success:
        raise meta_graph.failure(response, CODES)
    id = meta_graph.id_in(response, "attachment_id")
    return {"attachment": {"type": kind, "payload": {"attachment_id": id}}}


def _type(file: File) -> str:
    return file.content_type.partition(";")[0].strip().lower() or "application/octet-stream"


def _kind(file: File) -> str:
    main = _type(file).partition("/")[0]
    return main if main in ("image", "video", "audio") else "file"


# --- the call --------------------------------------------------------------------------------


def _node(account: Account) -> str:
    # Of Instagram's two ways in, one knows the page and the other the profile; both know `me`.
    return text_at(dict(account.settings), "page_id") or "me"


async def _post(
    http: httpx.AsyncClient, address: str, body: Mapping[str, Any], account: Account
) -> str:
    response = await post(http, address, json=body, headers=meta_graph.authorization(account))
    if not response.is_success:
        raise meta_graph.failure(response, CODES)
    try:
        mid = text_at(response.json(), "message_id")
    except (ValueError, RecursionError):
        mid = ""
    if not mid:
        raise SendError("unconfirmed", "Meta said yes without a message id", doubtful=True)
    return mid
