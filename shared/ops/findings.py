"""What can be told of an account without asking anybody, and the words for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.accounts import Account
from shared.activity import Activity
from shared.channels import Finding
from shared.channels.hooks import address
from shared.channels.table import can_send, provider_of

SKEW: Final = timedelta(seconds=60)  # the tightest tolerance of a signature is 5 minutes
# Of one message or one person: these say nothing of the account.
_PERSONAL: Final = frozenset(
    ("chat_over", "expired", "invalid_recipient", "not_permitted", "opted_out", "partly_sent",
     "rejected", "unconfirmed", "window_closed")
)  # fmt: skip
# What a provider's API wants to see before it takes a message: one of these sets.
_TO_SEND: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "meta": (("access_token",),),
    "twilio": (("account_sid", "auth_token"),),
    "vonage": (("api_key", "api_secret"), ("application_id", "private_key")),
    "telnyx": (("api_key",),),
    "x": (("access_token",),),
    "microsoft": (("app_password",),),
}
_TROUBLES: Final = {
    "credentials": "the login was refused: check password or token, and that IMAP is allowed",
    "certificate": "the server's certificate is not trusted: check host, or set ca_file",
    "folder": "the folder does not exist or is read-only: check folder and its rights",
    "unreachable": "the server does not answer: check host, port and the network",
    "protocol": "the server says what cannot be understood: look into the log",
    "delayed": "the log, the blob store or the database is away: it goes on by itself",
}
# Agents register what comes in here by the API, case by case.
_BY_HAND: Final = frozenset(("counter", "internal"))


@dataclass(frozen=True, slots=True)
class Known:
    """What this process knows of an account.

    trouble  of the reader of its mailbox in this process, in one word
    parked   its items that wait under /ops/dead-letters
    """

    activity: Activity
    trouble: str = ""
    parked: int = 0


def configured(account: Account) -> Iterator[Finding]:
    """Whether it has what it needs; that its file is sound was checked at start."""
    if provider_of(account).outbound is None:
        return
    wanting = _wanting(account)
    yield Finding("can reply", not wanting, wanting)


def happened(account: Account, known: Known, subscribed: bool | None) -> Iterator[Finding]:
    """What its past tells.

    subscribed  whether the provider says that it calls us; None: it cannot be asked
    """
    if known.activity.last_in is None and not subscribed and account.channel not in _BY_HAND:
        yield Finding("something came in", False, _never(account))
    if known.trouble:
        advice = _TROUBLES.get(known.trouble, "look into the log")
        yield Finding(f"trouble: {known.trouble}", False, advice)
    if known.parked:
        advice = f"{known.parked} wait: `regie dead-letters list --account {account.name}`"
        yield Finding("all could be read", False, advice)
    if _is_failing(known.activity):
        code, reason = known.activity.code, known.activity.reason
        advice = f"the last one did not leave: {code}: {reason or 'no reason given'}"
        yield Finding("replies leave", False, account.hide(advice))


def in_time(skew: timedelta | None) -> Iterator[Finding]:
    """skew: the provider's clock less ours; None where it showed none."""
    if skew is not None and abs(skew) > SKEW:
        way = "behind" if skew > timedelta(0) else "ahead of"
        seconds = abs(int(skew.total_seconds()))
        advice = f"our clock is {seconds} s {way} theirs: set it by NTP, or signatures are refused"
        yield Finding("clocks agree", False, advice)


def last_in(activity: Activity, here: datetime | None) -> datetime | None:
    """The later of what the router noted and what ingest took in just now, in this process."""
    return max(filter(None, (activity.last_in, here)), default=None)


def _wanting(account: Account) -> str:
    if account.channel == "email":
        advice = "replies cannot leave: give it `outbound`, or the key of its provider's API"
        return "" if can_send(account) else advice
    sets = _TO_SEND.get(account.provider, ())
    if not sets or any(all(_has(account, name) for name in names) for names in sets):
        return ""
    wanted = " or ".join(" and ".join(names) for names in sets)
    return f"replies cannot leave: give it {wanted}"


def _has(account: Account, name: str) -> bool:
    return bool(account.secrets(name) or account.settings.get(name))


def _never(account: Account) -> str:
    by_webhook = provider_of(account).inbound is not None
    where = f"paste {address(account)} at the provider, then " if by_webhook else ""
    return f"nothing ever did: {where}send it something ('Try it' in docs/channels)"


def _is_failing(activity: Activity) -> bool:
    at = activity.failed_at
    later = at is not None and (activity.last_out is None or activity.last_out < at)
    return later and activity.code not in _PERSONAL
