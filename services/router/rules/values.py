"""The kinds of values in a policy file: names of its own things, durations, hours, conditions.

Each is a type with its check; the check raises ValueError that says what would be right. Which
names a file has comes in by pydantic's validation context (`Names`), so that one reading of the
file finds every problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from typing import Annotated, Final, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import holidays
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, Strict, ValidationInfo

from services.router.openings import Span, days_named, in_order, week_of
from services.router.rules.condition_check import Words, compile_condition
from services.router.rules.conditions import Condition
from shared.durations import Duration
from shared.events import Channel, Scheme
from shared.yamlfile import nearest

SUPERVISORS: Final = "supervisors"


@dataclass(frozen=True)
class Names:
    """The names a file defines, as far as it could be read.

    working    the calendars with weekly hours: only in those can any target be met
    """

    teams: frozenset[str]
    calendars: frozenset[str]
    working: frozenset[str]
    products: frozenset[str]
    service_levels: frozenset[str]
    rules: frozenset[str]

    @cached_property
    def in_routing(self) -> Words:
        return self._words(with_team=False)

    @cached_property
    def in_service_levels(self) -> Words:
        return self._words(with_team=True)

    def _words(self, *, with_team: bool) -> Words:
        return Words.of(
            calendars=self.calendars,
            teams=self.teams,
            products=self.products,
            with_team=with_team,
        )


def _names(info: ValidationInfo) -> Names:
    if not isinstance(info.context, Names):
        raise TypeError("a policy is validated with the context Names")
    return info.context


# --- checks ----------------------------------------------------------------------------------


def _one_of(what: str, known: Callable[[Names], Iterable[str]]) -> AfterValidator:
    def check(word: str, info: ValidationInfo) -> str:
        words = frozenset(known(_names(info)))
        if word not in words:
            raise ValueError(f"unknown {what} `{word}`: {nearest(word, words)}")
        return word

    return AfterValidator(check)


def _calendar_of_targets(name: str, info: ValidationInfo) -> str:
    names = _names(info)
    if name in names.calendars and name not in names.working:
        raise ValueError(
            f"calendar `{name}` has no weekly hours, so no target can be met in it: "
            f"give it hours, or name another ({', '.join(sorted(names.working)) or 'none yet'})"
        )
    return name


def _zone(name: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        right = nearest(name, available_timezones(), 3)
        raise ValueError(f"unknown time zone `{name}`: {right}") from None


def _date(text: object) -> date:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"`{text}` is no date: write 2026-12-24") from None


def _time(text: object) -> time:
    if not isinstance(text, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text, re.ASCII):
        raise ValueError(f'`{text}` is no time of day: write "20:00", in quotes')
    return time.fromisoformat(text)


def _moment(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"`{text}` is no moment: write 2026-11-20T17:10") from None


def _day_names(text: str) -> str:
    days_named(text)
    return text


def _no_day_twice(hours: Mapping[str, tuple[Span, ...]]) -> Mapping[str, tuple[Span, ...]]:
    week_of(hours)
    return hours


def _around_the_clock(hours: object) -> object:
    return {"mon-sun": ["00:00-24:00"]} if hours == "24/7" else hours


def _region(region: str) -> str:
    known = holidays.list_supported_countries()
    country, dash, subdivision = region.partition("-")
    if country not in known:
        raise ValueError(f"no holidays are known for country `{country}`: write NL, or DE-BY")
    if dash and subdivision not in known[country]:
        right = nearest(subdivision, known[country], 30)
        raise ValueError(f"`{country}` has no part `{subdivision}`: {right}")
    return region


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _not_empty(value: object) -> object:
    if value in ([], {}):
        raise ValueError("is empty: there must be at least one")
    return value


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text):
        raise ValueError(f"`{text}` is no address: write https://host/path")
    return text


def _mail_address(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError(f"`{text}` is no mail address: write desk@example.org")
    return text


def _identity(text: str) -> str:
    """`customer_no:1001`; mail addresses are compared in lower case."""
    scheme, colon, value = text.partition(":")
    known = get_args(Scheme)
    if not colon or not value or scheme not in known:
        raise ValueError(
            f"`{text}` is no identity: write scheme:value, such as customer_no:1001 or "
            f"email:jo@example.org; a scheme is one of {', '.join(known)}"
        )
    return f"{scheme}:{value.lower() if scheme == 'email' else value}"


def _positive(duration: Duration) -> Duration:
    if not duration:
        raise ValueError(f"`{duration}` is no time at all: it must be more than zero")
    return duration


def _wall_clock(duration: Duration) -> Duration:
    if duration.unit == "bd":
        raise ValueError(
            f"`{duration}`: business days count in service levels only; this is wall clock, "
            f"write {duration.amount}d"
        )
    return duration


def _scale(text: object) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,3})-(\d{1,3})", str(text), re.ASCII)
    if match is None or int(match[1]) >= int(match[2]):
        raise ValueError(f"`{text}` is no scale: write 1-5")
    return int(match[1]), int(match[2])


def _reply_channel(given: object) -> str:
    """Empty for the case's own channel."""
    channels = get_args(Channel)
    if given is True:
        return ""
    if given not in channels:
        right = nearest(given, channels)
        raise ValueError(f"`{given}` is no channel: write true for the case's own; {right}")
    return str(given)


def _condition(words: Callable[[Names], Words]) -> PlainValidator:
    def compile_it(source: object, info: ValidationInfo) -> Condition:
        return compile_condition(source, words(_names(info)))

    return PlainValidator(compile_it)


# --- kinds of values -------------------------------------------------------------------------

TeamName = Annotated[str, _one_of("team", lambda names: names.teams)]
OwnerName = Annotated[str, _one_of("team", lambda names: {*names.teams, SUPERVISORS})]
ProductName = Annotated[str, _one_of("product", lambda names: names.products)]
ReceiverName = Annotated[
    str, _one_of("team or product", lambda names: names.teams | names.products)
]
LevelName = Annotated[str, _one_of("service level", lambda names: names.service_levels)]
RuleName = Annotated[str, _one_of("routing rule", lambda names: names.rules)]
CalendarName = Annotated[str, _one_of("calendar", lambda names: names.calendars)]
WorkingCalendar = Annotated[CalendarName, AfterValidator(_calendar_of_targets)]
Target = Annotated[Duration, AfterValidator(_positive)]
WallClock = Annotated[Duration, AfterValidator(_wall_clock)]
Lease = Annotated[WallClock, AfterValidator(_positive)]
Zone = Annotated[ZoneInfo, PlainValidator(_zone)]
Day = Annotated[date, PlainValidator(_date)]
TimeOfDay = Annotated[time, PlainValidator(_time)]
Moment = Annotated[datetime, PlainValidator(_moment)]
SpanText = Annotated[Span, PlainValidator(Span.parse)]
Spans = Annotated[tuple[SpanText, ...], AfterValidator(in_order)]
DayNames = Annotated[str, AfterValidator(_day_names)]
Hours = Annotated[
    Mapping[DayNames, Spans],
    BeforeValidator(_around_the_clock),
    AfterValidator(_no_day_twice),
]
Region = Annotated[str, AfterValidator(_region)]
Url = Annotated[str, AfterValidator(_url)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
IdentityText = Annotated[str, AfterValidator(_identity)]
Count = Annotated[int, Strict(), Field(ge=1)]
Weight = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Scale = Annotated[tuple[int, int], PlainValidator(_scale)]
ReplyChannel = Annotated[str, PlainValidator(_reply_channel)]
RoutingCondition = Annotated[Condition, _condition(lambda names: names.in_routing)]
LevelCondition = Annotated[Condition, _condition(lambda names: names.in_service_levels)]
OneOrMore = BeforeValidator(_one_or_more)
NotEmpty = BeforeValidator(_not_empty)
