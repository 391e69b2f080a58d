"""Two policies with everything in them, and their calendars once more for the oracle."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from services.router.policy import Policy
from tests.minute_by_minute import Shop, Spans
from tests.simulation.ledger import ANSWERS

AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
OFFICE: Final[Spans] = ((510, 750), (780, 1050))
SHOPS: Final = {
    "always": Shop("Europe/Amsterdam", (((0, 1440),),) * 7),
    "office": Shop("Europe/Amsterdam", (*(OFFICE,) * 5, ((600, 840),), ()), "NL"),
    "nights": Shop("Europe/Amsterdam", (((0, 240), (1200, 1440)),) * 7),
}

STRICT: Final = """
name: strict
timezone: Europe/Amsterdam
calendars:
  always: {hours: 24/7}
  office:
    hours: {mon-fri: ["08:30-12:30", "13:00-17:30"], sat: ["10:00-14:00"]}
    holidays: NL
  nights: {hours: {mon-sun: ["00:00-04:00", "20:00-24:00"]}}
supervisors: {notify: [{webhook: http://127.0.0.1:9901/supervisors}]}
teams:
  frontdesk: {calendar: office, notify: [{webhook: http://127.0.0.1:9901/frontdesk}]}
  parcels:
    fallback: frontdesk
    skills: [customs, tracking]
    notify: [{webhook: http://127.0.0.1:9901/parcels}]
  claims: {fallback: frontdesk, notify: [{webhook: http://127.0.0.1:9901/claims}]}
  loners: {notify: [{webhook: http://127.0.0.1:9901/loners}]}
routing:
  - name: customs
    when: text.contains("customs")
    team: parcels
    skills: [customs]
    targets: [{for: 20m}, {skills: [tracking], for: 1h}, {team: claims, skills: [], for: 2h}]
  - {name: track, when: 'text.contains("track")', team: parcels, skills: [tracking]}
  - name: lonely
    when: text.contains("lonely")
    team: loners
    skills: [patience]
    targets: [{for: 3h}]
  - {name: damage, when: 'text.contains("damaged")', team: claims, priority: high}
  - {name: everything else, team: frontdesk}
service_levels:
  - name: urgent
    when: priority == "urgent"
    calendar: always
    first_response: 30m
    next_response: 45m
    resolution: 1bd
    update_every: 4h
    warn_before: [10m]
    escalate: [{before: 5m, notify: [supervisors]}, {after: 30m, notify: [team]}]
  - name: chat
    when: channel == "whatsapp"
    calendar: office
    first_response: 1h
    next_response: 2h
    resolution: 2bd
    update_every: 1bd
    warn_before: [30m, 10m]
    escalate:
      - {before: 20m, priority: raise}
      - {after: 1h, notify: [team, supervisors]}
      - {after: 4h, reassign: fallback, notify: [supervisors]}
  - name: at night
    when: channel == "webchat"
    calendar: nights
    first_response: 10m
    next_response: 5m
    resolution: 6h
    warn_before: [5m, 10m]
  - name: mail
    when: channel == "email"
    calendar: office
    first_response: 1bd
    resolution: 5bd
    update_every: 2bd
    warn_before: [2h, 1bd]
    escalate: [{before: 1h, notify: [team], reassign: fallback}]
  - {name: the rest, calendar: office, first_response: 4h, resolution: 3bd, warn_before: [1h]}
on_breach: {notify: [team, supervisors], priority: raise, reassign: fallback}
claim_lease: 30m
return_unanswered_after: 2h
quiet_hours: {from: "20:00", to: "07:00", except: urgent}
"""
# The same teams and calendars, other promises: some shorter, some longer, no news, no returning.
EASY: Final = (
    STRICT[: STRICT.index("routing:")].replace("strict", "easy")
    + """
routing:
  - {name: customs, when: 'text.contains("customs")', team: claims, skills: [customs]}
  - {name: everything else, team: frontdesk}
service_levels:
  - name: chat
    when: channel == "whatsapp"
    calendar: always
    first_response: 2h
    next_response: 20m
    resolution: 3bd
    warn_before: [15m]
  - {name: mail, when: 'channel == "email"', calendar: office, first_response: 2h}
  - {name: the rest, calendar: nights, first_response: 1h, resolution: 1bd, update_every: 1h}
on_breach: {notify: [supervisors]}
claim_lease: 2h
"""
)


@cache
def policies() -> tuple[Policy, Policy]:
    return Policy.parse(STRICT).with_version(1), Policy.parse(EASY).with_version(2)


def open_time(calendar: str, start: datetime, end: datetime) -> timedelta:
    return SHOPS[calendar].open_between(start, end)


def longest_promise(rule: str, at: datetime) -> datetime:
    """The most that either policy lets a message of a service level wait, as first or as next."""
    dues = []
    for policy in policies():
        named = [level for level in policy.service_levels if level.name == rule]
        for level in named or policy.service_levels:
            shop = SHOPS[level.calendar]
            for metric in ANSWERS:
                target = level.targets[metric]
                if target.unit == "bd":
                    dues.append(shop.add_open_dates(at, target.amount))
                else:
                    dues.append(shop.add_open_time(at, target.timedelta()))
    return max(dues)
