"""Why a mail came back, in words, and whether the address is to blame (`hard`) or the moment.

Source: RFC 3463 (status codes) where the server names a telling one, its own words otherwise:
`5.0.0`, `5.1.0` and `5.7.1` stand before every kind of reason.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple


class Diagnosis(NamedTuple):
    """`cause` is empty where nothing tells it; `weight` is then `hard` for a refusal for good."""

    cause: str
    weight: Literal["hard", "soft"]


UNKNOWN: Final = Diagnosis("", "soft")
_NOBODY: Final = Diagnosis("the address does not exist", "hard")
_NOWHERE: Final = Diagnosis("the domain takes no mail", "hard")
_CLOSED: Final = Diagnosis("the mailbox is closed", "hard")
_MOVED: Final = Diagnosis("the address has moved", "hard")
_FULL: Final = Diagnosis("the mailbox is full", "soft")
_LARGE: Final = Diagnosis("the mail is too large", "soft")
_REFUSED: Final = Diagnosis("the server refuses our mail", "soft")
_LATE: Final = Diagnosis("the server could not be reached in time", "soft")
_LOOP: Final = Diagnosis("the mail went round in a loop", "soft")

_BY_CODE: Final = {
    "1.1": _NOBODY, "1.3": _NOBODY, "1.10": _NOBODY, "1.2": _NOWHERE, "4.4": _NOWHERE,
    "1.6": _MOVED, "2.1": _CLOSED, "2.2": _FULL, "2.3": _LARGE, "3.4": _LARGE, "4.7": _LATE,
    "4.1": _LATE, "4.2": _LATE, "4.6": _LOOP,
}  # fmt: skip
_BY_WORDS: Final = [
    (re.compile(words, re.IGNORECASE), diagnosis)
    for words, diagnosis in (
        (r"(?:mailbox|quota|inbox|maildir|account) .{0,30}(?:full|exceed)|over ?quota"
        r"|out of storage"
         r"|insufficient (?:disk|system|mail)? ?(?:space|storage)|postvak .{0,20}vol"
         r"|postfach .{0,20}voll"
         r"|boîte .{0,20}pleine|disk quota", _FULL),
        (r"too (?:large|big)|(?:message|size) .{0,20}exceeds?|maximum (?:message )?size|te groot"
        r"|zu groß",
         _LARGE),
        (r"too many hops|mail loop|loops? back|hop count", _LOOP),
        (r"(?:account|mailbox|user|address) .{0,30}(?:disabled|inactive|suspended|deactivated"
        r"|expired)"
         r"|no longer (?:active|in use|available)|disabled", _CLOSED),
        (r"has moved|user not local|new address", _MOVED),
        (r"spam|blacklist|blocklist|blocked|block list|\bdnsbl|\bspf\b|\bdkim\b|dmarc|policy"
        r"|reputation"
         r"|not authori[sz]ed|access denied|rejected due to|content (?:filter|reject)"
         r"|virus|greylist", _REFUSED),
        (r"(?:host|domain|dns|mx) .{0,40}(?:not found|unknown|does not exist|no (?:such|valid|mx))"
         r"|unrouteable|unroutable|bad destination|no route|name or service not known|nxdomain"
         r"|couldn['’]t find any host", _NOWHERE),
        (r"(?:unknown|no such|invalid|non-?existent|unrecogni[sz]ed) (?:\w+ ){0,2}(?:user(?:id)?"
        r"|recipient|mailbox|address|person"
         r"|account|name)|(?:user|recipient|mailbox|address|account|name)\W+(?:\S+ ){0,5}"
         r"(?:unknown|not (?:found|exist|known|recogni[sz]ed|listed|valid)|does(?: not"
         r"|n['’]t) exist|no longer exist)"
         r"|no mailbox here|not listed in|doesn['’]t have an? .{0,20}account|unknown (?:local"
         r"|virtual)"
         r"|bestaat niet|nicht (?:gefunden|vorhanden)|existiert nicht"
         r"|inconnu|n['’]existe pas|no existe", _NOBODY),
        (r"time[d -]*out|timeout|expired|connection (?:refused|lost|reset)|unreachable"
         r"|not (?:yet )?been delivered|could not connect|retry time", _LATE),
    )
]  # fmt: skip
_LONGEST: Final = 1_000


def diagnose(code: str, words: str) -> Diagnosis:
    """From a status code and the server's words, either of which may be empty."""
    telling = _BY_CODE.get(code.partition(".")[2])
    if telling is not None:
        return telling
    said = " ".join(words[:_LONGEST].split())
    for pattern, diagnosis in _BY_WORDS:
        if pattern.search(said):
            return diagnosis
    if code.partition(".")[2].startswith("7."):
        return _REFUSED
    return Diagnosis("", "soft" if code.startswith("4") or not code else "hard")
