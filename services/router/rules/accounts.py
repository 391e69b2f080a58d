"""Whether a policy fits the accounts there are, which another file names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.router.policy import Policy
from shared.events import Channel
from shared.yamlfile import Problem, nearest


def check_accounts(policy: Policy, accounts: Mapping[str, Channel]) -> list[Problem]:
    """`accounts` gives the channel of each account by name (`Accounts.channels()`).

    An account that `reply_from` names must exist, on that channel. A switch between channels
    without an account is a warning: the row can never be used.
    """
    return [*_wrong_reply_from(policy, accounts), *_useless_switches(policy, accounts)]


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
