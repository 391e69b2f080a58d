"""The sending side of Teams: into the conversation it answers, or into a new one with a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx

from shared.accounts import Account
from shared.channels import File, Outgoing, Receipt
from shared.channels.posting import post
from shared.channels.teams.calls import Tokens, answer_of, failure
from shared.channels.teams.hosts import DEFAULT, may_have_our_token
from shared.channels.teams.items import SEPARATOR
from shared.channels.wire import clean, text_at
from shared.errors import SendError

# Teams takes 100 kB in all, in UTF-16 ("Limits and specifications for Teams", October 2024).
_LONGEST: Final = 28_000  # characters


class TeamsOutbound:
    """Activities by `POST {serviceUrl}/v3/conversations/{id}/activities`.

    Account settings: `app_id`, `app_password`, `tenant_id`, `service_url` (for conversations that
    we open) and `api_base`. Teams has no idempotency key: a silence is a doubt.
    """

    def __init__(self) -> None:
        self._tokens = Tokens()

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError."""
        activity = _activity(message)
        service, conversation = _conversation(message.references)
        if not service:
            service = str(account.settings.get("service_url", "") or _default(account)).rstrip("/")
        if not may_have_our_token(service, account):
            raise SendError("rejected", f"{service[:100]} is no service of Microsoft's: not called")
        if not conversation:
            conversation = await self._open(service, message, account, http)
        url = f"{service}/v3/conversations/{quote(conversation, safe='')}/activities"
        answer = await self._post(url, activity, account, http)
        return _receipt(conversation, answer)

    async def _open(
        self, service: str, message: Outgoing, account: Account, http: httpx.AsyncClient
    ) -> str:
        """A conversation with them alone; the one there is, where there is one. Opening it twice
        does no harm."""
        content = {
            "bot": {"id": f"28:{account.settings.get('app_id')}"},
            "isGroup": False,
            "members": [{"id": message.recipient.value}],
            "tenantId": account.settings.get("tenant_id", ""),
            "channelData": {"tenant": {"id": account.settings.get("tenant_id", "")}},
        }
        url = f"{service}/v3/conversations"
        answer = await self._post(url, content, account, http, repeatable=True)
        if id := text_at(answer_of(answer), "id"):
            return id
        raise SendError("rejected", "Teams opened a conversation and gave no id for it")

    async def _post(
        self, url: str, content: Any, account: Account, http: httpx.AsyncClient, *,
        repeatable: bool = False,
    ) -> httpx.Response:  # fmt: skip
        headers = await self._tokens.header(account, http)
        answer = await post(http, url, headers=headers, json=content, repeatable=repeatable)
        if answer.is_success:
            return answer
        if answer.status_code == 401:
            self._tokens.forget(account)
        error = failure(answer)
        if repeatable and error.doubtful:
            raise SendError(error.code, error.reason, again=True)
        raise error


def _activity(message: Outgoing) -> dict[str, Any]:
    """What Teams is sent, or a SendError for what it would refuse anyway."""
    if message.recipient.scheme != "teams":
        raise SendError("invalid_recipient", "Teams reaches a user id of Teams, nobody else")
    if not message.text.strip() and not message.files:
        raise SendError("rejected", "there is no text to send")
    if (length := len(message.text)) > _LONGEST:
        raise SendError(
            "rejected", f"the text has {length} characters and Teams takes {_LONGEST}: shorten it"
        )
    # `plain`: what an agent typed is shown as typed, and its signs are no markup.
    activity = {"type": "message", "textFormat": "plain", "text": _with_links(message)}
    pictures = [_shown(file) for file in message.files if _is_picture(file)]
    return dict(clean(activity | ({"attachments": pictures} if pictures else {})))


def _with_links(message: Outgoing) -> str:
    """A bot may put pictures into a chat; of other files it can only say where they are."""
    for file in message.files:
        if not file.url:
            raise SendError(
                "rejected",
                "Teams fetches files from an address of ours: set REGIE_PUBLIC_URL, or leave the "
                "file out",
            )
    links = [f"{file.name}: {file.url}" for file in message.files if not _is_picture(file)]
    return "\n".join(filter(None, (message.text, *links)))


def _is_picture(file: File) -> bool:
    return file.content_type in ("image/png", "image/jpeg", "image/gif")


def _shown(file: File) -> dict[str, str]:
    return {"contentType": file.content_type, "contentUrl": file.url, "name": file.name}


def _conversation(references: Sequence[str]) -> tuple[str, str]:
    """The service and the conversation of what is answered; empty after a switch of channel."""
    for each in references:
        service, separator, conversation = each.partition(SEPARATOR)
        if separator and service.startswith(("https://", "http://")):
            return service, conversation
    return "", ""


def _default(account: Account) -> str:
    return str(account.settings.get("api_base", "") or DEFAULT)


def _receipt(conversation: str, response: httpx.Response) -> Receipt:
    if id := text_at(answer_of(response), "id"):
        return Receipt(provider_id=f"{conversation}#{id}")
    raise SendError("unconfirmed", "Teams said yes without an id", doubtful=True)
