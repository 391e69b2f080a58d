"""Instants as people say them: `Tue 17 Nov 10:30` where they are, and `in 30 minutes`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS: Final[Mapping[str, str]] = {
    "en": "Mon Tue Wed Thu Fri Sat Sun",
    "nl": "ma di wo do vr za zo",
    "de": "Mo Di Mi Do Fr Sa So",
    "fr": "lun. mar. mer. jeu. ven. sam. dim.",
}
_MONTHS: Final[Mapping[str, str]] = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "nl": "jan. feb. mrt. apr. mei juni juli aug. sep. okt. nov. dec.",
    "de": "Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.",
    "fr": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
}


class _Spans(NamedTuple):
    ahead: str
    past: str
    now: str
    minute: tuple[str, str]
    hour: tuple[str, str]
    day: tuple[str, str]


_SPANS: Final[Mapping[str, _Spans]] = {
    "en": _Spans("in {}", "{} ago", "now", ("minute", "minutes"), ("hour", "hours"),
                 ("day", "days")),
    "nl": _Spans("over {}", "{} geleden", "nu", ("minuut", "minuten"), ("uur", "uur"),
                 ("dag", "dagen")),
    "de": _Spans("in {}", "vor {}", "jetzt", ("Minute", "Minuten"), ("Stunde", "Stunden"),
                 ("Tag", "Tagen")),
    "fr": _Spans("dans {}", "il y a {}", "maintenant", ("minute", "minutes"), ("heure", "heures"),
                 ("jour", "jours")),
}  # fmt: skip


def zone_of(name: str) -> ZoneInfo:
    """UTC for none, and for one that this machine does not know."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def moment(at: datetime, now: datetime, zone: ZoneInfo, language: str) -> str:
    """Local time; on another day than `now`, with its date."""
    local = at.astimezone(zone)
    clock = f"{local:%H:%M}"
    if local.date() == now.astimezone(zone).date():
        return clock
    day = _DAYS[language].split()[local.weekday()]
    month = _MONTHS[language].split()[local.month - 1]
    number = f"{local.day}." if language == "de" else f"{local.day}"
    return f"{day} {number} {month} {clock}"


def left(at: datetime, now: datetime, language: str) -> str:
    """`in 30 minutes`, `2 hours ago`: rounded down, so that nobody is told of more than there
    is; in hours from two on, in days from two on."""
    words = _SPANS[language]
    minutes = int(abs((at - now).total_seconds()) // 60)
    if minutes < 1:
        return words.now
    hours, days = minutes // 60, minutes // 1440
    if days >= 2:
        said = _counted(days, words.day)
    elif hours >= 2:
        said = _counted(hours, words.hour)
    else:
        said = _counted(minutes, words.minute)
    return (words.ahead if at > now else words.past).format(said)


def _counted(count: int, names: tuple[str, str]) -> str:
    return f"{count} {names[count != 1]}"
