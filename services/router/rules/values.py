"""The kinds of values in a policy file: names of its own things, durations, hours, conditions.

Each is a type with its check; the check raises ValueError that says what would be right. Which
names a file has comes in by pydantic's validation context (`Names`), so that one reading of the
file finds every problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Final, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import holidays
from holidays.registry import COUNTRIES
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, Strict, ValidationInfo

from services.router.openings import Span, days_named, in_order, week_of
from services.router.rules.condition_check import compile_condition
from services.router.rules.condition_words import Words
from services.router.rules.conditions import Condition
from shared.durations import Duration
from shared.events import Channel, Scheme
from shared.yamlfile import nearest

SUPERVISORS: Final = "supervisors"
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2200
_MOST_YEARS: Final = 10
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Names:
    """The names a file defines, as far as it could be read.

    working    the calendars with weekly hours: only in those can any target be met
    external   the teams that are chain partners, without agents here
    groups     of customers
    timezone   of moments without an offset; UTC where the file's cannot be read
    """

    teams: frozenset[str]
    external: frozenset[str]
    calendars: frozenset[str]
    working: frozenset[str]
    products: frozenset[str]
    service_levels: frozenset[str]
    rules: frozenset[str]
    groups: frozenset[str]
    timezone: ZoneInfo

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
            groups=self.groups,
            with_team=with_team,
        )


def names_of(info: ValidationInfo) -> Names:
    """What the file defines, for a check of one of its values."""
    if not isinstance(info.context, Names):
        raise TypeError("a policy is validated with the context Names")
    return info.context


# --- checks ----------------------------------------------------------------------------------


def _one_of(what: str, known: Callable[[Names], Iterable[str]]) -> AfterValidator:
    def check(word: str, info: ValidationInfo) -> str:
        words = frozenset(known(names_of(info)))
        if word not in words:
            raise ValueError(f"unknown {what} `{word}`: {nearest(word, words)}")
        return word

    return AfterValidator(check)


def _calendar_of_targets(name: str, info: ValidationInfo) -> str:
    names = names_of(info)
    if name in names.calendars and name not in names.working:
        raise ValueError(
            f"calendar `{name}` has no weekly hours, so no target can be met in it: "
            f"give it hours, or name another ({', '.join(sorted(names.working)) or 'none yet'})"
        )
    return name


def _calendar_of_switches(name: str, info: ValidationInfo) -> str:
    names = names_of(info)
    if name in names.calendars and name not in names.working:
        raise ValueError(
            f"calendar `{name}` has no weekly hours, so nobody could ever switch: give it hours, "
            f"or name another ({', '.join(sorted(names.working)) or 'none yet'})"
        )
    return name


def _with_agents(name: str, info: ValidationInfo) -> str:
    if name in names_of(info).external:
        raise ValueError(
            f"team `{name}` is external: it has no agents here, so nobody would see the case; name "
            f"a team of yours, which hands it off to `{name}`"
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
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", str(text), re.ASCII):
            raise ValueError(text)
        day = date.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"`{text}` is no date: write 2026-12-24") from None
    _in_these_times(text, day)
    return day


def _time(text: object) -> time:
    if not isinstance(text, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text, re.ASCII):
        raise ValueError(f'`{text}` is no time of day: write "20:00", in quotes')
    return time.fromisoformat(text)


def _moment(text: object) -> datetime:
    try:
        if not re.match(r"\d{4}-\d\d-\d\d(?!\d)", str(text), re.ASCII):
            raise ValueError(text)
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"`{text}` is no moment: write 2026-11-20T17:10") from None
    _in_these_times(text, at)
    return at


def _in_these_times(text: object, day: date) -> None:
    """What is counted from a date must stay within the calendar, which ends with 9999."""
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise ValueError(f"`{text}` is out of range: years go from {_FIRST_YEAR} to {_LAST_YEAR}")


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
        raise ValueError(f"no holidays are known for country `{country}`: {_country_for(country)}")
    if dash and subdivision not in known[country]:
        right = nearest(subdivision, known[country], 30)
        raise ValueError(f"`{country}` has no part `{subdivision}`: {right}")
    return region


def _country_for(word: str) -> str:
    """The code for `de`, `DEU`, `Netherlands` or `Netherland`."""
    codes = {name.replace("_", " "): about[1] for name, about in COUNTRIES.items()}
    codes |= {about[2].lower(): about[1] for about in COUNTRIES.values()}
    codes |= {code.lower(): code for code in codes.values()}
    spelled = word.strip().lower()
    close = [spelled] if spelled in codes else get_close_matches(spelled, codes, n=1, cutoff=0.8)
    return f"did you mean `{codes[close[0]]}`?" if close else "write a code of two letters, NL"


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


def _topic(text: str) -> str:
    if not re.fullmatch(r"/(?:[^/]+/)*[-_A-Za-z0-9]{1,64}", urlsplit(text).path):
        raise ValueError(f"`{text}` names no topic: write https://ntfy.sh/topic")
    return text


def _urgency(given: object) -> int:
    """ntfy's priorities, by number or by name."""
    names = ("min", "low", "default", "high", "max")
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= len(names):
        return given
    if given == "urgent":
        return len(names)
    if given not in names:
        raise ValueError(f"`{given}` is no priority of ntfy: write 1 to 5, or {', '.join(names)}")
    return names.index(str(given)) + 1


def _language(text: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", text, re.ASCII):
        raise ValueError(f"`{text}` is no language: write nl, or nl-BE")
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


def _not_for_ever(duration: Duration) -> Duration:
    if duration.after(_ANY_TIME) > Duration(_MOST_YEARS, "y").after(_ANY_TIME):
        raise ValueError(f"`{duration}` is too long: at most {_MOST_YEARS}y")
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
        return compile_condition(source, words(names_of(info)))

    return PlainValidator(compile_it)


# --- kinds of values -------------------------------------------------------------------------

TeamName = Annotated[str, _one_of("team", lambda names: names.teams)]
OwnTeamName = Annotated[TeamName, AfterValidator(_with_agents)]
OwnerName = Annotated[
    str,
    _one_of("team", lambda names: {*names.teams, SUPERVISORS}),
    AfterValidator(_with_agents),
]
ProductName = Annotated[str, _one_of("product", lambda names: names.products)]
ReceiverName = Annotated[
    str, _one_of("team or product", lambda names: names.teams | names.products)
]
LevelName = Annotated[str, _one_of("service level", lambda names: names.service_levels)]
RuleName = Annotated[str, _one_of("routing rule", lambda names: names.rules)]
CalendarName = Annotated[str, _one_of("calendar", lambda names: names.calendars)]
WorkingCalendar = Annotated[CalendarName, AfterValidator(_calendar_of_targets)]
SwitchCalendar = Annotated[CalendarName, AfterValidator(_calendar_of_switches)]
Target = Annotated[Duration, AfterValidator(_positive)]
WallClock = Annotated[Duration, AfterValidator(_wall_clock), AfterValidator(_not_for_ever)]
Lease = Annotated[WallClock, AfterValidator(_positive)]
Kept = Annotated[Duration, AfterValidator(_wall_clock), AfterValidator(_positive)]
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
TopicUrl = Annotated[Url, AfterValidator(_topic)]
Urgency = Annotated[int, PlainValidator(_urgency)]
Language = Annotated[str, AfterValidator(_language)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
IdentityText = Annotated[str, AfterValidator(_identity)]
Count = Annotated[int, Strict(), Field(ge=1, le=10_000)]
Weight = Annotated[float, Field(strict=True, ge=0, le=1_000, allow_inf_nan=False)]
Price = Annotated[float, Field(strict=True, ge=0, le=1_000_000, allow_inf_nan=False)]
Scale = Annotated[tuple[int, int], PlainValidator(_scale)]
ReplyChannel = Annotated[str, PlainValidator(_reply_channel)]
RoutingCondition = Annotated[Condition, _condition(lambda names: names.in_routing)]
LevelCondition = Annotated[Condition, _condition(lambda names: names.in_service_levels)]
OneOrMore = BeforeValidator(_one_or_more)
NotEmpty = BeforeValidator(_not_empty)
