"""How an offer to switch channels is made ready: a fresh code, and where the customer finds us.

The one place where randomness comes in (`Offers`); what is decided with it is pure (`handing`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from services.router.case import Case
from services.router.commands import OfferHandoff, Way
from shared import codes
from shared.accounts import Account, Accounts
from shared.channels.table import can_send
from shared.events import Channel, SwitchSuggested
from shared.ids import new_id

# Channels whose customers are known by the same address.
_BY_NUMBER = frozenset(("phone", "sms", "whatsapp"))


@dataclass(frozen=True)
class Offers:
    """`named` gives the account a policy's `reply_from` names for a channel; empty for none."""

    accounts: Accounts
    named: Callable[[Channel], str]

    @property
    def senders(self) -> frozenset[str]:
        return frozenset(account.name for account in self.accounts if can_send(account))

    def way(self, channel: Channel) -> Way:
        """Empty when we are not on that channel."""
        name = self.named(channel)
        ours = [a for a in self.accounts if a.channel == channel and name in ("", a.name)]
        if not ours:
            return Way()
        account = min(ours, key=lambda each: (not each.own_addresses(), each.name))
        addresses = sorted(value for _, value in account.own_addresses())
        return Way(account.name, addresses[0] if addresses else "", _link(account))

    def suggested(self, case: Case, event: SwitchSuggested) -> OfferHandoff:
        """What the policy started by itself, as a command."""
        return replace(
            suggestion(case, event, (new_id(), new_id()), codes.drawn(secrets.randbits)),
            way=self.way(event.to_channel),
            senders=self.senders,
        )


def suggestion(
    case: Case, event: SwitchSuggested, ids: tuple[UUID, UUID], code: str
) -> OfferHandoff:
    """The same with nothing known of the accounts, as if there were one on each channel. Pure.

    ids  of the handoff and of its invitation
    """
    return OfferHandoff(
        handoff_id=ids[0],
        agent="regie",
        reason=event.reason,
        to_channel=event.to_channel,
        address=_address(case, event.to_channel),
        code=code,
        invitation_id=ids[1],
        automatic=True,
    )


def _link(account: Account) -> str:
    return str(account.settings.get("resume_url", ""))


def _address(case: Case, channel: Channel) -> str:
    """Where this customer is on that channel, as far as the case knows."""
    known = case.routes.get(channel)
    if known is not None:
        return known.identity.value
    if channel in _BY_NUMBER:
        numbers = (r.identity.value for r in case.routes.values() if r.identity.scheme == "e164")
        return next(numbers, "")
    return ""
