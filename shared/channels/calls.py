"""One call, one outcome, whatever the order and number of the requests that tell of it.

A telephone provider speaks of one call in several separate requests, and a door keeps no state.
So each request that decides something by itself emits a message whose `kind` is what it knows of
the outcome, and all of them carry the call's own id as `thread.message_id`. The first one to be
handled makes the message; a later one either says more, and then replaces it in place, or is
dropped. Because `better` is a strict order, every order of arrival ends at the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.events import Kind

# That a call is over says least: it also comes after an answered call and after a voicemail. Who
# was spoken to is worth most: a recording beside it changes nothing about the answer. A caller who
# asked for a call back has done so before anything was recorded.
RANK: Final[Mapping[Kind, int]] = {
    "call_missed": 1, "voicemail": 2, "callback_requested": 3, "call_ended": 4,
}  # fmt: skip


def better(old: Kind, new: Kind) -> bool:
    """Whether `new` replaces `old` as the outcome of the same call; never true of other kinds."""
    return old in RANK and new in RANK and RANK[new] > RANK[old]


def outcome(so_far: Kind | None, new: Kind) -> Kind:
    """What stands once `new` is heard of a call of which `so_far` (None: nothing) was known."""
    return new if so_far is None or better(so_far, new) else so_far
