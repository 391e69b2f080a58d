"""A message after later word of it: edits, withdrawals, additions, the outcome of a call. Pure.

Providers promise no order. Whatever the order, the message ends the same:

edit        the newest by its time stands; the words before it are kept (`earlier`)
withdrawal  what was said up to then is gone
addition    a transcript, or word of an edit whose text is not told: stands below (`added`)
call        the best outcome stands (`shared.channels.calls`), from the earliest time that was
            named, with the files and attributes of all that was told
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

from shared.channels.calls import RANK
from shared.events import Kind, MessageReceived

_MOST: Final = 20  # earlier wordings, and additions, of one message
_KEPT: Final = ("added", "earlier", "edited", "edited_at", "withdrawn_at")


class Standing(NamedTuple):
    """What of a message may change. `data` as in its row, decoded."""

    kind: Kind
    text: str
    occurred_at: datetime
    data: Mapping[str, Any]

    @property
    def words(self) -> str:
        """Without what was added to them."""
        return self.text.removesuffix(_below(self.data))

    @property
    def gone(self) -> bool:
        """Withdrawn, and not brought back since."""
        withdrawn, edited = _time(self.data, "withdrawn_at"), _time(self.data, "edited_at")
        return withdrawn is not None and (edited is None or edited <= withdrawn)


class Word(NamedTuple):
    """One edit, withdrawal or addition."""

    kind: Kind
    text: str
    at: datetime
    adds: bool


def word_of(message: MessageReceived) -> Word:
    missing = bool(message.attributes.get("text_missing"))
    return word(message.kind, message.text, message.occurred_at, message.channel, missing)


def word(kind: str, text: str, at: datetime, channel: str, text_missing: bool) -> Word:
    """A transcript comes after its voicemail and adds to it, and so does word of an edit whose text
    we are not told; any other edit replaces."""
    adds = kind == "edit" and (channel == "phone" or text_missing)
    return Word(cast("Kind", kind), text, at, adds)


def amended(row: Standing, told: Word) -> Standing:
    withdrawn = _time(row.data, "withdrawn_at")
    if row.data.get("forgotten") or (withdrawn is not None and told.at <= withdrawn):
        return row
    if told.kind == "revoke":
        return _withdrawn(row, told)
    return _with_addition(row, told) if told.adds else _edited(row, told)


def _edited(row: Standing, told: Word) -> Standing:
    since = _time(row.data, "edited_at") or row.occurred_at
    stands = told.at >= since
    old = (since, row.words) if stands else (told.at, told.text)
    words = told.text if stands else row.words
    data = dict(row.data) | {"edited": True, "edited_at": max(since, told.at).isoformat()}
    data.pop("reply_text", None)
    if old[1] != words and not (stands and row.gone):
        data["earlier"] = _noted(row.data.get("earlier", ()), old)
    return row._replace(text=words + _below(data), data=data)


def _withdrawn(row: Standing, told: Word) -> Standing:
    """An edit after it, which brings the message back, stays."""
    data = dict(row.data) | {"edited": True, "withdrawn_at": told.at.isoformat()}
    for name in ("earlier", "added"):
        left = [each for each in row.data.get(name, ()) if _at(each) > told.at]
        data = _with(data, name, left)
    edited = _time(row.data, "edited_at")
    if edited is None or edited <= told.at:
        data.pop("reply_text", None)
        return row._replace(text=_below(data).removeprefix("\n"), data=data)
    return row._replace(text=row.words + _below(data), data=data)


def _with_addition(row: Standing, told: Word) -> Standing:
    added = _noted(row.data.get("added", ()), (told.at, told.text))
    data = dict(row.data) | {"edited": True, "added": added}
    return row._replace(text=row.words + _below(data), data=data)


def _noted(noted: Any, new: tuple[datetime, str]) -> list[dict[str, str]]:
    """In the order of their times, each once."""
    entry = {"at": new[0].isoformat(), "text": new[1]}
    entries = [dict(each) for each in noted if dict(each) != entry]
    return sorted([*entries, entry], key=lambda each: (_at(each), each["text"]))[-_MOST:]


def _below(data: Mapping[str, Any]) -> str:
    return "".join(f"\n{each['text']}" for each in data.get("added", ()))


def _at(entry: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(entry["at"])


def _time(data: Mapping[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(data[name]) if data.get(name) else None


def _with(data: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    rest = {key: each for key, each in data.items() if key != name}
    return rest | {name: value} if value else rest


# --- calls ---------------------------------------------------------------------------------------


def heard(row: Standing, message: MessageReceived, telling: Mapping[str, Any]) -> Standing:
    """A call after one more word about it; `telling`: the rest of that word, as in a row."""
    if row.data.get("forgotten"):
        return row
    told = row.data.get("told") or [row.kind]
    better = _weight(message.kind, message.text, telling) > _weight(row.kind, row.words, row.data)
    best, other = (telling, row.data) if better else (row.data, telling)
    # The same word once more names its file once more, which may have been fetched meanwhile.
    again = message.kind in told and bool(row.data.get("attachments"))
    files = _files(row.data.get("attachments", ()), () if again else telling.get("attachments", ()))
    attributes = {**other.get("attributes", {}), **best.get("attributes", {})}
    data = {**other, **best, **{name: row.data[name] for name in _KEPT if name in row.data}}
    data = _with(_with(data, "attributes", attributes), "attachments", files)
    kinds = sorted({*told, message.kind}, key=RANK.__getitem__)
    data = _with(data, "told", kinds if len(kinds) > 1 else ())
    return Standing(
        kind=message.kind if better else row.kind,
        text=(message.text if better else row.words) + _below(row.data),
        occurred_at=min(row.occurred_at, message.occurred_at),
        data=data,
    )


def _weight(kind: str, text: str, data: Mapping[str, Any]) -> tuple[int, int, str]:
    """Of two words that say the same, the one that says it at greater length."""
    return RANK[cast("Kind", kind)], (data.get("call") or {}).get("duration", 0), text


def _files(old: Any, new: Any) -> list[Any]:
    """Once each, by where it is with the provider."""
    places = [(each.get("url", ""), each.get("media_id", "")) for each in old]
    more = [e for e in new if (e.get("url", ""), e.get("media_id", "")) not in places]
    return [*old, *more]
