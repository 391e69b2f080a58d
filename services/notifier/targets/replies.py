"""Replies to customers: by the account they name, through its channel's own adapter."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import msgspec

from services.notifier.answers import Answer
from services.notifier.models import Delivery
from services.notifier.targets.files import Files
from shared.accounts import Account
from shared.channels import File, Outbound, Outgoing
from shared.channels.table import provider_of
from shared.errors import Misconfigured, SendError
from shared.events import ReplyRequested
from shared.runtime import Runtime


class Replies:
    """`http` is for those adapters that speak it."""

    def __init__(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        self._accounts = runtime.accounts
        self._files = Files(runtime)
        self._http = http

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""
        reply = reply_in(delivery)
        account = self._accounts.get(reply.account)
        if account is None:
            raise SendError(
                "no_account",
                f"there is no account {reply.account!r} to send from: add it to the channels "
                "file, or name another in the policy's reply_from",
            )
        outbound = _outbound(account)
        files = await self._files.of(reply)
        receipt = await outbound.send(_outgoing(delivery, reply, files), account, self._http)
        return Answer(provider_id=receipt.provider_id)


def reply_in(delivery: Delivery) -> ReplyRequested:
    """The event a reply's payload is."""
    return msgspec.convert(delivery.payload, ReplyRequested)


def _outbound(account: Account) -> Outbound:
    try:
        outbound = provider_of(account).outbound
    except Misconfigured as error:
        raise SendError("no_outbound", str(error)) from error
    if outbound is None:
        raise SendError(
            "no_outbound",
            f"account {account.name} ({account.channel}, {account.provider}) only receives: name "
            f"one that sends in the policy's reply_from for {account.channel}",
        )
    return outbound


def _outgoing(delivery: Delivery, reply: ReplyRequested, files: Sequence[File]) -> Outgoing:
    # What we write by ourselves has a template with one parameter: our text, in one line as
    # templates want it.
    ours = reply.secret or reply.purpose == "survey"
    fills = {"parameters": [" ".join(reply.text.split())]} if ours else {}
    return Outgoing(
        id=reply.message_id,
        case_id=delivery.case_id,
        recipient=reply.recipient,
        text=reply.text,
        subject=reply.subject,
        references=reply.references,
        template=reply.template,
        attachments=[
            msgspec.structs.replace(each, url=file.url)
            for each, file in zip(reply.attachments, files, strict=True)
        ],
        files=files,
        automatic=not reply.human,
        reply_window_closes_at=reply.reply_window_closes_at,
        attributes=fills if reply.template else {},
    )
