"""What our own addresses carry from one request of a call to the next, because no state is kept.

Twilio signs the whole URL, so what comes back is what was written. Vonage and Telnyx sign the body
alone: there the query bears a seal of ours, made with a secret of the account and good for this
call only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from shared.channels.wire import clean_text

_SEAL: Final = "seal"
_DOMAIN: Final = b"regie telephone addresses\x1f"  # no other signature of that secret is a seal


def written(values: Mapping[str, str], call: str, keys: Sequence[str]) -> str:
    """`values` as a query, sealed with the first key where there is one."""
    kept = {name: value for name, value in values.items() if value}
    sealed = {_SEAL: _seal(kept, call, keys[0])} if keys else {}
    return urlencode(kept | sealed)


def read(query: Iterable[tuple[str, str]], call: str, keys: Sequence[str]) -> dict[str, str]:
    """What the query carries; nothing where it needs a seal and has not the right one."""
    values = {name: clean_text(value) for name, value in query}
    given = values.pop(_SEAL, "")
    return values if not keys or _fits(values, given, call, keys) else {}


def sealed(query: Iterable[tuple[str, str]], call: str, keys: Sequence[str]) -> bool:
    """Whether the query bears our seal for this call: who has it was given it by us."""
    values = {name: clean_text(value) for name, value in query}
    return _fits(values, values.pop(_SEAL, ""), call, keys)


def _fits(values: Mapping[str, str], given: str, call: str, keys: Sequence[str]) -> bool:
    offered = given.encode("utf-8", "replace")
    # All are compared, in constant time.
    fits = [hmac.compare_digest(offered, _seal(values, call, key).encode()) for key in keys]
    return any(fits)


def _seal(values: Mapping[str, str], call: str, key: str) -> str:
    text = urlencode([("call", call), *sorted(values.items())], errors="replace")
    return hmac.new(key.encode(), _DOMAIN + text.encode(), hashlib.sha256).hexdigest()[:32]
