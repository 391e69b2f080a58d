"""`regie dead-letters list|show|replay|discard`."""

from __future__ import annotations

import sys
from base64 import b64decode
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from services.cli.client import call, console, errors, fail, get
from services.cli.printing import AsJson, print_json, table_of

commands = typer.Typer(help="What could not be read, handled or sent.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(help="As `regie dead-letters list` shows them.")]
Account = Annotated[str, typer.Option(help="Only of this account.")]
Topic = Annotated[str, typer.Option(help="Only of this topic, or `deliveries`.")]
Kind = Annotated[str, typer.Option("--type", help="Only of this type, like message.parked.")]
Reason = Annotated[str, typer.Option(help="Only where the reason holds this.")]
Every = Annotated[bool, typer.Option("--all", help="All that wait and fit the options given.")]
_AT_ONCE: Final = 100


@commands.command("list")
def list_letters(
    *,
    state: Annotated[str, typer.Option(help="waiting, replayed, discarded or all")] = "waiting",
    account: Account = "",
    topic: Topic = "",
    kind: Kind = "",
    reason: Reason = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str, typer.Option(help="Goes on where the page before ended.")] = "",
    as_json: AsJson = False,
) -> None:
    """The latest first."""
    found = get(
        "/ops/dead-letters", state=state, limit=limit, cursor=cursor,
        **_filter(account, topic, kind, reason),
    )  # fmt: skip
    if as_json:
        print_json(found)
        return
    table = table_of("id", "account", "type", "seen", "first", "last", "state", "reason")
    for item in found["items"]:
        table.add_row(
            item["id"], item["account"], item["type"] or item["topic"], str(item["count"]),
            item["first_at"], item["last_at"], item["state"], item["reason"],
        )  # fmt: skip
    console.print(table if table.row_count else "no dead letters")
    if found["next_cursor"]:
        console.print(f"there are more: --cursor {found['next_cursor']}", soft_wrap=True)


@commands.command("show")
def show_letter(
    letter: Annotated[str, typer.Argument(help="An id of `regie dead-letters list`.")],
    raw: Annotated[bool, typer.Option("--raw", help="Its bytes alone, as they came.")] = False,
) -> None:
    """One dead letter with its reason and its bytes."""
    found = get(f"/ops/dead-letters/{letter}")
    if raw:
        if found["raw"] is None:
            fail("its bytes are gone from the blob store")
        sys.stdout.buffer.write(b64decode(found["raw"]))
        return
    print_json(found)


@commands.command()
def replay(
    letters: Ids = None,
    *,
    every: Every = False,
    account: Account = "",
    topic: Topic = "",
    kind: Kind = "",
    reason: Reason = "",
) -> None:
    """Once more through the parser, the topic or the sender, as late arrivals."""
    wanted = _filter(account, topic, kind, reason)
    _settle("replay", "replayed", list(_chosen(letters, every, wanted)), {})


@commands.command()
def discard(
    letters: Ids = None,
    *,
    every: Every = False,
    note: Annotated[str, typer.Option(help="Why; kept with them.")] = "",
    account: Account = "",
    topic: Topic = "",
    kind: Kind = "",
    reason: Reason = "",
) -> None:
    """Take them off the list; they are kept, with who did it, when and why."""
    if every and not note:
        fail("say why with --note: nobody sees these again by themselves")
    wanted = _filter(account, topic, kind, reason)
    _settle("discard", "discarded", list(_chosen(letters, every, wanted)), {"note": note})


def _filter(account: str, topic: str, kind: str, reason: str) -> dict[str, str]:
    given = {"account": account, "topic": topic, "type": kind, "reason": reason}
    return {name: value for name, value in given.items() if value}


def _chosen(
    letters: list[str] | None, every: bool, wanted: dict[str, str]
) -> Iterator[dict[str, Any]]:
    if letters and (every or wanted):
        fail("name dead letters by their ids, or choose them by --all and options, not both")
    if letters:
        for start in range(0, len(letters), _AT_ONCE):
            yield {"ids": letters[start : start + _AT_ONCE]}
    elif every:
        yield {"filter": wanted, "limit": _AT_ONCE}
    else:
        fail("name dead letters by their ids, or add --all: `regie dead-letters list` shows them")


def _settle(way: str, done: str, asked: list[dict[str, Any]], more: dict[str, str]) -> None:
    """Page by page. What is refused is named, and makes the command fail at its end."""
    went = refused = 0
    while asked:
        body = asked.pop(0)
        answer = call("POST", f"/ops/dead-letters/{way}", json=body | more).json()
        went += len(answer[done])
        for each in answer["refused"]:
            refused += 1
            errors.print(f"{each['id']}: {each['detail']} ({each['status']} {each['name']})")
        if answer["next_cursor"]:
            asked.append(body | {"cursor": answer["next_cursor"]})
    console.print(f"{done} {went}")
    if refused:
        fail(f"{refused} left as they were")
