"""Internal requests: a case that waits for another team, and what that team's case tells it. Pure.

A child tells its parent when it is opened and closed, and hands over its final results. The parent
waits for its children unless its customer waits for an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.router import clocks
from services.router.case import Case
from services.router.commands import InheritResult, NoteChild
from services.router.turn import Turn
from shared import events as ev
from shared.events import CaseChanged


def told(
    before: Case | None, after: Case, changes: Sequence[CaseChanged]
) -> Iterator[NoteChild | InheritResult]:
    """What a parent learns of what happened to its child."""
    closed = ""
    for change in changes:
        match change.event:
            case ev.ResultRecorded(state="final") as result:
                yield InheritResult(result.name, result.data, result.files)
            case ev.CaseClosed(reason=reason):
                closed = reason
    was_open = before is not None and before.state != "closed"
    is_open = after.state != "closed"
    if was_open != is_open:
        yield NoteChild(after.id, after.team, was_open, closed, agent=changes[-1].actor)


def note_child(turn: Turn, command: NoteChild) -> None:
    """The parent's side of it. On a closed parent it is told and changes nothing else."""
    known = any(child.case_id == command.child_id for child in turn.case.children)
    if command.closed and known:
        turn.record(
            ev.ChildClosed(child_id=command.child_id, team=command.team, reason=command.reason)
        )
        _come_back(turn)
    elif not command.closed and not known:
        turn.record(ev.ChildOpened(child_id=command.child_id, team=command.team))
        clocks.wait_for_children(turn)


def _come_back(turn: Turn) -> None:
    """Whoever has the parent learns that what it waited for is there."""
    case = turn.case
    if not case.children and case.state in ("waiting_internal", "waiting_customer"):
        turn.record(ev.CaseResumed(reason="no internal request is left"))
        clocks.await_work(turn)


def inherit(turn: Turn, command: InheritResult) -> None:
    """The newest version of its name, whatever the parent had before."""
    newest = next((r.version for r in turn.case.results if r.name == command.name), 0)
    turn.record(
        ev.ResultRecorded(
            name=command.name,
            version=newest + 1,
            state="final",
            author="child",
            data=command.data,
            files=command.files,
        )
    )
