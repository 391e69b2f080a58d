"""`regie doctor`: whether the installation is whole, and each account connected."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from services.cli.client import call, console, fail, get

CANNOT_ASK: Final = 2
_COLOURS: Final = {True: "green", False: "red"}


def doctor(
    account: Annotated[str, typer.Argument(help="Only this one; all of them without it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As the API gives it.")] = False,
) -> None:
    """Ask every provider whether an account is known, may send, and calls us.

    Exit status 0: all is well; 1: something is wrong; 2: it cannot be told.
    """
    with _or_cannot_ask():
        installation = [] if account else get("/ops/installation")["items"]
        accounts = _examined(account)
    if as_json:
        found = {"installation": installation, "accounts": accounts}
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(installation, accounts, alone=bool(account))
    if not all(each["ok"] for each in (*installation, *accounts)):
        raise typer.Exit(1)


@contextmanager
def _or_cannot_ask() -> Iterator[None]:
    try:
        yield
    except typer.Exit as ended:
        raise typer.Exit(CANNOT_ASK) from ended


def _examined(name: str) -> list[dict[str, Any]]:
    if not name:
        return list(get("/ops/accounts", examine="true")["items"])
    found = call("POST", f"/ops/accounts/{name}/examine", accepted=(404,))
    if found.status_code == 404:
        fail(f"there is no account {name} in the channels file: `regie doctor` lists them")
    return [found.json()]


# --- for people ------------------------------------------------------------------------------


def _show(
    installation: list[dict[str, Any]], accounts: list[dict[str, Any]], *, alone: bool
) -> None:
    wrong = [each for each in installation if not each["ok"]]
    for each in wrong:
        console.print(Text(f"{each['what']}: {each['advice']}", style="red"))
    if installation and not wrong:
        console.print(Text(f"the installation is whole: {_listed(installation)}", style="green"))
    if accounts:
        console.print(_table(accounts))
    elif not alone:
        console.print("no accounts: set REGIE_CHANNELS_FILE to a channels file", style="yellow")
    for each in accounts:
        _show_findings(each, alone=alone)


def _table(accounts: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("account", "channel", "configured", "reachable", "subscribed", "last in",
                   "last out", "wrong"):  # fmt: skip
        table.add_column(column, no_wrap=True)
    now = datetime.now(UTC)
    for each in accounts:
        wrong = sum(not finding["ok"] for finding in each["findings"])
        table.add_row(
            each["name"], f"{each['channel']} by {each['provider']}",
            *(_word(each[name]) for name in ("configured", "reachable", "subscribed")),
            _ago(each["last_in"], now), _ago(each["last_out"], now) if each["sends"] else "-",
            Text(str(wrong) if wrong else "", style="red"),
        )  # fmt: skip
    return table


def _show_findings(account: Mapping[str, Any], *, alone: bool) -> None:
    """What is wrong and what to do; of one account alone, also what is right."""
    told = [each for each in account["findings"] if alone or not each["ok"]]
    if told:
        console.print()
        console.print(Text(account["name"], style="bold"))
    for each in told:
        words = f"  {each['what']}: {'ok' if each['ok'] else each['advice']}"
        console.print(Text(words, style=_COLOURS[each["ok"]]))
    failure = account["last_failure"]
    if told and failure:
        words = f"{failure['code']}: {failure['reason']}"
        console.print(Text(f"  last failure, {failure['at']}: {words}"))
    if told and account["webhook_address"]:
        console.print(Text(f"  to paste at the provider: {account['webhook_address']}"))


def _word(told: bool | None) -> Text:
    if told is None:
        return Text("?", style="dim")
    return Text("yes" if told else "no", style=_COLOURS[told])


def _ago(at: str | None, now: datetime) -> str:
    if at is None:
        return "never"
    seconds = max((now - datetime.fromisoformat(at)).total_seconds(), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def _listed(installation: list[dict[str, Any]]) -> str:
    return ", ".join(each["what"] for each in installation)
