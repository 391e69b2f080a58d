"""The second half of a door, for what an operator replays: verified then, parsed now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from services.ingest.errands import Errands
from services.ingest.intake import Intake
from services.ingest.webhooks import taken_apart
from shared.accounts import Account, Accounts
from shared.channels import Parsed, WebhookRequest
from shared.channels.email import message_from_mime
from shared.channels.email.addresses import own_address
from shared.channels.table import provider_of
from shared.errors import NotFound
from shared.runtime import Runtime


class _Mail:
    """What our own mail server took in: the mail itself, without an envelope any more."""

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        address = own_address(account)
        return message_from_mime(request.body, account, None, [address], request.received_at)


@dataclass(frozen=True)
class Rereading:
    """See `shared.ops.Reader`."""

    accounts: Accounts
    intake: Intake
    errands: Errands

    @classmethod
    def of(cls, runtime: Runtime) -> Self:
        intake = Intake(runtime.broker, runtime.blobs, runtime.now)
        return cls(runtime.accounts, intake, Errands.of(runtime))

    async def parse(self, account: str, request: WebhookRequest) -> Parsed:
        found = self.accounts.get(account)
        if found is None:
            raise NotFound(f"account {account} is not in the channels file any more: add it again")
        inbound = provider_of(found).inbound or _Mail()
        whole = await self.errands.whole(request, found)
        parsed = await taken_apart(inbound, whole, found, self.accounts)
        return await self.errands.called(parsed, request)

    async def accept(self, parsed: Parsed, account: str) -> None:
        await self.intake.accept(parsed, account, replayed_at=self.intake.now())
