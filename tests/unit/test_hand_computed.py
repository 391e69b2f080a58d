"""Deadlines worked out by hand: holidays, half days, clock changes, weekends, the ends of years.

Each row is a line as the policy file writes them, `calendar: start + target = due`, with its
arithmetic below it. All times are what the clock on the calendar's wall shows; where it shows a
time twice, the row names the offset. The rows go through the policy file and `deadlines.plan`, and
once more through the oracle, so that a slip of the hand shows as well.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from ruamel.yaml import YAML

from services.router import deadlines
from services.router.policy import Facts, Policy
from shared.durations import Duration
from tests.builders import EXAMPLE
from tests.minute_by_minute import Shop, Spans

CALENDARS: Final = """
timezone: Europe/Amsterdam
calendars:
  always: {hours: 24/7}
  office:
    hours: {mon-fri: ["08:30-12:30", "13:00-17:30"], sat: ["10:00-14:00"]}
    holidays: NL
    exceptions: {2026-12-24: ["08:30-12:00"], 2026-12-31: []}
  week: {hours: {mon-fri: ["09:00-17:00"]}, holidays: NL}
  eve:
    hours: {mon-fri: ["09:00-17:00"]}
    holidays: NL
    exceptions: {2025-12-24: ["09:00-13:00"], 2025-12-31: ["09:00-13:00"]}
  kings:
    hours: {mon-fri: ["09:00-17:00"]}
    holidays: NL
    exceptions: {2026-04-27: ["12:00-16:00"]}
  fair: {hours: {mon-fri: ["09:00-17:00"]}, exceptions: {2026-11-22: ["10:00-16:00"]}}
  munich: {timezone: Europe/Berlin, hours: {mon-fri: ["08:00-16:00"]}, holidays: DE-BY}
  border: {hours: {mon-fri: ["09:00-17:00"]}, holidays: [NL, DE-BY]}
  london: {timezone: Europe/London, hours: {mon-fri: ["09:00-17:30"]}, holidays: GB-ENG}
  newyork: {timezone: America/New_York, hours: {mon-fri: ["09:00-17:00"]}, holidays: US}
  nyc247: {timezone: America/New_York, hours: 24/7}
  night: {hours: {mon-sun: ["00:00-06:00", "22:00-24:00"]}}
  late: {hours: {mon-fri: ["16:00-24:00"]}}
  odd: {hours: {tue: ["00:00-06:00"], wed: ["20:00-24:00"], thu: ["10:00-12:00"]}}
  early: {hours: {mon-sun: ["02:15-02:45", "03:30-06:00"]}}
  howe: {timezone: Australia/Lord_Howe, hours: {mon-sun: ["01:00-03:00"]}}
  nepal: {timezone: Asia/Kathmandu, hours: {sun: ["10:00-17:00"], mon-fri: ["10:00-17:00"]}}
  casa: {timezone: Africa/Casablanca, hours: 24/7}
teams: {desk: {calendar: office}}
routing: [{name: everything, team: desk}]
"""

TABLE: Final = """
# --- the examples in the policy file's own comment
office: Fri 2026-11-20 14:00 + 1bd = Sat 2026-11-21 14:00
    Saturday is an open date, and 14:00 its closing time: due then
office: Fri 2026-11-20 17:10 + 1h = Sat 2026-11-21 10:40
    20m to 17:30, then 40m from 10:00
office: Wed 2026-11-18 12:10 + 1h = Wed 2026-11-18 13:40
    20m to lunch at 12:30, 40m from 13:00
office: Sun 2026-11-22 12:00 + 1h = Mon 2026-11-23 09:30
    Sunday is closed: 60m from Monday 08:30
office: Fri 2026-11-20 17:10 + 1bd = Mon 2026-11-23 08:30
    Saturday 17:10 is closed: the next opening
office: Fri 2026-11-20 19:00 + 1bd = Mon 2026-11-23 10:00
    moves to Saturday 10:00, one open date on
office: Sun 2026-11-22 13:00 + 1bd = Tue 2026-11-24 08:30
    moves to Monday 08:30, one open date on
office: Tue 2026-11-17 09:00 + 1bd = Wed 2026-11-18 09:00
    the same time on the next open date

# --- King's Day: 27 April, or the 26th when that is a Sunday
week: Fri 2026-04-24 16:30 + 1h = Tue 2026-04-28 09:30
    30m on Friday; Monday the 27th is King's Day; 30m on Tuesday
office: Fri 2025-04-25 17:00 + 1h = Mon 2025-04-28 09:00
    the 27th is a Sunday, so Saturday the 26th is the holiday: 30m Friday, 30m from 08:30 on Monday
office: Fri 2025-04-25 11:00 + 1bd = Mon 2025-04-28 11:00
    that Saturday is no open date
office: Fri 2024-04-26 17:00 + 1h = Mon 2024-04-29 09:00
    the 27th is the Saturday itself: 30m Friday, 30m Monday
office: Sat 2026-04-25 13:00 + 1h = Sat 2026-04-25 14:00
    in 2026 the Saturday before is as any other, to its closing time
kings: Fri 2026-04-24 16:30 + 1h = Mon 2026-04-27 12:30
    an exception overrides the holiday: 30m Friday, 30m from 12:00
kings: Fri 2026-04-24 10:00 + 1bd = Mon 2026-04-27 12:00
    King's Day is an open date now; 10:00 is before its opening
kings: Fri 2026-04-24 16:00 + 1bd = Mon 2026-04-27 16:00
    16:00 is that day's closing time: due then
kings: Fri 2026-04-24 16:01 + 1bd = Tue 2026-04-28 09:00
    a minute after it: the next opening

# --- Easter, 5 May, Ascension, Whitsun
week: Thu 2026-04-02 16:00 + 2h = Tue 2026-04-07 10:00
    1h Thursday; Good Friday, the weekend and Easter Monday closed; 1h Tuesday
week: Thu 2026-04-02 11:00 + 1bd = Tue 2026-04-07 11:00
    the next open date after Thursday is Tuesday
office: Sat 2026-04-04 13:00 + 2bd = Wed 2026-04-08 13:00
    Tuesday is one, Wednesday two; 13:00 is the opening after lunch
office: Fri 2026-04-03 10:00 + 1h = Sat 2026-04-04 11:00
    Good Friday closed; Saturday opens at 10:00
munich: Thu 2025-04-17 15:00 + 3h = Tue 2025-04-22 10:00
    1h Thursday; Friday the 18th to Monday the 21st closed; 2h from 08:00
week: Thu 2024-03-28 16:00 + 9h = Tue 2024-04-02 17:00
    1h Thursday; Good Friday, Easter with the lost hour, Easter Monday; 8h Tuesday, to its closing
week: Fri 2025-05-02 16:00 + 2h = Tue 2025-05-06 10:00
    5 May 2025 is a day off, as every fifth year: 1h Friday, 1h Tuesday
week: Mon 2026-05-04 16:00 + 2h = Tue 2026-05-05 10:00
    in 2026 it is not: 1h Monday, 1h Tuesday
week: Fri 2025-05-02 10:00 + 3bd = Thu 2025-05-08 10:00
    Tuesday 6, Wednesday 7, Thursday 8
week: Wed 2026-05-13 16:00 + 1bd = Fri 2026-05-15 16:00
    Thursday is Ascension Day
week: Fri 2026-05-22 16:00 + 2h = Tue 2026-05-26 10:00
    1h Friday; Whit Monday closed; 1h Tuesday
border: Fri 2026-04-24 16:00 + 2h = Tue 2026-04-28 10:00
    two countries: Monday is a holiday in the one
border: Thu 2026-04-30 16:00 + 2h = Mon 2026-05-04 10:00
    and Friday 1 May in the other

# --- Bavaria
munich: Mon 2026-01-05 15:30 + 1h = Wed 2026-01-07 08:30
    30m; Epiphany closed; 30m from 08:00
munich: Wed 2026-06-03 12:00 + 1bd = Fri 2026-06-05 12:00
    Corpus Christi on Thursday
munich: Fri 2027-10-29 15:00 + 2h = Tue 2027-11-02 09:00
    1h; All Saints on Monday; 1h from 08:00
munich: Thu 2025-10-02 15:00 + 2h = Mon 2025-10-06 09:00
    1h; Unity Day on Friday; 1h on Monday

# --- Christmas and New Year, on weekends too
week: Fri 2027-12-24 16:30 + 1h = Mon 2027-12-27 09:30
    the holidays are Saturday and Sunday, and the Netherlands give no day for them
london: Fri 2027-12-24 17:00 + 1h = Wed 2027-12-29 09:30
    England does: Monday and Tuesday; 30m to 17:30, 30m on Wednesday
london: Thu 2026-12-24 12:00 + 1bd = Tue 2026-12-29 12:00
    Friday Christmas; Boxing Day is a Saturday, kept on Monday
london: Fri 2027-12-31 17:00 + 1h = Tue 2028-01-04 09:30
    1 January is a Saturday, kept on Monday the 3rd
newyork: Thu 2027-12-23 16:00 + 2h = Mon 2027-12-27 10:00
    Saturday's Christmas is kept on Friday the 24th: 1h Thursday, 1h Monday
newyork: Thu 2027-12-30 10:00 + 1bd = Mon 2028-01-03 10:00
    New Year 2028 is kept on Friday 31 December 2027
newyork: Thu 2026-07-02 16:30 + 1h = Mon 2026-07-06 09:30
    4 July is a Saturday, kept on Friday the 3rd
newyork: Wed 2026-11-25 16:00 + 2h = Fri 2026-11-27 10:00
    Thanksgiving on Thursday

# --- half days
office: Thu 2026-12-24 11:30 + 1h = Mon 2026-12-28 09:00
    30m to noon; 25th, 26th and Sunday closed; 30m from 08:30
office: Wed 2026-12-23 14:00 + 1bd = Mon 2026-12-28 08:30
    the 24th is an open date, but closed at 14:00
office: Wed 2026-12-23 12:00 + 1bd = Thu 2026-12-24 12:00
    its closing time: due then
office: Wed 2026-12-23 16:30 + 2h = Thu 2026-12-24 09:30
    1h Wednesday, 1h from 08:30
office: Tue 2026-12-22 17:00 + 12h = Thu 2026-12-24 11:30
    30m Tuesday, 4h and 4h30 Wednesday make 9h; 3h from 08:30
office: Wed 2026-12-30 16:30 + 2h = Sat 2027-01-02 11:00
    1h; the 31st closed by exception, 1 January a holiday; 1h from 10:00
office: Thu 2026-12-31 10:00 + 1bd = Mon 2027-01-04 10:00
    moves to Saturday 2 January 10:00; one open date on is Monday, open at 10:00
eve: Tue 2025-12-23 16:00 + 5h = Wed 2025-12-24 13:00
    1h, and the 4h of the half day to its closing: due then
eve: Tue 2025-12-23 16:00 + 301m = Mon 2025-12-29 09:01
    a minute more is the first of Monday: Thursday and Friday are Christmas
eve: Tue 2025-12-30 15:00 + 1bd = Fri 2026-01-02 09:00
    the 31st is closed at 15:00, Thursday is New Year's Day
eve: Wed 2025-12-31 12:00 + 1bd = Fri 2026-01-02 12:00
    from a half day at noon to noon
eve: Wed 2025-12-31 13:00 + 1bd = Mon 2026-01-05 09:00
    from its closing time, which is closed: moves to Friday 09:00, one open date on is Monday
eve: Mon 2025-12-22 14:00 + 3bd = Mon 2025-12-29 14:00
    Tuesday, the half Wednesday, Monday
eve: Mon 2025-12-22 14:00 + 2bd = Mon 2025-12-29 09:00
    the half Wednesday is closed at 14:00: the next opening

# --- exceptions that open
fair: Fri 2026-11-20 16:30 + 1h = Sun 2026-11-22 10:30
    30m Friday; that Sunday opens at 10:00
fair: Fri 2026-11-20 16:30 + 1bd = Mon 2026-11-23 09:00
    the Sunday is an open date, closed at 16:30
fair: Sat 2026-11-21 12:00 + 1bd = Mon 2026-11-23 10:00
    moves to Sunday 10:00; Monday is open at 10:00
fair: Fri 2026-11-20 11:00 + 2bd = Mon 2026-11-23 11:00
    Sunday is one, Monday two

# --- clocks go forward: Amsterdam, Sunday 29 March 2026, 02:00 becomes 03:00
always: Sun 2026-03-29 01:30 + 1h = Sun 2026-03-29 03:30
    30m to 02:00, which is 03:00
always: Sat 2026-03-28 12:00 + 24h = Sun 2026-03-29 13:00
    the day has 23 hours
always: Sat 2026-03-28 12:00 + 1bd = Sun 2026-03-29 12:00
    a day keeps the time of day
always: Sat 2026-03-28 02:30 + 1bd = Sun 2026-03-29 03:00
    02:30 does not exist: due as the clocks jump
early: Sat 2026-03-28 05:00 + 2h = Sun 2026-03-29 04:30
    1h; 02:15 to 02:45 does not exist; 1h from 03:30
early: Sat 2026-03-28 02:30 + 1bd = Sun 2026-03-29 03:30
    02:30 does not exist, and after the jump it is closed till 03:30
night: Sat 2026-03-28 22:00 + 8h = Sun 2026-03-29 23:00
    2h to midnight, 2h to 02:00, 3h from 03:00 to 06:00, 1h from 22:00
office: Sat 2026-03-28 13:30 + 1h = Mon 2026-03-30 09:00
    30m, 30m: the office slept through it
office: Fri 2026-03-27 11:00 + 2bd = Mon 2026-03-30 11:00
    Saturday, Monday

# --- clocks go back: Sunday 25 October 2026, 03:00 becomes 02:00
always: Sun 2026-10-25 02:30+02:00 + 1h = Sun 2026-10-25 02:30+01:00
    the same time once more
always: Sun 2026-10-25 01:30 + 2h = Sun 2026-10-25 02:30+01:00
    1h to the first 02:30, 1h to the second
always: Sat 2026-10-24 12:00 + 24h = Sun 2026-10-25 11:00
    the day has 25 hours
always: Sat 2026-10-24 02:30 + 1bd = Sun 2026-10-25 02:30+02:00
    02:30 comes twice: the first, which promises more
always: Sun 2026-10-25 02:30+01:00 + 1bd = Mon 2026-10-26 02:30
    from the second
early: Sat 2026-10-24 05:00 + 150m = Sun 2026-10-25 04:00
    60m; 02:15 to 02:45 twice make 60m; 30m from 03:30
early: Sat 2026-10-24 05:30 + 1h = Sun 2026-10-25 02:45+02:00
    30m, and the first 02:15 to 02:45, to its closing
early: Sat 2026-10-24 05:30 + 61m = Sun 2026-10-25 02:16+01:00
    a minute more is the first of the second
night: Sat 2026-10-24 22:00 + 8h = Sun 2026-10-25 05:00
    2h to midnight, 3h to 03:00, which is 02:00, 3h more
office: Sat 2026-10-24 13:30 + 1h = Mon 2026-10-26 09:00
    30m, 30m

# --- other clocks
newyork: Fri 2026-03-06 16:30 + 1h = Mon 2026-03-09 09:30
    over the American change of 8 March
nyc247: Sat 2026-03-07 02:30 + 1bd = Sun 2026-03-08 03:00
    02:30 does not exist there that day
nyc247: Sun 2026-11-01 00:30 + 2h = Sun 2026-11-01 01:30-05:00
    1h to the first 01:30, 1h to the second
howe: Sat 2026-10-03 02:30 + 2h = Sun 2026-10-04 03:00
    30m; 1h to 02:00, which is 02:30; 30m to the closing
howe: Sat 2026-10-03 02:15 + 1bd = Sun 2026-10-04 02:30
    02:15 does not exist: half an hour is lost on Lord Howe
howe: Sun 2026-04-05 01:00 + 2h = Sun 2026-04-05 02:30
    1h to 02:00, which is 01:30 again; 1h more
casa: Sun 2026-03-22 01:30 + 1h = Sun 2026-03-22 03:30
    after Ramadan 02:00 becomes 03:00
nepal: Fri 2026-11-20 16:45:30 + 30m = Sun 2026-11-22 10:15:30
    14m30 to 17:00; Saturday is the day off; 15m30 from 10:00

# --- weekends, lunch, openings and closings
office: Fri 2026-11-20 13:30 + 1bd = Sat 2026-11-21 13:30
    Saturday is open then
office: Thu 2026-11-19 15:00 + 2bd = Mon 2026-11-23 08:30
    Friday, Saturday; Saturday 15:00 is closed
office: Sat 2026-11-21 10:00 + 1bd = Mon 2026-11-23 10:00
    from an opening
office: Sat 2026-11-21 14:00 + 1bd = Tue 2026-11-24 08:30
    a closing time is closed: moves to Monday 08:30
office: Sat 2026-11-21 14:00 + 1h = Mon 2026-11-23 09:30
    the same for an hour
office: Tue 2026-11-17 12:45 + 1bd = Wed 2026-11-18 13:00
    at lunch: moves to 13:00
office: Tue 2026-11-17 12:30 + 1bd = Wed 2026-11-18 13:00
    as lunch begins: moves to 13:00
office: Tue 2026-11-17 12:29 + 1bd = Wed 2026-11-18 12:29
    a minute before, it is open
office: Fri 2026-11-20 12:45 + 1bd = Sat 2026-11-21 13:00
    moves to 13:00; Saturday is open through lunch
office: Tue 2026-11-17 12:30 + 15m = Tue 2026-11-17 13:15
    lunch does not count
office: Tue 2026-11-17 08:30 + 4h = Tue 2026-11-17 12:30
    to the closing before lunch: due then, not at 13:00
office: Tue 2026-11-17 08:30 + 510m = Tue 2026-11-17 17:30
    4h and 4h30 to the closing
office: Tue 2026-11-17 17:30 + 4h = Wed 2026-11-18 12:30
    from closing to closing
week: Fri 2026-11-20 17:00 + 40h = Fri 2026-11-27 17:00
    five times 8h
week: Fri 2026-11-20 17:00 + 5bd = Mon 2026-11-30 09:00
    moves to Monday 23 09:00; five open dates on
night: Fri 2026-11-20 23:30 + 1h = Sat 2026-11-21 00:30
    24:00 closes and 00:00 opens: no gap
late: Fri 2026-11-20 23:00 + 1h = Sat 2026-11-21 00:00
    Friday's 24:00 is a closing time: due then
late: Fri 2026-11-20 23:00 + 61m = Mon 2026-11-23 16:01
    a minute more is the first of Monday
late: Sat 2026-11-21 00:00 + 30m = Mon 2026-11-23 16:30
    from Friday's 24:00, which is closed
late: Sat 2026-11-21 00:00 + 1bd = Tue 2026-11-24 16:00
    moves to Monday 16:00
odd: Tue 2026-11-17 00:00 + 2bd = Thu 2026-11-19 00:00
    Wednesday, Thursday; Thursday 00:00 is Wednesday's 24:00, a closing time: due then

# --- the ends of months and years, and 29 February
week: Fri 2026-07-31 16:00 + 2h = Mon 2026-08-03 10:00
    1h in July, 1h in August
week: Mon 2029-12-31 16:00 + 2h = Wed 2030-01-02 10:00
    1h; New Year's Day; 1h
week: Fri 2027-12-31 16:30 + 1h = Mon 2028-01-03 09:30
    1 January is a Saturday
always: Thu 2026-12-31 23:30 + 1h = Fri 2027-01-01 00:30
    over midnight into the year
office: Mon 2028-02-28 17:00 + 1h = Tue 2028-02-29 09:00
    30m, and 30m on the leap day
office: Mon 2028-02-28 10:00 + 2bd = Wed 2028-03-01 10:00
    the leap day is an open date
week: Wed 2024-02-28 16:30 + 1h = Thu 2024-02-29 09:30
    30m, 30m
week: Wed 2029-02-28 16:30 + 1h = Thu 2029-03-01 09:30
    a year without one

# --- seconds and less
week: Tue 2026-11-17 08:59:59 + 8h = Tue 2026-11-17 17:00
    closed for a second more: all of the day, to its closing
week: Tue 2026-11-17 16:30:15.25 + 30m = Wed 2026-11-18 09:00:15.25
    29m44.75 to 17:00, 15.25s from 09:00
week: Tue 2026-11-17 16:59:59.999999 + 1m = Wed 2026-11-18 09:00:59.999999
    a millionth of a second today, the rest tomorrow
week: Tue 2026-11-17 16:59:30 + 30s = Tue 2026-11-17 17:00
    to the closing
week: Mon 2026-11-16 16:59:59.5 + 1bd = Tue 2026-11-17 16:59:59.5
    half a second before closing it is open
week: Mon 2026-11-16 17:00 + 1bd = Wed 2026-11-18 09:00
    half a second later it is not: moves to Tuesday 09:00
kings: Fri 2026-04-24 16:00:00.000001 + 1bd = Tue 2026-04-28 09:00
    after closing by a millionth of a second is after closing
"""

WARNINGS: Final = """
# the arithmetic of `due` is above; `< step` is what warn_before says
office: Fri 2026-11-20 17:10 + 1bd < 2h = Sat 2026-11-21 12:00
    due Monday 08:30: two open hours before are Saturday 12:00 to 14:00
office: Fri 2026-11-20 17:10 + 1h < 30m = Sat 2026-11-21 10:10
    due 10:40
office: Fri 2026-11-20 17:10 + 1h < 50m = Fri 2026-11-20 17:20
    40m back to 10:00, 10m before 17:30
office: Fri 2026-11-20 17:10 + 1h < 1h = none
    as it starts: skipped
week: Thu 2026-04-02 16:00 + 2h < 1h = Tue 2026-04-07 09:00
    due Tuesday 10:00
week: Thu 2026-04-02 16:00 + 2h < 90m = Thu 2026-04-02 16:30
    1h back to 09:00; Easter; 30m before 17:00
week: Thu 2026-04-02 10:00 + 2bd < 1bd = Tue 2026-04-07 10:00
    due Wednesday 10:00
week: Thu 2026-04-02 10:00 + 1bd < 1bd = none
    as it starts
office: Wed 2026-12-23 14:00 + 1bd < 2h = Thu 2026-12-24 10:00
    due Monday 28 08:30: 10:00 to 12:00 of the half day
always: Sat 2026-03-28 12:00 + 1bd < 12h = Sat 2026-03-28 23:00
    twelve hours before Sunday noon, one of which was lost
always: Sat 2026-10-24 12:00 + 1bd < 12h = Sun 2026-10-25 01:00
    and one of which came twice
late: Fri 2026-11-20 23:00 + 61m < 30m = Fri 2026-11-20 23:31
    due Monday 16:01: 1m back to 16:00, 29m before Friday 24:00
"""


# --- reading the tables ------------------------------------------------------------------------


class Row(NamedTuple):
    calendar: str
    start: str
    target: str
    before: str
    expected: str


def rows(table: str) -> list[Any]:
    line = re.compile(r"(\w+): (.+?) \+ (\w+)(?: < (\w+))? = (.+)")
    found = [match.groups("") for each in table.splitlines() if (match := line.fullmatch(each))]
    return [pytest.param(Row(*row), id=" ".join(row)) for row in found]


@cache
def policy(calendar: str, target: str, warn_before: str = "") -> Policy:
    level = {"name": "it", "calendar": calendar, "first_response": target}
    warn = f", warn_before: [{warn_before}]" if warn_before else ""
    fields = ", ".join(f"{name}: {value}" for name, value in level.items())
    return Policy.parse(f"{CALENDARS}service_levels:\n  - {{{fields}{warn}}}\n")


def planned(row: Row) -> deadlines.DeadlinePlan:
    within = policy(row.calendar, row.target, row.before)
    start = instant(row.start, shop(row.calendar))
    level = within.service_level(Facts(channel="email"), "desk", start)
    assert level is not None
    plan = deadlines.plan(within, level, "first_response", start)
    assert plan is not None
    return plan


@cache
def shop(name: str) -> Shop:
    """The same calendar for the oracle, read by a reader of its own."""
    content = YAML(typ="safe").load(CALENDARS)
    section = content["calendars"][name]
    week: list[Spans] = [()] * 7
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    hours = {"mon-sun": ["00:00-24:00"]} if section["hours"] == "24/7" else section["hours"]
    for days, spans in hours.items():
        first, last = days.split("-") if "-" in days else (days, days)
        for day in range(names.index(first), names.index(last) + 1):
            week[day] = tuple(map(minutes, spans))
    regions = section.get("holidays", [])
    exceptions = {
        date.fromisoformat(f"{day}"): tuple(map(minutes, spans))
        for day, spans in section.get("exceptions", {}).items()
    }
    if name == "border":  # the oracle knows one region a shop
        exceptions, regions = {date(2026, 4, 27): (), date(2026, 5, 1): ()}, []
    zone = section.get("timezone", content["timezone"])
    return Shop(zone, tuple(week), regions or "", exceptions)


def minutes(span: str) -> tuple[int, int]:
    first, last = (int(at[:2]) * 60 + int(at[3:]) for at in span.split("-"))
    return first, last


def instant(text: str, where: Shop) -> datetime:
    """`Sun 2026-10-25 02:30+02:00`; the offset may be left out where the time occurs once."""
    weekday, _, rest = text.partition(" ")
    at = datetime.fromisoformat(re.sub(r"\.(\d+)", lambda m: f".{m[1]:0<6}", rest))
    assert f"{at:%a}" == weekday, f"{text} is a {at:%a}"
    if at.tzinfo is None:
        zone = ZoneInfo(where.zone)
        both = {at.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
        assert len(both) == 1, f"{text} occurs twice or never: name the offset"
        return both.pop()
    return at.astimezone(UTC)


# --- the tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows(TABLE))
def test_due(row: Row) -> None:
    where = shop(row.calendar)
    found = planned(row).due_at
    shown = f"{found.astimezone(ZoneInfo(where.zone)):%a %Y-%m-%d %H:%M:%S.%f%z}"
    assert found == instant(row.expected, where), f"due {shown}"


@pytest.mark.parametrize("row", rows(TABLE))
def test_the_oracle_agrees_with_the_hand(row: Row) -> None:
    where, target = shop(row.calendar), Duration.parse(row.target)
    start = instant(row.start, where)
    if target.unit == "bd":
        assert where.add_open_dates(start, target.amount) == instant(row.expected, where)
    else:
        assert where.add_open_time(start, target.timedelta()) == instant(row.expected, where)


@pytest.mark.parametrize("row", rows(WARNINGS))
def test_warnings(row: Row) -> None:
    none = row.expected == "none"
    expected = () if none else (instant(row.expected, shop(row.calendar)),)
    assert planned(row).warn_at == expected


def test_the_words_of_the_policy_file_are_in_the_table() -> None:
    """Every `Fri 17:10 + 1h = Sat 10:40` of its comment, so that none is said and not kept."""
    comment = " ".join(
        line.lstrip("# ") for line in EXAMPLE.read_text().splitlines() if line.startswith("#")
    )
    said = re.findall(r"(\w{3} \d\d:\d\d) ?\+ ?(\w+) ?= ?(\w{3} \d\d:\d\d)", comment)
    assert len(said) == 8
    kept = {
        tuple(
            re.sub(r" \d{4}-\d\d-\d\d", "", each) for each in (row.start, row.target, row.expected)
        )
        for row in (param.values[0] for param in rows(TABLE))
        if row.calendar == "office"
    }
    assert set(said) <= kept


def test_there_are_many() -> None:
    assert len(rows(TABLE)) >= 60
