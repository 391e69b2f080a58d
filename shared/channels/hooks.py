"""The addresses that providers are to call, and whether they have them: for `regie doctor`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from shared.accounts import Account, Accounts
from shared.channels import Finding
from shared.channels.wire import list_at, text_at

_NAMES: Final = "webhook_names"
# What an account's webhooks are checked with, by whichever of these it has.
_KEYS: Final = ("app_secret", "auth_token", "signature_secret", "consumer_secret")


def prepared(account: Account, accounts: Accounts, public_url: str) -> Account:
    """The account with what a Health needs to know besides: how the world reaches us, and whose
    addresses serve it as well, since they share its secret.

    public_url  REGIE_PUBLIC_URL; one of the account's own comes before it
    """
    shared = [other.name for other in accounts if _share(account, other)]
    base = {"public_url": public_url} if public_url else {}
    return replace(account, settings={**base, **account.settings, _NAMES: shared})


def address(account: Account, path: str = "") -> str:
    """What a person pastes at the provider."""
    base = _base(account) or "https://<your host>"
    return f"{base}/webhooks/{account.name}{path}"


def leads_here(url: str, account: Account, path: str = "") -> bool:
    """Whether a webhook's address is one of ours. What stands behind `?` and `#` does not count;
    without a public_url, neither does the host."""
    plain, base = url.partition("#")[0].partition("?")[0].rstrip("/"), _base(account)
    names = {account.name, *map(str, list_at(dict(account.settings), _NAMES))}
    paths = tuple(f"/webhooks/{name}{path}" for name in names)
    return plain in {base + each for each in paths} if base else plain.endswith(paths)


def hooked(
    what: str, url: str, account: Account, where: str, path: str = "", method: str = "POST"
) -> Finding:
    """Whether the provider calls us at this door.

    url     what it has
    where   the place at the provider where a person pastes the address
    method  the one that the provider uses there
    """
    if leads_here(url, account, path) and method.upper() == "POST":
        return Finding(what, True, about="subscription")
    wanted = address(account, path)
    now = "it posts to another address" if url else "no address is set"
    if leads_here(url, account, path):
        now = f"it calls by {method.upper()}"
    return Finding(what, False, f"{now}: set {where} to {wanted}, HTTP POST", "subscription")


def _base(account: Account) -> str:
    return text_at(dict(account.settings), "public_url").rstrip("/")


def _share(one: Account, other: Account) -> bool:
    if one.provider != other.provider or one.name == other.name:
        return False
    return any(_keys(one, name) & _keys(other, name) for name in (*_KEYS, "public_key"))


def _keys(account: Account, name: str) -> set[str]:
    given = account.settings.get(name) or ()
    return {*account.secrets(name), *((given,) if isinstance(given, str) else given)}
