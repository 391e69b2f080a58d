"""Whose an item is: the account with its number, among those the signature speaks for."""

from __future__ import annotations

from collections.abc import Callable, Collection

from shared.accounts import Account, Accounts
from shared.events import Channel
from shared.numbers import to_e164


def owner(
    addresses: Collection[str],
    account: Account,
    accounts: Accounts,
    secrets: Callable[[Account], Collection[str]],
    *,
    channel: Channel,
    service: str = "",
) -> Account | None:
    """The account one of `addresses` is the number of; else the one with this messaging service.

    secrets  what an account's webhooks are signed with: only those that share one with `account`,
             whose door this came in by, are asked
    """
    ours = set(secrets(account))
    asked = [
        each
        for each in accounts
        if (each.channel, each.provider) == (channel, account.provider)
        and ours & set(secrets(each))
    ]
    wanted = {plain(address) for address in addresses if address}
    for each in asked:
        if plain(str(each.settings.get("number", ""))) in wanted:
            return each
    # Its numbers are many, and the channels file names one of them.
    return next(
        (each for each in asked if service and each.settings.get("messaging_service") == service),
        None,
    )


def plain(address: str) -> str:
    """A number, short code or name in the one spelling they are compared in."""
    return to_e164(address, None) or address.strip().lower()


def unknown(address: str, where: str) -> str:
    """Why a message to `address` is parked."""
    return (
        f"{address[:40] or 'no number'} is no account with this secret: add it to the channels "
        f"file, or take its webhook back in {where}"
    )
