"""The reports once more, from the event history alone: plain Python, no rows, none of their code.

`recount(room)` folds every case's events into the things that count (clocks, promises, handoffs …);
`tests.recounted_figures` says of each figure which of them it is about, and what is made of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shared import events as ev
from tests.rooms import Room

Fact = dict[str, Any]
_RESPONSES: Final = ("first_response", "next_response")
_WAITS: Final = {
    "message", "call_missed", "voicemail", "callback_requested", "form_abandoned", "visit",
    "unsupported", "call_ended",
}  # fmt: skip


@dataclass
class Said:
    """One message, wherever it is by now."""

    case: UUID
    at: datetime
    channel: str
    occurred_at: datetime
    counts: bool
    come: bool
    state: str = ""


@dataclass
class Told:
    """One case's history, told event by event."""

    id: UUID
    all: Recount
    opened_at: datetime | None = None
    team: str = ""
    channel: str = ""
    product: str = ""
    priority: str = ""
    agent: str = ""
    closed_at: datetime | None = None
    hops: int = 0
    waiting: list[tuple[UUID, int]] = field(default_factory=list)
    answered: dict[UUID, list[tuple[UUID, int]]] = field(default_factory=dict)
    authors: dict[UUID, tuple[str, int]] = field(default_factory=dict)
    replied: tuple[datetime | None, str] = (None, "")
    clocks: dict[int, Fact] = field(default_factory=dict)
    promises: dict[UUID, Fact] = field(default_factory=dict)
    handoffs: dict[UUID, Fact] = field(default_factory=dict)
    children: list[Fact] = field(default_factory=list)
    freezes: list[Fact] = field(default_factory=list)
    closings: list[Fact] = field(default_factory=list)
    reopenings: list[datetime] = field(default_factory=list)
    surveys: list[Fact] = field(default_factory=list)

    def place(self, **more: Any) -> Fact:
        return {"case": self.id, "team": self.team, "channel": self.channel, **more}

    def hear(self, event: Any, at: datetime, actor: str, version: int) -> None:
        self._hear_place(event, at)
        self._hear_states(event, at, actor)
        self._hear_survey(event, at)
        self._hear_messages(event, at, version)
        self._hear_replies(event, at)
        self._hear_clocks(event, at, actor)
        self._hear_promises(event, at)
        self._hear_handoffs(event, at)

    def _hear_place(self, event: Any, at: datetime) -> None:
        """Whose it is, and what about."""
        match event:
            case ev.CaseOpened():
                self.opened_at, self.channel = at, event.channel
                self.team, self.product = event.team, event.product
                self.priority = event.priority
            case ev.CaseRouted():
                self.team, self.product = event.team, event.product
                self.priority = event.priority
            case ev.CaseAssigned():
                self.team, self.agent = event.team, event.agent
            case ev.CaseRevised():
                self.product = event.product
            case ev.CasePriorityChanged():
                self.priority = event.priority
            case ev.CaseClaimed():
                self.agent = event.agent
            case ev.CaseReleased():
                self.agent = ""

    def _hear_states(self, event: Any, at: datetime, actor: str) -> None:
        match event:
            case ev.CaseReopened():
                self.closed_at = None
                self.reopenings.append(at)
            case ev.CaseClosed():
                self._close(event, at, actor)
            case ev.CaseFrozen():
                trail = ", ".join(event.trail)
                self.freezes.append({"at": at, "owner": event.owner, "trail": trail, "over": None})
            case ev.CaseThawed():
                self._thaw(at)
            case ev.ChildOpened():
                asked = {"at": at, "child": event.child_id, "waits_on": event.team, "over": None}
                self.children.append(asked)
            case ev.ChildClosed():
                for child in self.children:
                    if child["child"] == event.child_id and child["over"] is None:
                        child["over"] = at

    def _hear_survey(self, event: Any, at: datetime) -> None:
        match event:
            case ev.SurveySent():
                self.surveys.append(self._surveyed(at, event.channel, asked=True))
            case ev.SurveySkipped(reason="failed"):
                self.surveys[-1] |= {"asked": False, "reason": "failed"}
            case ev.SurveySkipped():
                fact = self._surveyed(at, self.channel, asked=False)
                self.surveys.append(fact | {"reason": event.reason})
            case ev.SurveyAnswered():
                self.surveys[-1]["score"] = event.score
            case ev.SurveyDeclined():
                self.surveys[-1]["declined"] = True

    # --- messages and replies --------------------------------------------------------------------

    def _hear_messages(self, event: Any, at: datetime, version: int) -> None:
        said = self.all.said
        match event:
            case ev.MessageAdded():
                if event.message_id in said:
                    said[event.message_id].case = self.id
                else:
                    counts = event.unanswered or event.kind == "call_ended"
                    said[event.message_id] = Said(
                        self.id, at, event.channel, event.occurred_at,
                        counts and event.kind in _WAITS, come=True,
                    )  # fmt: skip
                if event.unanswered:
                    self.waiting.append((event.message_id, version))
                    if event.reply_to is not None:
                        self.channel = event.channel
            case ev.MessageSplit():
                said[event.message_id].case = event.to_case
                self._settle(event.message_id, at)
            case ev.MessageRevised(settled=True):
                self._settle(event.message_id, at)

    def _hear_replies(self, event: Any, at: datetime) -> None:
        said = self.all.said
        match event:
            case ev.ReplyRequested():
                self.authors[event.message_id] = (event.author, event.answers)
                said[event.message_id] = Said(
                    self.id, at, event.channel, at, counts=event.human, come=False
                )
            case ev.ReplySent():
                said[event.message_id].state = "sent"
                if said[event.message_id].counts and self.closed_at is None:
                    self.answered[event.message_id] = self._answer(
                        *self.authors[event.message_id], at
                    )
            case ev.ReplyFailed():
                said[event.message_id].state = "failed"
                self.waiting += self.answered.pop(event.message_id, [])
            case ev.DeliveryStatusChanged():
                said[event.message_id].state = event.status
            case ev.ReplyRecorded():
                reached = event.outcome in ("", "reached")
                said[event.message_id] = Said(
                    self.id, at, event.channel, event.occurred_at, counts=reached, come=False,
                    state="read",
                )  # fmt: skip
                if reached:
                    self._answer(event.author, event.answers, at)

    def _answer(self, author: str, answers: int, at: datetime) -> list[tuple[UUID, int]]:
        """The messages that are answered by it."""
        answered = [w for w in self.waiting if w[1] <= answers]
        self.waiting = [w for w in self.waiting if w[1] > answers]
        self.replied = (at, author)
        self._end_breached(at, author, (*_RESPONSES, "update") if answered else ("update",))
        return answered

    def _settle(self, message_id: UUID, at: datetime) -> None:
        self.waiting = [w for w in self.waiting if w[0] != message_id]
        if not self.waiting:
            self._end_breached(at, "", _RESPONSES)

    def _end_breached(self, at: datetime, agent: str, metrics: Iterable[str]) -> None:
        for clock in self.clocks.values():
            live = clock["state"] == "breached" and clock["ended"] is None
            if live and clock["metric"] in metrics:
                clock |= {"ended": at, "who": agent}

    # --- clocks ----------------------------------------------------------------------------------

    def _hear_clocks(self, event: Any, at: datetime, actor: str) -> None:
        match event:
            case ev.DeadlineStarted():
                self.clocks[event.number] = {
                    "at": event.started_at, "metric": event.metric, "rule": event.rule,
                    "late": event.late, "state": "running", "risk": "", "ended": None, "who": "",
                    "priority": self.priority,
                }  # fmt: skip
            case ev.DeadlineMet():
                who = self.replied[1] if self.replied[0] == at else ""
                who = actor if event.metric == "resolution" else who
                self._on(event.number, state="met", ended=at, who=who)
            case ev.DeadlineSuperseded():
                self._on(event.number, state="superseded", ended=at)
            case ev.DeadlinePaused():
                self._on(event.number, state="paused")
            case ev.DeadlineResumed():
                self._on(event.number, state="running", risk="")
            case ev.DeadlineAtRisk():
                self._on(event.number, risk=event.reason)
            case ev.DeadlineBreached():
                self._on(event.number, state="breached", risk="")

    def _on(self, number: int, **changes: Any) -> None:
        self.clocks[number] |= changes | {"team": self.team, "channel": self.channel}

    def _close(self, event: ev.CaseClosed, at: datetime, actor: str) -> None:
        for message_id, (author, answers) in self.authors.items():
            if self.all.said[message_id].counts and not self.all.said[message_id].state:
                self._answer(author, answers, at)
        for clock in self.clocks.values():
            if clock["ended"] is None:
                who = event.author if clock["metric"] == "resolution" else ""
                clock |= {"ended": at, "who": who}
        self.closings.append({"at": at, "agent": actor})
        self.closed_at, self.agent, self.waiting = at, "", []
        self._thaw(at)
        for promise in self.promises.values():
            promise["over"] = True

    def _thaw(self, at: datetime) -> None:
        if self.freezes and self.freezes[-1]["over"] is None:
            self.freezes[-1]["over"] = at

    def _surveyed(self, at: datetime, channel: str, *, asked: bool) -> Fact:
        agent = self.replied[1] or (self.closings[-1]["agent"] if self.closings else "")
        fact = self.place(at=at, agent=agent, asked=asked, product=self.product)
        return fact | {"channel": channel, "score": None, "declined": False, "reason": ""}

    # --- promises and handoffs -------------------------------------------------------------------

    def _hear_promises(self, event: Any, at: datetime) -> None:
        if isinstance(event, ev.PromiseMade):
            self.promises[event.promise_id] = self.place(
                at=at, agent=event.by, kind=event.kind, state="open", late=False, attempts=0,
                reason="", over=False,
            )  # fmt: skip
            return
        promise = self.promises.get(getattr(event, "promise_id", None))  # type: ignore[arg-type]
        if promise is None:
            return
        if promise["state"] != "broken":
            promise |= {"team": self.team, "channel": self.channel}
        match event:
            case ev.PromiseAttempted():
                promise["attempts"] = event.count
            case ev.PromiseBroken():
                promise |= {"state": "broken", "reason": event.reason}
            case ev.PromiseKept(late=True):
                promise |= {"late": True, "over": True}
            case ev.PromiseKept():
                promise |= {"state": "kept", "over": True}
            case ev.PromiseRevived():
                promise |= {"state": "open", "over": False}
            case ev.PromiseRenegotiated():
                state = promise["state"] if promise["state"] == "broken" else "renegotiated"
                promise |= {"state": state, "over": True}

    def _hear_handoffs(self, event: Any, at: datetime) -> None:
        match event:
            case ev.HandoffOffered():
                team = bool(event.to_team)
                self.handoffs[event.handoff_id] = {
                    "case": self.id, "at": at, "team": event.from_team, "agent": event.author,
                    "channel": event.from_channel, "kind": "team" if team else "channel",
                    "from": event.from_team if team else event.from_channel,
                    "to": event.to_team if team else event.to_channel, "reason": event.reason,
                    "state": "offered", "ended": None, "cost": event.cost,
                }  # fmt: skip
            case ev.HandoffAccepted():
                offer = self.handoffs[event.handoff_id]
                offer |= {"state": "accepted", "ended": at}
                self.hops += offer["agent"] != "regie"
                if offer["kind"] == "channel" and offer["to"] in ("phone", "counter"):
                    self.channel = offer["to"]  # nobody writes first there
            case ev.HandoffDeclined():
                self.handoffs[event.handoff_id] |= {"state": "declined", "ended": at}
            case ev.HandoffExpired():
                self.handoffs[event.handoff_id] |= {"state": "expired", "ended": at}


@dataclass
class Recount:
    """All cases, and where every message is."""

    now: datetime
    external: frozenset[str]
    cases: dict[UUID, Told] = field(default_factory=dict)
    said: dict[UUID, Said] = field(default_factory=dict)

    def facts(self, table: str, since: datetime, until: datetime) -> list[Fact]:
        """What one table of a report counts, by the table's name: `handoffs/waiting`."""
        facts = [
            self._whole(told, fact)
            for told in self.cases.values()
            for fact in _TABLES[table](self, told, since, until)
        ]
        return [f for f in facts if since <= f["at"] < until or f.get("standing")]

    def _whole(self, told: Told, fact: Fact) -> Fact:
        """What the case says today, where the fact does not say it itself."""
        today = {
            "case": told.id, "team": told.team, "agent": told.agent, "channel": told.channel,
            "product": told.product, "priority": told.priority,
        }  # fmt: skip
        return today | fact

    # --- the tables ------------------------------------------------------------------------------

    def clocks(self, told: Told, *_: datetime) -> Iterable[Fact]:
        for clock in told.clocks.values():
            answered = clock["state"] == "met" or clock["who"] or clock["metric"] == "resolution"
            seconds = None
            if answered and clock["ended"] is not None:
                seconds = (clock["ended"] - clock["at"]).total_seconds()
            live = clock["state"] in ("running", "paused")
            where = {"team": told.team, "channel": told.channel} if live else {}
            agent = clock["who"] or told.agent
            yield clock | where | {"agent": agent, "seconds": seconds}

    def promised(self, told: Told, *_: datetime) -> Iterable[Fact]:
        for promise in told.promises.values():
            open_ = promise["state"] == "open"
            yield promise | ({"team": told.team, "channel": told.channel} if open_ else {})

    def offers(self, told: Told, *_: datetime) -> Iterable[Fact]:
        for offer in told.handoffs.values():
            accepted, cost = offer["state"] == "accepted", offer["cost"]
            hours = _hours(offer["at"], offer["ended"]) if accepted else None
            saved = None
            if accepted and offer["from"] in cost and offer["to"] in cost:
                saved = cost[offer["from"]] - cost[offer["to"]]
            outside = offer["kind"] == "team" and offer["to"] in self.external
            yield offer | {"hours": hours, "saved": saved, "external": outside}

    def waits(self, told: Told, *_: datetime) -> Iterable[Fact]:
        for child in told.children:
            ends = [at for at in (child["over"], told.closed_at) if at is not None]
            over = min(ends, default=None)
            yield child | {"over": over, "hours": _hours(child["at"], over or self.now)}

    def freezes(self, told: Told, since: datetime, until: datetime) -> Iterable[Fact]:
        for freeze in told.freezes:
            standing = freeze["over"] is None and freeze["at"] < until
            hours = None if freeze["over"] is None else _hours(freeze["at"], freeze["over"])
            recent = freeze["at"] >= since
            yield freeze | {"standing": standing, "recent": recent, "hours": hours}

    def opened(self, told: Told, *_: datetime) -> Iterable[Fact]:
        yield {"at": told.opened_at, "hops": told.hops}

    def pairs(self, told: Told, since: datetime, until: datetime) -> Iterable[Fact]:
        done = [
            h for h in told.handoffs.values()
            if h["kind"] == "team" and h["state"] == "accepted" and h["agent"] != "regie"
            and since <= h["at"] < until
        ]  # fmt: skip
        ways = {(h["from"], h["to"]) for h in done}
        for h in done:
            one, other = sorted((h["from"], h["to"]))
            both = {(one, other), (other, one)} <= ways
            yield h | {"one": one, "other": other, "there": h["from"] == one, "both": both}

    def surveys(self, told: Told, *_: datetime) -> Iterable[Fact]:
        yield from told.surveys

    def skips(self, told: Told, *_: datetime) -> Iterable[Fact]:
        yield from (s for s in told.surveys if not s["asked"])

    def closings(self, told: Told, since: datetime, until: datetime) -> Iterable[Fact]:
        inside = [c for c in told.closings if since <= c["at"] < until and c["agent"] != "regie"]
        if not inside:
            return
        last = inside[-1]
        said = [s for s in self.said.values() if s.case == told.id and s.at <= last["at"]]
        come = [s for s in said if s.come and s.counts]
        gone = [
            s for s in said
            if not s.come and s.counts and s.state in ("sent", "delivered", "read")
        ]  # fmt: skip
        first = min((s.occurred_at for s in come), default=told.opened_at)
        assert first is not None
        hops = [
            h["kind"] for h in told.handoffs.values()
            if h["state"] == "accepted" and h["agent"] != "regie" and h["ended"] <= last["at"]
        ]  # fmt: skip
        yield last | {
            "hours": _hours(first, last["at"]),
            "channels": len({s.channel for s in come + gone}),
            "come": len(come),
            "gone": len(gone),
            "team_hops": hops.count("team"),
            "channel_hops": hops.count("channel"),
            "reopened": any(at >= inside[0]["at"] for at in told.reopenings),
        }


_TABLES: Final[Mapping[str, Callable[[Recount, Told, datetime, datetime], Iterable[Fact]]]] = {
    "service-levels": Recount.clocks,
    "promises": Recount.promised,
    "handoffs": Recount.offers,
    "handoffs/waiting": Recount.waits,
    "ping-pong": Recount.freezes,
    "ping-pong/hops": Recount.opened,
    "ping-pong/pairs": Recount.pairs,
    "satisfaction": Recount.surveys,
    "satisfaction/skips": Recount.skips,
    "journeys": Recount.closings,
}


async def recount(room: Room) -> Recount:
    policy = room.handlers.policies.current
    outside = frozenset(name for name, team in policy.teams.items() if team.external)
    all_ = Recount(room.clock(), outside)
    rows = await room.rows(
        "SELECT case_id, version, at, actor, data::text AS data FROM case_events "
        "ORDER BY at, case_id, seq"
    )
    for row in rows:
        told = all_.cases.setdefault(row.case_id, Told(row.case_id, all_))
        event = msgspec.json.decode(row.data, type=ev.CaseEvent)
        told.hear(event, row.at, row.actor, row.version)
    return all_


def _hours(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds() / 3600
