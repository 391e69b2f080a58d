"""The reports: one module each, made of facts in SQL and figures over them.

A fact is one thing that counts (a clock, a promise, a handoff …) with its case. A figure is an
aggregate over the facts that its condition picks, so the same condition lists the cases behind it.

    tables      what a report is made of
    figures     counts, shares, medians
    periods     from when to when; days, weeks and months in the policy's time zone
    questions   groups, filters and scope → SQL
    answers     rows → items and totals
    sheets      CSV
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.router.reports import (
    handoffs,
    journeys,
    ping_pong,
    promises,
    satisfaction,
    service_levels,
)
from services.router.reports.tables import Report

REPORTS: Final[Mapping[str, Report]] = {
    module.REPORT.name: module.REPORT
    for module in (service_levels, promises, handoffs, ping_pong, satisfaction, journeys)
}
