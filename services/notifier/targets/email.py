"""Notices by mail: through a mail account of ours that sends, marked as written by a machine.

The Message-ID is the delivery's own, so that a mail sent again after a doubt is the same mail: most
servers show it once. A colleague who gets a reminder twice is better off than one who gets none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import httpx

from services.notifier.answers import Answer
from services.notifier.models import Delivery
from services.notifier.wording import Words
from shared.accounts import Account, Accounts
from shared.channels import Outgoing
from shared.channels.table import can_send, provider_of
from shared.errors import SendError
from shared.events import Identity


class Email:
    """`http` is for the accounts that send by their provider's API."""

    def __init__(self, accounts: Accounts, http: httpx.AsyncClient, words: Words) -> None:
        self._accounts = accounts
        self._http = http
        self._words = words
        self._own = {address for account in accounts for address in account.own_addresses()}

    async def send(self, delivery: Delivery) -> Answer:
        """Raises SendError."""
        put, address = self._words.of(delivery), delivery.address
        if ("email", address.lower()) in self._own:
            raise SendError(
                "own_address",
                "this is an account of ours: its notices would come back as messages; name a "
                "mailbox that people read",
            )
        account = self._account(delivery)
        outbound = provider_of(account).outbound
        assert outbound is not None, "can_send says that there is one"
        mail = Outgoing(
            id=delivery.id,
            case_id=delivery.case_id,
            recipient=Identity(scheme="email", value=address),
            text=f"{put.text}\n\n-- \n{put.footer}\n",
            subject=put.subject,
            automatic=True,
            notice=True,
        )
        receipt = await outbound.send(mail, account, self._http)
        return Answer(provider_id=receipt.provider_id)

    def _account(self, delivery: Delivery) -> Account:
        able = mailers(self._accounts)
        found = self._accounts.get(sender_of(delivery, able))
        if found is not None:
            return found
        if not able:
            raise SendError(
                "no_mail_account",
                "no mail account can send: give one an `outbound` in the channels file",
            )
        raise SendError(
            "no_mail_account",
            f"several mail accounts can send ({', '.join(able)}): name one in the policy's "
            "notify_from",
        )


def mailers(accounts: Iterable[Account]) -> list[str]:
    """The mail accounts that can send, by name."""
    return [each.name for each in accounts if each.channel == "email" and can_send(each)]


def sender_of(delivery: Delivery, able: Collection[str]) -> str:
    """By which of these accounts a notice leaves: the one the policy names, while it can send;
    else the only one that can; empty for neither."""
    named = str((delivery.payload.get("manner") or {}).get("sender") or "")
    if named in able:
        return named
    return next(iter(able)) if len(able) == 1 else ""
