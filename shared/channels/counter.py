"""The counter: somebody stands at a desk of ours, and whoever serves them registers the visit.

No provider stands behind it. A visit comes by `POST /v1/cases` with the person's record at hand, or
from a queue system by `POST /v1/messages`. It says enough by itself; nothing can be sent to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def at_the_counter(body: Mapping[str, Any]) -> dict[str, Any]:
    """What was posted, with `kind: visit` where it names none: what else comes to a counter?"""
    return {"kind": "visit", **body}
