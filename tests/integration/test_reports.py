"""The reports over HTTP, against a recount of the event history in plain Python."""

from __future__ import annotations

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from services.router import commands as cmd
from services.router.reports import REPORTS
from tests import servers
from tests.builders import after, message
from tests.histories import Past, Town
from tests.recounted_figures import FIGURES, OWN
from tests.recounting import Fact, Recount, recount
from tests.reported import Client, Desk, MakeClient, make_history, making, person
from tests.rooms import Room, make_room

AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
SINCE, UNTIL = datetime(2026, 11, 2, 8, tzinfo=UTC), datetime(2026, 12, 17, tzinfo=UTC)
PERIOD: Final = {"from": SINCE.isoformat(), "to": UNTIL.isoformat()}
TABLES: Final = [*FIGURES]


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@pytest.fixture(scope="module")
async def made(
    postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Room]:
    """A room with a history, made once: for tests that only read it."""
    async with servers.fresh_database(postgres_url, template=_template) as url:
        room = await make_room(url, tmp_path_factory.mktemp("room"))
        async with making(room) as client:
            await make_history(room, client)
        yield room
        await room.engine.dispose()


@pytest.fixture
async def client(room: Room) -> AsyncIterator[MakeClient]:
    async with making(room) as make:
        yield make


@pytest.fixture
async def sam(made: Room) -> AsyncIterator[Client]:
    """A supervisor over all teams, in the room with a history."""
    async with making(made) as make:
        yield await make("sam")


# --- the figures ---------------------------------------------------------------------------------


async def test_every_figure_equals_the_recount(made: Room, sam: Client) -> None:
    counted = await recount(made)
    for report, by in itertools.product(
        REPORTS.values(),
        ((), ("team",), ("agent", "channel"), ("product", "priority"), ("day",), ("week", "team")),
    ):
        told = await get(sam, report.name, by=by, **PERIOD)
        for table in tables_of(report.name):
            part = table.partition("/")[2]
            shown = told[part] if part else told
            compare(table, shown, counted.facts(table, SINCE, UNTIL), by)
    by_rule = await get(sam, "service-levels", by=("rule",), **PERIOD)
    compare("service-levels", by_rule, counted.facts("service-levels", SINCE, UNTIL), ("rule",))
    check_that_it_tells(counted)


async def test_a_figures_cases_are_those_that_were_counted(made: Room, sam: Client) -> None:
    counted = await recount(made)
    for table in TABLES:
        name, _, part = table.partition("/")
        told = await get(sam, name, by=("team",), part=part, **PERIOD)
        groups = grouped(counted.facts(table, SINCE, UNTIL), (*OWN.get(table, ()), "team"))
        for item in told["items"]:
            facts = groups[tuple(item[n] for n in (*OWN.get(table, ()), "team"))]
            for figure, each in FIGURES[table].items():
                wanted = {str(f["case"]) for f in facts if each.of(f)}
                if item[figure] or wanted:
                    assert await listed(sam, item["cases"], figure) == wanted, (table, figure)
            assert await listed(sam, item["cases"]) == {str(f["case"]) for f in facts}


async def test_the_cases_of_totals_come_in_pages(room: Room, client: MakeClient) -> None:
    await Town(room, seed=3).live(steps=3, arrivals=6)
    sam, counted = await client("sam"), await recount(room)
    totals = (await get(sam, "service-levels", by=("day", "agent"), **PERIOD))["totals"]
    for metric in ("first_response", "resolution"):
        facts = [f for f in counted.facts("service-levels", SINCE, UNTIL) if f["metric"] == metric]
        wanted = {str(f["case"]) for f in facts if f["state"] == "met"}
        assert len(wanted) > 3
        assert await listed(sam, totals[metric]["cases"], "met", limit=3) == wanted


async def test_filters_and_periods_leave_the_rest_out(made: Room, sam: Client) -> None:
    """The later one begins a day after the freezes, of which one stands still."""
    counted = await recount(made)
    filters: list[tuple[str, tuple[str, ...]]] = [
        ("team", ("parcels", "claims")), ("channel", ("email",)), ("agent", ("ada",)),
        ("product", ("parcels",)),
    ]  # fmt: skip
    later = after(hours=20)
    spans = ((SINCE, after(hours=1)), (later, UNTIL))
    for report, (name, values), (since, until) in itertools.product(REPORTS, filters, spans):
        span = {"from": since.isoformat(), "to": until.isoformat()}
        told = await get(sam, report, **span, **{name: ",".join(values)})
        for table in tables_of(report):
            part = table.partition("/")[2]
            facts = [f for f in counted.facts(table, since, until) if f[name] in values]
            compare(table, told[part] if part else told, facts, ())
    frozen = counted.facts("ping-pong", later, UNTIL)
    assert [f["recent"] for f in frozen] == [False]
    span = {"from": later.isoformat(), "to": UNTIL.isoformat()}
    told = await get(sam, "ping-pong", by=("day",), **span)
    assert [(item["day"], item["frozen"], item["frozen_now"]) for item in told["items"]] == [
        (None, 0, 1)
    ]
    assert len(await listed(sam, told["items"][0]["cases"], "frozen_now")) == 1


async def test_days_begin_at_local_midnight_also_where_the_clock_changes(
    room: Room, client: MakeClient
) -> None:
    """In Amsterdam the clock goes forward on 29 March 2026 and back on 25 October 2026."""
    instants = [
        *("2026-03-28T22:59:59", "2026-03-28T23:00:00", "2026-03-29T21:59:59"),
        *("2026-03-29T22:00:00", "2026-10-24T21:59:59", "2026-10-24T22:00:00"),
        *("2026-10-25T22:59:59", "2026-10-25T23:00:00", "2026-10-31T22:59:59"),
        *("2026-10-31T23:00:00",),
    ]
    for instant in instants:
        room.clock.at = datetime.fromisoformat(instant).replace(tzinfo=UTC)
        await room.hear(message(at=room.clock(), sender=person()))
    sam = await client("sam")
    for span, days in (
        (("2026-03-28", "2026-03-30"), {"2026-03-28": 1, "2026-03-29": 2, "2026-03-30": 1}),
        (("2026-10-24", "2026-10-26"), {"2026-10-24": 1, "2026-10-25": 2, "2026-10-26": 1}),
    ):
        told = await get(sam, "ping-pong", part="hops", by=("day",),
                         **dict(zip(("from", "to"), span, strict=True)))  # fmt: skip
        assert {item["day"]: item["opened"] for item in told["items"]} == days
        starts = [datetime.combine(date.fromisoformat(d), time(), AMSTERDAM) for d in days]
        assert datetime.fromisoformat(told["from"]) == starts[0]
        assert datetime.fromisoformat(told["to"]) == starts[-1] + timedelta(days=1)
    year = {"from": "2026-01-01", "to": "2026-12-31"}
    told = await get(sam, "ping-pong", part="hops", by=("month",), **year)
    assert {item["month"]: item["opened"] for item in told["items"]} == {
        "2026-03-01": 4, "2026-10-01": 5, "2026-11-01": 1
    }  # fmt: skip
    told = await get(sam, "ping-pong", part="hops", by=("week",), **year)
    assert {item["week"]: item["opened"] for item in told["items"]} == {
        "2026-03-23": 3, "2026-03-30": 1, "2026-10-19": 3, "2026-10-26": 3
    }  # fmt: skip


async def test_of_an_empty_period_there_is_nothing_to_tell(room: Room, client: MakeClient) -> None:
    await room.hear(message())
    sam = await client("sam")
    span = {"from": "2026-01-01", "to": "2026-01-02"}
    for table in TABLES:
        name, _, part = table.partition("/")
        told = await get(sam, name, by=("team",), part=part, **span)
        assert told["items"] == [], table
        totals = told["totals"].values() if table == "service-levels" else [told["totals"]]
        for each in totals:
            assert each.pop("cases").startswith(f"/v1/reports/{name}/cases?")
            assert each == {n: f.make([]) for n, f in FIGURES[table].items()}, table
            assert not any(value for value in each.values())
    levels = await get(sam, "service-levels", **span)
    assert levels["totals"]["first_response"]["share_met"] is None, "not 100 %"


# --- who may see what ----------------------------------------------------------------------------


async def test_a_supervisor_sees_their_teams_and_what_is_confidential_only_its_own(
    room: Room, client: MakeClient
) -> None:
    parcel = await Desk(room, Past(room), {}).hear(sender=person())
    secret = await Desk(room, Past(room), {}).hear(sender=person(), text="a complaint")
    await room.tell(secret, cmd.OfferHandoff(uuid4(), "jo", "agent", to_team="privacy"))
    (offer,) = await room.rows("SELECT id FROM handoffs")
    await room.tell(secret, cmd.AcceptHandoff(offer.id, "kim"))
    seen = {}
    for name, role, teams in (
        ("all", "supervisor", ()), ("parcels", "supervisor", ("parcels",)),
        ("frontdesk", "supervisor", ("frontdesk",)), ("privacy", "supervisor", ("privacy",)),
        ("admin", "admin", ("parcels",)),
    ):  # fmt: skip
        who = await client(name, role, teams)
        told = await get(who, "ping-pong", part="hops", **PERIOD)
        seen[name] = await listed(who, told["totals"]["cases"])
        assert told["totals"]["opened"] == len(seen[name])
    both = {str(parcel), str(secret)}
    assert seen == {
        "all": both, "parcels": {str(parcel)}, "frontdesk": set(), "privacy": {str(secret)},
        "admin": both,
    }  # fmt: skip
    front = await client("front", teams=("frontdesk",))
    handed = await get(front, "handoffs", **PERIOD)
    assert handed["totals"]["offered"] == 0, "the case is a confidential team's now"
    agent = await client("jo", "agent")
    assert (await agent.get("/v1/reports/promises")).status_code == 403


# --- the forms of an answer ----------------------------------------------------------------------


async def test_csv_has_the_same_figures_and_no_formulas(sam: Client) -> None:
    for table in TABLES:
        name, _, part = table.partition("/")
        told = await get(sam, name, by=("agent", "day"), part=part, **PERIOD)
        params = {"by": "agent,day", "part": part, **PERIOD}
        answer = await sam.get(f"/v1/reports/{name}", params=params, headers={"Accept": "text/csv"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == len(told["items"])
        for row, item in zip(rows, told["items"], strict=True):
            assert list(row) == list(item)
            assert all(_unquoted(row[n]) == _written(item[n]) for n in item)
            assert not any(str(v)[:1] in "=+-@" for v in row.values() if v)
    params = {"by": "agent", "format": "csv", **PERIOD}
    cells = [
        row[0]
        for row in csv.reader(
            io.StringIO((await sam.get("/v1/reports/journeys", params=params)).text)
        )
    ]
    assert "'=cleo" in cells


async def test_what_cannot_be_asked_is_refused_with_what_can(
    room: Room, client: MakeClient
) -> None:
    sam = await client("sam")
    for path, named in (
        ("promises?by=rule", "kind"), ("promises?by=colour", "team"),
        ("handoffs?part=hops", "waiting"), ("journeys?part=x", "none"),
        ("promises?from=yesterday", "2026-11-17"), ("promises?from=2026-11-17T09:00:00", "from"),
        ("promises?from=2026-11-18&to=2026-11-17", "later"),
        ("promises?from=1990-01-01&to=2026-11-17", "ten years"),
        ("promises?from=0001-01-01&to=0001-01-02", "times"),
        ("promises?to=9999-12-31", "times"),
        ("promises/cases?figure=lost", "kept"), ("promises/cases?group=x", "link"),
        ('promises/cases?by=day&group={"day":"2020-01-01"}', "link"),
        ('promises/cases?group={"team":"x"}', "team"), ("promises/cases?cursor=x", "cursor"),
    ):  # fmt: skip
        answer = await sam.get(f"/v1/reports/{path}")
        assert answer.status_code == 422, (path, answer.text)
        assert named in answer.json()["detail"], path
    assert (await sam.get("/v1/reports/weather")).status_code == 404


@pytest.mark.slow
async def test_a_report_that_takes_too_long_gives_up(room: Room, client: MakeClient) -> None:
    """A lock on what it reads stands for the many rows."""
    sam = await client("sam")
    async with room.engine.begin() as connection:
        await connection.exec_driver_sql("LOCK promises IN ACCESS EXCLUSIVE MODE")
        answer = await sam.get("/v1/reports/promises", timeout=60)
    assert (answer.status_code, answer.json()["name"]) == (422, "report-too-large")
    assert (await sam.get("/v1/reports/promises")).status_code == 200


# --- helpers of these tests ----------------------------------------------------------------------


async def get(who: Client, report: str, *, by: Sequence[str] = (), **params: str) -> Any:
    answer = await who.get(f"/v1/reports/{report}", params={"by": list(by), **params})
    assert answer.status_code == 200, (report, by, answer.text)
    return answer.json()


async def listed(who: Client, link: str, figure: str = "", limit: int = 200) -> set[str]:
    """The ids of all pages; no case comes twice."""
    found: list[str] = []
    address, cursor = urlsplit(link), None
    while True:
        params: dict[str, Any] = parse_qs(address.query) | {"limit": limit}
        if figure:
            params["figure"] = figure
        if cursor:
            params["cursor"] = cursor
        answer = await who.get(address.path, params=params)
        assert answer.status_code == 200, answer.text
        found += [item["id"] for item in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            assert len(found) == len(set(found))
            return set(found)


def tables_of(report: str) -> list[str]:
    return [table for table in TABLES if table.partition("/")[0] == report]


def grouped(facts: Sequence[Fact], columns: Sequence[str]) -> dict[tuple[Any, ...], list[Fact]]:
    groups: dict[tuple[Any, ...], list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[tuple(_value(fact, column) for column in columns)].append(fact)
    return groups


def _value(fact: Fact, column: str) -> Any:
    if column not in ("day", "week", "month"):
        return fact[column]
    if fact["at"] < SINCE:
        return None
    day = fact["at"].astimezone(AMSTERDAM).date()
    if column == "week":
        day -= timedelta(days=day.weekday())
    return str(day.replace(day=1) if column == "month" else day)


def compare(table: str, shown: Any, facts: Sequence[Fact], by: Sequence[str]) -> None:
    """Every item and the totals, figure by figure."""
    columns = (*OWN.get(table, ()), *by)
    groups = grouped(facts, columns)
    items = {tuple(item[c] for c in columns): item for item in shown["items"]}
    assert len(items) == len(shown["items"])
    if columns:
        assert items.keys() == groups.keys(), (table, by)
    for group, item in items.items():
        check(item, groups[group], table, group)
    if table != "service-levels":
        check(shown["totals"], facts, table, "totals")
        return
    for metric, totals in shown["totals"].items():
        check(totals, [f for f in facts if f["metric"] == metric], table, metric)


def check(item: Any, facts: Sequence[Fact], table: str, about: Any) -> None:
    for name, figure in FIGURES[table].items():
        wanted = figure.make([f for f in facts if figure.of(f)])
        told = item[name]
        if isinstance(wanted, datetime):
            told = datetime.fromisoformat(told)
        elif isinstance(wanted, float):
            wanted = pytest.approx(wanted, abs=2e-4)
        assert told == wanted, (table, about, name)


def check_that_it_tells(counted: Recount) -> None:
    """The history has something to say about every figure."""
    for table, figures in FIGURES.items():
        facts = counted.facts(table, SINCE, UNTIL)
        for name, figure in figures.items():
            if name not in ("cost_saved",):  # of which the example policy knows none
                assert figure.make([f for f in facts if figure.of(f)]), (table, name)


def _unquoted(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell


def _written(value: Any) -> str:
    return "" if value is None else str(value)
