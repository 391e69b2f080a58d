"""Mailgun's API: where it is, and who we are to it."""

from __future__ import annotations

from typing import Final

from shared.accounts import Account

# Our message's id in Mailgun's own variables: it comes back with each event (`user-variables`).
VARIABLE: Final = "regie_message"
_BASES: Final = {"us": "https://api.mailgun.net", "eu": "https://api.eu.mailgun.net"}


def base(account: Account) -> str:
    """Without a slash. A domain lives in one region, and the other does not know it."""
    named = str(account.settings.get("api_base", "")).rstrip("/")
    return named or _BASES[str(account.settings.get("region", "us"))]


def domain(account: Account) -> str:
    """The sending domain; empty where the account sends by SMTP."""
    return str(account.settings.get("domain", ""))


def uses_api(account: Account) -> bool:
    return bool(account.secrets("api_key") and domain(account))
