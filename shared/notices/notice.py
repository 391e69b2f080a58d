"""One notice: what a delivery tells, and the words it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.notices import times
from shared.notices.builtin import FOOTER, NAMES, WORDS, known
from shared.notices.filling import fill
from shared.notices.kinds import TYPES, NoticeKind
from shared.values import Manner

_SHORT: Final = 8  # characters of a case's id that tell it from its neighbours
_MOST_LISTED: Final = 20
_MOST_TEAMS: Final = 3


@dataclass(frozen=True, slots=True)
class Notice:
    """`data` is what a webhook gets; `base` how the world reaches us, or empty."""

    kind: NoticeKind
    data: Mapping[str, Any]
    manner: Manner
    base: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """A notice in words. `link` is empty where it leads nowhere from outside."""

    kind: NoticeKind
    subject: str
    text: str
    link: str
    footer: str
    urgency: int = 0


def read(payload: Mapping[str, Any], base: str) -> Notice:
    """Of a delivery's payload: {type, data, manner}. A type that nobody has words for is a
    digest, or raises ValueError."""
    data = payload.get("data", {})
    kind: NoticeKind | None = "digest" if "items" in data else TYPES.get(str(payload["type"]))
    if kind is None:
        raise ValueError(f"there are no words for {payload['type']}")
    manner = msgspec.convert(payload.get("manner") or {}, Manner, strict=False)
    return Notice(kind, data, manner, base.rstrip("/"))


def worded(notice: Notice, now: datetime) -> Put:
    """In its recipient's language and local time, as of `now`: how long is left is said when it
    leaves, not when it was decided."""
    language = known(notice.manner.language)
    subject, text = WORDS[language][notice.kind]
    for own in notice.manner.words:
        if own.kind == notice.kind:
            subject, text = own.subject or subject, own.text or text
    values = _Values(notice, now, language).all()
    link = values["link"] if notice.base or "://" in values["link"] else ""
    return Put(
        kind=notice.kind,
        subject=" ".join(fill(subject, values).split()),
        text=fill(text, values).strip(),
        link=link,
        footer=FOOTER[language],
        urgency=notice.manner.urgency,
    )


class _Values:
    """What the placeholders stand for."""

    def __init__(self, notice: Notice, now: datetime, language: str) -> None:
        self._data = notice.data
        self._notice = notice
        self._now = now
        self._language = language
        self._names = NAMES[language]
        self._zone = times.zone_of(notice.manner.zone)

    def all(self) -> dict[str, str]:
        data, none = self._data, self._names["none"]
        values = {
            "case": str(data.get("case_id", ""))[-_SHORT:],
            "link": self._link(),
            "team": self._text("team") or self._teams(),
            "channel": self._text("channel"),
            "metric": self._metric(data),
            "step": self._text("step"),
            "reason": self._text("reason") or none,
            "from": self._text("from_team") or self._text("from_channel"),
            "to": self._text("to_team") or self._text("to_channel"),
            "results": self._listed("results", ", "),
            "by": self._text("by") or self._names["somebody"],
            "count": str(data.get("count", len(data.get("items", ())))),
            "most": self._text("most"),
            "owner": self._text("owner"),
            "trail": self._listed("trail", "; "),
            "list": self._items(),
        }
        for place, field in (("due", "due_at"), ("until", "expires_at")):
            at = _instant(data.get(field))
            values[place] = self._moment(at) if at else none
            if at:
                values.setdefault("left", times.left(at, self._now, self._language))
        return values

    def _text(self, name: str) -> str:
        return " ".join(str(self._data.get(name) or "").split())

    def _metric(self, data: Mapping[str, Any]) -> str:
        metric = str(data.get("metric") or "")
        return self._names.get(metric, metric)

    def _teams(self) -> str:
        """Of a digest: whose cases they are, those with most first."""
        teams = [name for name in self._data.get("teams") or {} if name]
        return ", ".join([*teams[:_MOST_TEAMS], "…"] if len(teams) > _MOST_TEAMS else teams)

    def _listed(self, name: str, between: str) -> str:
        found: Sequence[Any] = self._data.get(name) or ()
        return between.join(map(str, found)) or self._names["none"]

    def _moment(self, at: datetime) -> str:
        return times.moment(at, self._now, self._zone, self._language)

    def _link(self) -> str:
        """Where to read more: a partner's own link, else the case; of a digest, the inbox."""
        path = str(self._data.get("answer_url") or self._data.get("url") or "/v1/inbox")
        return path if "://" in path else f"{self._notice.base}{path}"

    def _items(self) -> str:
        """A digest's cases, a line each, those due first first."""
        items = list(self._data.get("items") or ())
        lines = [f"- {self._item(item)}" for item in items[:_MOST_LISTED]]
        rest = int(self._data.get("count") or len(items)) - len(lines)
        return "\n".join([*lines, f"… + {rest}"] if rest > 0 else lines)

    def _item(self, item: Mapping[str, Any]) -> str:
        at = _instant(item.get("due_at"))
        due = f"{self._moment(at)} ({times.left(at, self._now, self._language)})" if at else ""
        case = str(item.get("case_id", ""))[-_SHORT:]
        what = self._metric(item) or self._names.get(TYPES.get(str(item.get("type")), ""), "")
        parts = (what, str(item.get("channel") or ""), case, due)
        return ", ".join(part for part in parts if part)


def _instant(given: Any) -> datetime | None:
    if given is None or isinstance(given, datetime):
        return given
    try:
        return msgspec.convert(given, datetime)
    except msgspec.ValidationError:
        return None
