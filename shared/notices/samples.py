"""A made-up notice of each kind, to preview words with and to see how long they become."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from shared.notices.kinds import CUSTOMERS, PLACES, TYPES, NoticeKind

_CASE: Final = "019a8f52-6f00-7c31-9d4e-5b1c2f7a90de"

# What a placeholder usually takes.
_USUAL: Final[Mapping[str, str]] = {
    "case": "2f7a90de",
    "link": f"https://regie.example.org/v1/cases/{_CASE}",
    "team": "parcels",
    "channel": "whatsapp",
    "metric": "first answer",
    "due": "Tue 17 Nov 10:30",
    "left": "in 30 minutes",
    "step": "1",
    "from": "frontdesk",
    "to": "parcels",
    "reason": "the customer asks for a technician",
    "results": "order_number",
    "until": "Tue 17 Nov 14:00",
    "by": "jo",
    "count": "7",
    "most": "3",
    "owner": "supervisors",
    "trail": "frontdesk → parcels; parcels → frontdesk",
    "list": "\n".join(["- first answer, whatsapp, 2f7a90de, 10:30 (in 30 minutes)"] * 7),
    "about": " about “My parcel”",
    "how": "Follow https://wa.me/31880000000?text=R-7K4Q-2M9X or mention the code R-7K4Q-2M9X.",
    "tries": "3",
    "question": "How well did we help you?",
    "low": "1",
    "high": "5",
}
SAMPLES: Final[Mapping[str, Mapping[str, str]]] = {
    kind: {place: _USUAL[place] for place in places}
    for kind, places in {**PLACES, **CUSTOMERS}.items()
}


def payload(kind: NoticeKind, now: datetime) -> dict[str, Any]:
    """As a delivery has it, of a case that is due half an hour after `now`."""
    due_at = now - timedelta(hours=2) if kind in ("breach", "promise_broken") else _soon(now)
    data: dict[str, Any] = {
        "case_id": _CASE, "team": "parcels", "channel": "whatsapp", "url": f"/v1/cases/{_CASE}",
        "metric": "first_response", "due_at": due_at, "step": 1, "by": "jo", "count": 3,
        "most": 3, "owner": "supervisors", "from_team": "frontdesk", "to_team": "parcels",
        "reason": _USUAL["reason"], "results": ["order_number"],
        "trail": ["frontdesk → parcels", "parcels → frontdesk"],
    }  # fmt: skip
    if kind == "handoff":
        del data["due_at"]
        data["expires_at"] = now + timedelta(hours=4)
    if kind == "digest":
        item = {name: data[name] for name in ("case_id", "channel", "metric", "due_at")}
        data = {"teams": {"parcels": 7}, "count": 7, "items": [item] * 7}
        return {"type": "digest", "data": data}
    return {"type": next(name for name, each in TYPES.items() if each == kind), "data": data}


def _soon(now: datetime) -> datetime:
    return now + timedelta(minutes=30)
