"""Which hosts may be sent a token of ours: an activity names its own, and may be lying."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from shared.accounts import Account

# Microsoft, "Bot Connector service URLs" for the public, GCC, GCC High and DoD clouds.
_SERVICES: Final = re.compile(
    r"smba\.trafficmanager\.net"
    r"|smba\.infra\.gcc\.teams\.microsoft\.com"
    r"|smba\.infra\.(?:gov|dod)\.teams\.microsoft\.us"
    r"|(?:[a-z0-9-]+\.)*botframework\.(?:com|us)"
)
DEFAULT: Final = "https://smba.trafficmanager.net/teams/"


def may_have_our_token(url: str, account: Account) -> bool:
    """A service of Microsoft's over https, or what the channels file names as `api_base`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.username or parts.password:
        return False
    own = urlsplit(str(account.settings.get("api_base", "")))
    if own.hostname and (parts.scheme, host, port) == (own.scheme, own.hostname, own.port):
        return True
    return parts.scheme == "https" and port in (None, 443) and bool(_SERVICES.fullmatch(host))
