"""Amazon SES' API: where it is, who we are to it, and by which names it knows our mails."""

from __future__ import annotations

from typing import Final

from shared.accounts import Account
from shared.channels.providers import sns
from shared.channels.providers.sigv4 import Credentials

# The tag that carries our message's id out, and back with each event.
TAG: Final = "regie_message"


def region_of(account: Account) -> str:
    """The account's region: its own setting, else that of its topic."""
    named = str(account.settings.get("region", ""))
    return named or next(
        (found for each in sns.topics(account) if (found := sns.region_of(each))), ""
    )


def credentials_of(account: Account, service: str) -> Credentials | None:
    """The account's access key; None where it has none."""
    key_id = str(account.settings.get("access_key_id", ""))
    secrets, region = account.secrets("secret_access_key"), region_of(account)
    if not (key_id and secrets and region):
        return None
    return Credentials(key_id, secrets[0], region, service)


def address(account: Account, service: str) -> str:
    """The base of a service's API, without a slash."""
    if base := str(account.settings.get("api_base", "")).rstrip("/"):
        return base
    region = region_of(account)
    ending = ".cn" if region.startswith("cn-") else ""
    return f"https://{service}.{region}.amazonaws.com{ending}"


def message_id(id: str, region: str) -> str:
    """The Message-ID a mail leaves SES with: it puts its own in the place of ours."""
    return f"<{id}@{'email' if region in ('', 'us-east-1') else region}.amazonses.com>"
