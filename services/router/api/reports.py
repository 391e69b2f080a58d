"""The reports: figures by group and period, as JSON or CSV, each with the way to its cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router.api import views
from services.router.handlers import Handlers
from services.router.reports import REPORTS
from services.router.reports.answers import shape
from services.router.reports.periods import Range
from services.router.reports.questions import FILTERS, Question, group_of
from services.router.reports.sheets import sheet
from services.router.reports.tables import Report
from shared.database import sqlstate, transaction
from shared.errors import Invalid
from shared.security import Caller, caller
from shared.web import Json, decode_cursor, encode_cursor

Supervisor = Annotated[Caller, Depends(caller("supervisor"))]
Names = Annotated[list[str] | None, Query()]
CSV: Final = "text/csv"
_AT_ONCE: Final = 2
# Long enough for millions of rows, on one core, and never in the way of the inbox: a report gives
# up first. A million clocks are sorted in memory.
_BOUNDS: Final = text(
    "SELECT set_config('statement_timeout', '10s', true), set_config('work_mem', '128MB', true), "
    "set_config('max_parallel_workers_per_gather', '0', true), "
    "set_config('transaction_read_only', 'on', true)"
)
_CANCELED: Final = "57014"


@dataclass(frozen=True)
class Asked:
    """From when to when, told apart by what, and of whom. A filter takes any of its values."""

    since: Annotated[
        str | None, Query(alias="from", description="RFC 3339, or a date; default 30 days back")
    ] = None
    until: Annotated[
        str | None, Query(alias="to", description="not included; a date is, to its end")
    ] = None
    by: Names = None
    team: Names = None
    agent: Names = None
    channel: Names = None
    product: Names = None
    part: Annotated[str, Query(description="one of the report's further tables, alone")] = ""

    def wanted(self) -> dict[str, list[str]]:
        found = {name: views.names(getattr(self, name)) for name in FILTERS}
        return {name: values for name, values in found.items() if values}

    def groups(self, report: Report) -> tuple[str, ...]:
        by = tuple(dict.fromkeys(views.names(self.by)))
        if wrong := [name for name in by if name not in report.by]:
            raise Invalid(f"`by` {wrong[0]!r} is none of {', '.join(report.by)}")
        return by


class Reports:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def tell(self, report: Report, who: Caller, asked: Asked) -> dict[str, Any]:
        """The main table's items and totals, then each part's; or those of the part asked for."""
        parts = [asked.part] if asked.part else ["", *report.parts]
        questions = [self.question(report, part, who, asked) for part in parts]
        main, *others = await self._shaped(report, questions)
        about = questions[0]
        return {
            "report": report.name,
            "from": about.range.since,
            "to": about.range.until,
            "timezone": str(about.range.zone),
            "by": list(about.by),
            **{name: about.terms[name] for name in report.told},
            **main,
            **dict(zip(parts[1:], others, strict=True)),
        }

    async def sheet(self, report: Report, who: Caller, asked: Asked) -> str:
        """The items of one table, as CSV."""
        question = self.question(report, asked.part, who, asked)
        (told,) = await self._shaped(report, [question])
        return sheet([*question.columns, *question.table.names, "cases"], told["items"])

    async def _shaped(self, report: Report, questions: Sequence[Question]) -> list[dict[str, Any]]:
        async with self._reading() as connection:
            told = []
            for question in questions:
                query, values = question.summary()
                rows = (await connection.execute(text(query), values)).mappings().all()
                told.append(shape(question, [dict(row) for row in rows], _way(report, question)))
        return told

    async def cases(
        self, question: Question, figure: str, group: str, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """A page of the very cases behind a figure, oldest first."""
        opened, id = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else (None, None)
        query, values = question.cases(figure, group_of(group), views.COLUMNS)
        values |= {"opened": opened, "id": id, "most": limit + 1}
        handlers = self._handlers
        async with self._reading() as connection:
            rows = (await connection.execute(text(query), values)).mappings().all()
            now, policy = handlers.runtime.now(), handlers.policies.current
            shown = await views.items(connection, rows[:limit], policy, now)
        last = shown[-1] if len(rows) > limit else None
        following = encode_cursor(last.opened_at, last.id) if last else None
        return {"items": [item.model_dump() for item in shown], "next_cursor": following}

    def question(self, report: Report, part: str, who: Caller, asked: Asked) -> Question:
        """Raises Invalid, naming what would be right."""
        policy, now = self._handlers.policies.current, self._handlers.runtime.now()
        return Question(
            table=report.table(part),
            part=part,
            range=Range.parse(asked.since, asked.until, policy.timezone, now),
            by=asked.groups(report),
            wanted=asked.wanted(),
            scope=sorted(who.teams) if who.teams and who.role != "admin" else None,
            hidden=views.hidden_teams(who, policy),
            terms={"now": now, **report.terms(policy)},
        )

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        """One moment's view of everything, for a bounded time."""
        try:
            async with self._free, transaction(self._handlers.runtime.engine) as connection:
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                await connection.execute(_BOUNDS)
                yield connection
        except DBAPIError as error:
            if sqlstate(error) != _CANCELED:
                raise
            raise Invalid(
                "this report takes too long: choose a shorter period, or fewer things in `by`",
                name="report-too-large",
            ) from error


def _way(report: Report, question: Question) -> str:
    """The address of the cases behind a whole question; its times stand still."""
    query: list[tuple[str, str]] = [
        ("from", _written(question.range.since)),
        ("to", _written(question.range.until)),
        *(("by", name) for name in question.by),
        *((name, value) for name, values in question.wanted.items() for value in values),
    ]
    if question.part:
        query.append(("part", question.part))
    return f"/v1/reports/{report.name}/cases?{urlencode(query)}"


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _wants_csv(given: str | None, accept: str) -> bool:
    """By `format`, else where Accept names CSV and no JSON."""
    return given == "csv" or (given is None and CSV in accept and "json" not in accept)


def routes(handlers: Handlers) -> APIRouter:
    reports = Reports(handlers)
    router = APIRouter(prefix="/v1/reports", tags=["reports"])
    for report in REPORTS.values():
        _add(router, reports, report)
    return router


def _add(router: APIRouter, reports: Reports, report: Report) -> None:
    """Both routes of one report."""

    async def tell(
        who: Supervisor,
        asked: Annotated[Asked, Depends()],
        format: Annotated[Literal["json", "csv"] | None, Query()] = None,
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        if not _wants_csv(format, accept):
            return Json(await reports.tell(report, who, asked), headers={"Vary": "Accept"})
        content = await reports.sheet(report, who, asked)
        name = "-".join(filter(None, (report.name, asked.part)))
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Vary": "Accept"}
        return Response(content, headers=headers, media_type=CSV)

    async def cases(
        who: Supervisor,
        asked: Annotated[Asked, Depends()],
        figure: Annotated[str, Query(description="one of the table's; without it, all")] = "",
        group: Annotated[str, Query(description="as the report's own links have it")] = "",
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        question = reports.question(report, asked.part, who, asked)
        return Json(await reports.cases(question, figure, group, cursor, limit))

    name, about = report.name, report.name.replace("-", " ")
    answer: dict[str, Any] = {
        "description": "items and totals",
        "content": {"application/json": {"schema": {"type": "object"}}, CSV: {}},
    }
    told = f"{report.words}\n\n`by`: any of {', '.join(report.by)}."
    _route(router, f"/{name}", tell, f"Report: {about}", told, answer)
    _route(
        router, f"/{name}/cases", cases, f"Report: {about}, the cases",
        "The cases behind a figure, each once: an item's `cases` link, with `&figure=` and its "
        "name. Items as in the inbox, oldest first.",
        {"description": "a page of cases"},
    )  # fmt: skip


def _route(
    router: APIRouter,
    path: str,
    endpoint: Callable[..., Any],
    summary: str,
    words: str,
    answer: dict[str, Any],
) -> None:
    router.add_api_route(
        path,
        endpoint,
        methods=["GET"],
        summary=summary,
        description=words,
        operation_id=path.strip("/").replace("/", "_").replace("-", "_") + "_report",
        response_class=Response,
        responses={200: answer, 422: {"description": "`invalid`, `report-too-large`"}},
    )
