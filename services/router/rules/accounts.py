"""Whether a policy fits the accounts there are, which another file names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from services.router.policy import Policy
from shared.events import Channel
from shared.yamlfile import Problem, nearest


def check_accounts(
    policy: Policy, accounts: Mapping[str, Channel], senders: Collection[str] | None = None
) -> list[Problem]:
    """`accounts` gives the channel of each account by name (`Accounts.channels()`); `senders` are
    those that can send, None where that is not known.

    An account that `reply_from` or `notify_from` names must exist, on that channel. A switch
    between channels without an account is a warning: the row can never be used; so are notices by
    mail that no account can send.
    """
    return [
        *_wrong_reply_from(policy, accounts),
        *_useless_switches(policy, accounts),
        *_wrong_notify_from(policy, accounts, senders),
        *_mute_notices(policy, accounts, senders),
    ]


def _wrong_notify_from(
    policy: Policy, accounts: Mapping[str, Channel], senders: Collection[str] | None
) -> Iterator[Problem]:
    name = policy.notify_from
    if name is None:
        return
    mail = [account for account, its in accounts.items() if its == "email"]
    able = mail if senders is None else [account for account in mail if account in senders]
    if name in able:
        return
    if name in mail:
        wrong = f"account `{name}` only receives: give it an `outbound` in the channels file"
    elif name in accounts:
        wrong = f"account `{name}` is on {accounts[name]}, not on email"
    else:
        wrong = f"unknown account `{name}`"
    yield policy.document.problem(("notify_from",), f"{wrong}: {nearest(name, able)}")


def _mute_notices(
    policy: Policy, accounts: Mapping[str, Channel], senders: Collection[str] | None
) -> Iterator[Problem]:
    """Mail that would end as dead letters, at the first place that asks for it."""
    asked = next((path for path, entry in policy.told if entry.kind == "email"), None)
    if asked is None or senders is None or policy.notify_from:
        return
    able = sorted(name for name in senders if accounts.get(name) == "email")
    if len(able) == 1 or policy.notices_from in able:
        return
    message = (
        f"several mail accounts can send ({', '.join(able)}): name one in notify_from"
        if able
        else "no mail account can send: give one an `outbound` in the channels file"
    )
    yield policy.document.problem((*asked, "email"), message, warning=True)


def _wrong_reply_from(policy: Policy, accounts: Mapping[str, Channel]) -> Iterator[Problem]:
    for channel, name in policy.reply_from.items():
        ours = [account for account, its in accounts.items() if its == channel]
        if name in ours:
            continue
        wrong = (
            f"account `{name}` is on {accounts[name]}, not on {channel}"
            if name in accounts
            else f"unknown account `{name}`"
        )
        message = f"{wrong}: {nearest(name, ours)}"
        yield policy.document.problem(("reply_from", channel), message)


def _useless_switches(policy: Policy, accounts: Mapping[str, Channel]) -> Iterator[Problem]:
    served = set(accounts.values())
    for index, row in enumerate(policy.switches):
        for key, channel in (("from", row.from_channel), ("to", row.to_channel)):
            if channel not in served:
                message = f"there is no account on {channel}: no case can switch so"
                yield policy.document.problem(("switches", index, key), message, warning=True)
