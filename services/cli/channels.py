"""The channels file of `serve`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shared.accounts import Accounts, load_accounts
from shared.channels.table import provider_of
from shared.errors import Misconfigured


def read_accounts(file: str, env: Mapping[str, str]) -> Accounts:
    """The accounts of a channels file; none without one. Raises Misconfigured."""

    if not file:
        return load_accounts("accounts: {}", "no channels file", env)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"REGIE_CHANNELS_FILE names {file}, which cannot be read: {error}"
        ) from error
    accounts = load_accounts(text, file, env)
    for account in accounts:
        provider_of(account)
    return accounts
