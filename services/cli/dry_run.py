"""`regie policy dry-run`: what a policy would have changed, in tables or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from services.cli.client import console, errors, fail, stream
from services.cli.problems import refuse

File = Annotated[Path, typer.Argument(help="A policy file, YAML or JSON.", dir_okay=False)]
Since = Annotated[
    str, typer.Option(help="How far back, such as 30d, or from when: 2026-11-01T00:00:00Z.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As the API gives it.")]

_LINES = "application/x-ndjson"
_DARK = " ▁▂▃▄▅▆▇█"


def dry_run(file: File, since: Since = "30d", as_json: AsJson = False) -> None:
    """Try the file on real history: what would have gone elsewhere, sooner, or too late."""
    try:
        source = file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read: {error}")
    report = _ask(file, source, since)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    else:
        console.print(tables(report))


def _ask(file: Path, source: bytes, since: str) -> dict[str, Any]:
    """The report, with a bar on stderr while it is made."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("events"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with (
        stream(
            "POST", "/v1/policy/dry-run", params={"since": since}, content=source,
            headers={"Accept": _LINES}, accepted=(422,),
        ) as answer,
        Progress(*columns, console=errors, transient=True) as bar,
    ):  # fmt: skip
        if answer.status_code == 422:
            refuse(answer.json(), file)
        last = _follow(map(json.loads, answer.iter_lines()), bar)
    if "report" not in last:
        fail(f"the dry run ended without a report: {last.get('failed', 'try again')}")
    report: dict[str, Any] = last["report"]
    return report


def _follow(lines: Iterable[dict[str, Any]], bar: Progress) -> dict[str, Any]:
    """The last line."""
    line: dict[str, Any] = {}
    task = bar.add_task("replaying", total=None)
    for line in lines:
        if "progress" in line:
            bar.update(task, completed=line["progress"]["events"], total=line["progress"]["of"])
    return line


# --- in a terminal -----------------------------------------------------------------------------


def tables(report: dict[str, Any]) -> RenderableType:
    """The report to be read, most important first; what is empty is left out."""
    return Group(
        Text(_summary(report), style="bold"),
        *_section("cases per team", _teams(report)),
        *_section("cases that would have gone another way", _routing(report)),
        *_section("deadlines", _deadlines(report)),
        *_section("breaches", _breaches(report)),
        *_section(f"messages per hour of day, {report['timezone']}", _load(report)),
        *_section("could not be replayed", _refused(report)),
        *_kept(report["kept"]),
        *_never(report["never_matched"]),
        Text(""),
        *(Text(f"· {words}", style="dim") for words in report["words"]),
    )


def _summary(report: dict[str, Any]) -> str:
    what = (
        f"{report['candidate']}: {report['cases']} cases, {report['messages']} messages since "
        f"{report['since'][:16].replace('T', ' ')}, {report['events']} events in "
        f"{report['seconds']:.1f} s"
    )
    if not report["cases"]:
        return f"{what}\nno case got a message in this time: nothing was compared"
    return f"{what}\nnothing would have been different" if report["same"] else what


def _section(title: str, table: Table) -> Iterable[RenderableType]:
    return (Text(f"\n{title}"), table) if table.row_count else ()


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        words = column in ("team", "from", "to", "metric", "example", "what", "why", "hours")
        table.add_column(column, justify="left" if words else "right", overflow="fold")
    return table


def _teams(report: dict[str, Any]) -> Table:
    table = _table("team", "before", "after", "difference", "routed before", "routed after")
    for row in report["teams"]:
        table.add_row(
            row["team"], str(row["before"]), str(row["after"]),
            _difference(row["after"] - row["before"]),
            str(row["routed_before"]), str(row["routed_after"]),
        )  # fmt: skip
    return table


def _routing(report: dict[str, Any]) -> Table:
    table = _table("cases", "from", "to", "example")
    for row in report["routing"]:
        table.add_row(
            str(row["count"]), _way(row["from_team"], row["from_rule"]),
            _way(row["to_team"], row["to_rule"]), _first(row),
        )  # fmt: skip
    return table


def _deadlines(report: dict[str, Any]) -> Table:
    table = _table("metric", "unchanged", "earlier", "by", "later", "by", "new", "gone", "example")
    for row in report["deadlines"]:
        parts = [row[name] for name in ("earlier", "later", "added", "dropped")]
        earlier, later, added, dropped = (str(part["count"] or "") for part in parts)
        if any(part["count"] for part in parts):
            table.add_row(
                row["metric"], str(row["unchanged"]), earlier, row["earlier"]["median"] or "",
                later, row["later"]["median"] or "", added, dropped, _first(*parts),
            )  # fmt: skip
    return table


def _breaches(report: dict[str, Any]) -> Table:
    table = _table("metric", "before", "after", "avoided", "caused", "example")
    for row in report["breaches"]:
        caused, avoided = row["caused"], row["avoided"]
        table.add_row(
            row["metric"], str(row["before"]), str(row["after"]),
            Text(str(avoided["count"]), style="green" if avoided["count"] else ""),
            Text(str(caused["count"]), style="red" if caused["count"] else ""),
            _first(caused, avoided),
        )  # fmt: skip
    return table


def _load(report: dict[str, Any]) -> Table:
    table = _table("team", "", "messages", "hours")
    most = max((n for row in report["load"] for n in (*row["before"], *row["after"])), default=0)
    for row in report["load"]:
        for when in ("before", "after"):
            if when == "before" or row["before"] != row["after"]:
                name = row["team"] if when == "before" else ""
                hours = row[when]
                table.add_row(name, when, str(sum(hours)), _bars(hours, most))
    return table


def _bars(hours: Sequence[int], most: int) -> str:
    """One sign an hour, from midnight to midnight."""
    bars = "".join(_DARK[-(-count * (len(_DARK) - 1) // most)] if most else " " for count in hours)
    return f"0h{bars}24h"


def _refused(report: dict[str, Any]) -> Table:
    table = _table("times", "what", "why", "example")
    for row in report["not_replayed"]:
        table.add_row(str(row["count"]), row["asked"], row["reason"], _first(row))
    return table


def _kept(kept: dict[str, Any]) -> Iterable[Text]:
    if kept["count"]:
        yield Text(f"\n{kept['count']} cases are taken as they were, such as {_first(kept)}")


def _never(rules: dict[str, list[str]]) -> Iterable[Text]:
    for name, words in (("routing", "routing rules"), ("service_levels", "service levels")):
        if rules[name]:
            listed = ", ".join(f"`{rule}`" for rule in rules[name])
            yield Text(f"\n{words} that nothing matched: {listed}", style="yellow")


def _way(team: str, rule: str) -> str:
    return f"{team} (`{rule}`)" if rule else team


def _first(*parts: dict[str, Any]) -> str:
    return next((part["examples"][0] for part in parts if part["examples"]), "")


def _difference(count: int) -> str:
    return f"{count:+}" if count else ""
