"""What the operator's files name: these addresses may be private (DESIGN 6, "Outgoing calls")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from services.notifier.targets.guard import Origin, origin_of
from shared import yamlfile
from shared.accounts import Account
from shared.errors import Misconfigured


def webhooks_in_policy(file: str) -> list[str]:
    """The webhooks of the policy file loaded at start, each once; none without a file.

    Raises Misconfigured when it cannot be read.
    """
    if not file:
        return []
    try:
        source = Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"REGIE_POLICY_FILE: {file} cannot be read: {error}") from error
    return list(dict.fromkeys(_webhooks(yamlfile.read(source, file).data)))


def origins_of(urls: Iterable[str]) -> frozenset[Origin]:
    return frozenset(origin for url in urls if (origin := origin_of(url)) is not None)


def api_bases(accounts: Iterable[Account]) -> list[str]:
    """Where the channels file sends a provider's calls, instead of to the provider."""
    bases = (account.settings.get("api_base") for account in accounts)
    return [base for base in bases if isinstance(base, str)]


def _webhooks(value: Any) -> Iterator[str]:
    """Wherever they stand: under teams, under supervisors, or where a later section has them."""
    if isinstance(value, dict):
        if isinstance(value.get("webhook"), str):
            yield value["webhook"]
        for part in value.values():
            yield from _webhooks(part)
    elif isinstance(value, list):
        for part in value:
            yield from _webhooks(part)
