"""Meta's Graph API as all its channels call it: addresses, tokens, and what its refusals mean.

Sources: developers.facebook.com, "Handling errors" and "Rate limits" of the Graph API; each
channel's own codes stand with the channel.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels.posting import bearer, retry_after
from shared.channels.providers.meta import explanation
from shared.channels.wire import list_at, mapping_at, text_at
from shared.errors import SendError

VERSION: Final = "v23.0"
_GRAPH: Final = "https://graph.facebook.com"
_AGAIN: Final = frozenset({"throttled", "temporary"})
_MINUTE: Final = 60.0


def address(account: Account, *path: str) -> str:
    """The URL of a node or edge, at the account's `api_base` and `graph_version`."""
    version = text_at(dict(account.settings), "graph_version") or VERSION
    return "/".join((base(account), version, *path))


def base(account: Account) -> str:
    return (text_at(dict(account.settings), "api_base") or _GRAPH).rstrip("/")


def authorization(account: Account) -> dict[bytes, bytes]:
    """The header of every call. Raises SendError where the account has no token."""
    if not (tokens := account.secrets("access_token")):
        raise SendError("token", f"account {account.name} has no access_token: it cannot send")
    return bearer(tokens[0])


@dataclass(frozen=True, slots=True)
class Codes:
    """A channel's error codes. A subcode says more than its code, so it goes first.

    codes     class → codes; subcodes: class → subcodes
    pauses    seconds to wait with the same reader, by code, where Meta names none
    hints     what to do about a code or subcode, where Meta's own words do not say
    """

    codes: Mapping[str, Sequence[int]]
    subcodes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    pauses: Mapping[int, float] = field(default_factory=dict)
    hints: Mapping[int, str] = field(default_factory=dict)
    _names: Mapping[tuple[bool, int], str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = {(False, code): name for name, listed in self.codes.items() for code in listed}
        names |= {(True, code): name for name, listed in self.subcodes.items() for code in listed}
        object.__setattr__(self, "_names", names)

    def name(self, code: int, subcode: int | None) -> str | None:
        """Its class; None for a code that is not known here."""
        found = None if subcode is None else self._names.get((True, subcode))
        return found or self._names.get((False, code))


def failure(response: httpx.Response, known: Codes) -> SendError:
    """The SendError for an answer that is not 2xx."""
    error = _error_in(response)
    code, subcode = _number(error, "code"), _number(error, "error_subcode")
    if code is not None:
        return _named(code, subcode, error, response, known)
    if response.status_code >= 500:
        return _doubtful(response)
    return _send_error(_by_status(response.status_code), f"HTTP {response.status_code}", response)


def id_in(response: httpx.Response, name: str) -> str:
    """The id of what was uploaded. Raises SendError: to upload it again harms nobody."""
    try:
        found = text_at(response.json(), name)
    except (ValueError, RecursionError):
        found = ""
    if not found:
        raise SendError("temporary", f"Meta took the file without giving its {name}", again=True)
    return found


async def in_order(
    posts: Sequence[Callable[[], Awaitable[str]]],
) -> str:
    """Makes one message of several posts, one after the other; the id of the last.

    Raises SendError: once the first one is with the customer the message is `doubtful`, because
    sending it again would bring that one twice.
    """
    id = ""
    for number, post in enumerate(posts):
        try:
            id = await post()
        except SendError as error:
            if number == 0:
                raise
            reason = f"{number} of {len(posts)} parts were sent, the next was not: {error.reason}"
            raise SendError("partly_sent", reason, doubtful=True) from error
    return id


def _named(
    code: int,
    subcode: int | None,
    error: Mapping[str, Any],
    response: httpx.Response,
    known: Codes,
) -> SendError:
    name = known.name(code, subcode)
    if name is None and response.status_code >= 500:
        return _doubtful(response)
    shown = f"{code}/{subcode}" if subcode else str(code)
    reason = f"{explanation(error) or 'no reason given'} ({shown})"
    if hint := known.hints.get(subcode or code):
        reason = f"{reason}: {hint}"
    name = name or _by_status(response.status_code)
    return _send_error(name, reason, response, known.pauses.get(code))


def _send_error(
    name: str, reason: str, response: httpx.Response, pause: float | None = None
) -> SendError:
    again = name in _AGAIN
    wait = retry_after(response) or _regained(response) or pause if again else None
    return SendError(name, reason, again=again, retry_after=wait, one_reader=pause is not None)


def _doubtful(response: httpx.Response) -> SendError:
    # A gateway may give up on a message that went through behind it.
    reason = f"HTTP {response.status_code} without a word on whether the message was sent"
    return SendError("temporary", reason, doubtful=True)


def _by_status(status: int) -> str:
    if status == 429:
        return "throttled"
    return "token" if status in (401, 403) else "rejected"


def _regained(response: httpx.Response) -> float | None:
    """Seconds until a business may call again, which Meta tells in minutes in a header."""
    try:
        usage = json.loads(response.headers.get("x-business-use-case-usage", ""))
    except (ValueError, RecursionError):
        return None
    if not isinstance(usage, dict):
        return None
    told = (text_at(each, "estimated_time_to_regain_access")
            for name in usage for each in list_at(usage, name))  # fmt: skip
    minutes = [int(each) for each in told if each.isascii() and each.isdigit() and len(each) < 5]
    return max(minutes, default=0) * _MINUTE or None


def _error_in(response: httpx.Response) -> Mapping[str, Any]:
    try:
        return mapping_at(json.loads(response.content), "error")
    except (ValueError, RecursionError):
        return {}


def _number(error: Mapping[str, Any], name: str) -> int | None:
    found = error.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None
