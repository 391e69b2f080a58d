"""Whose call it is, and what becomes of it: the end of every telephone provider's parser."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed
from shared.channels.phone.call import Told
from shared.channels.phone.items import messages
from shared.channels.phone.outcomes import OUTCOMES, Fact
from shared.channels.phone.voice import region_of
from shared.numbers import to_e164

Keys = Callable[[Account], Iterable[str]]  # what an account and its provider know each other by


def owner_of(number: str, account: Account, accounts: Accounts, keys: Keys) -> Account | None:
    """The line with this number, of the same provider and with one of the same keys."""
    wanted, mine = to_e164(number, region_of(account)), set(keys(account))
    for each in accounts:
        is_line = (each.channel, each.provider) == ("phone", account.provider)
        ours = to_e164(str(each.settings.get("number", "")), None)
        if is_line and wanted and ours == wanted and mine & set(keys(each)):
            return each
    return None


def concluded(
    told: Told, stated: Fact, owner: Account | None, body: bytes, answer: Answer
) -> Parsed:
    """The request's message, if what it states makes one; parked where it names no line of ours."""
    kind = OUTCOMES[stated]
    # A leg to the desk is part of the caller's call, not a call of its own.
    if kind is None or told.leg:
        return Parsed(answer=answer)
    reason = _unfit(told, owner)
    if owner is None or reason:
        return Parsed(parked=[Parked(body, reason, f"{told.id} {kind}")], answer=answer)
    return Parsed(messages=messages(told, kind, owner), answer=answer)


def unknown(told_id: str, event: str, body: bytes, answer: Answer) -> Parsed:
    """An event the provider did not tell of when this was written: kept, and listed once."""
    reason = (
        "this event of a call is not known here: nothing is done with it. If it matters, tell us "
        "what it means; docs/channels/phone.md lists those that are read"
    )
    return Parsed(parked=[Parked(body, reason, f"{told_id} {event[:60]}")], answer=answer)


def _unfit(told: Told, owner: Account | None) -> str:
    """Why this cannot become a message, or nothing."""
    if told.theirs is None:
        return (
            "the request names no caller: let Regie's own answers start the recording, "
            "or add ?from=…&to=… to its callback address"
        )
    if owner is None:
        return (
            f"{told.ours[:40] or 'no number'} is no line with this account's key: add it to the "
            "channels file, or take its webhook back at the provider"
        )
    return ""
