"""Access tokens for XOAUTH2: from the account, or from a file that somebody keeps fresh.

The tokens of Microsoft and Google live for an hour. Whatever fetches new ones (a job beside Regie)
writes them into `access_token_file`, which is read again at every login.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.accounts import Account


def access_tokens(account: Account, place: str = "") -> Sequence[str]:
    """The tokens to try, the file's first; `place` is `outbound` for those of the way out.

    Raises OSError where the file cannot be read. Blocks for the read of one small file.
    """
    settings = account.settings.get(place, {}) if place else account.settings
    named = f"{place}.access_token" if place else "access_token"
    file = str(settings.get("access_token_file", ""))
    fresh = Path(file).read_text(encoding="utf-8").strip() if file else ""
    return (*([fresh] if fresh else []), *account.secrets(named))
