"""A case's life at random: any command, in any order, at any time, under lag and new policies.

The machine takes steps; `Ledger` adds up what happened by itself. After every step both must agree,
and what the design guarantees must hold (DESIGN 5.3 to 5.6).

A long run: REGIE_SIMULATE=5000 .venv/bin/python -m pytest tests/simulation --timeout 0
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.router import commands as cmd
from services.router.case import FAR, Case
from services.router.decide import decide, evolve
from services.router.firing import next_fire
from shared.errors import Refused
from shared.events import CaseChanged, Target
from tests.builders import mail, message
from tests.simulation.ledger import ANSWERS, Ledger
from tests.simulation.promises import AMSTERDAM, longest_promise, open_time, policies

EXAMPLES: Final = int(os.environ.get("REGIE_SIMULATE", "150"))
MOMENTS: Final = {
    "an ordinary Tuesday": "2026-11-17T10:00:00+01:00",
    "Friday before the clocks go forward": "2026-03-27T16:50:00+01:00",
    "the night they go back": "2026-10-24T23:30:30+02:00",
    "the day before Good Friday": "2026-04-02T16:00:00+02:00",
    "New Year's Eve": "2026-12-31T12:00:00+01:00",
}
WORDS: Final = ["customs", "track", "lonely", "damaged", "hello"]
KINDS: Final = ["message"] * 5 + ["reaction", "auto_reply", "voicemail", "bounce", "call_missed"]
# Mostly a moment; sometimes a night, a weekend, a holiday.
PASSES: Final = st.one_of(
    st.just(0), st.integers(0, 40), st.integers(0, 600), st.integers(0, 6 * 1440)
).map(lambda minutes: timedelta(minutes=minutes))
LAGS: Final = st.one_of(
    st.just(0), st.just(0), st.integers(0, 90), st.integers(0, 3000)
).map(lambda minutes: timedelta(minutes=minutes))  # fmt: skip
PICK: Final = st.integers(0, 9)


class CaseMachine(RuleBasedStateMachine):
    """One case from its first message on. `now` only goes forward, so does the watermark."""

    case: Case | None
    ledger: Ledger
    sound = False  # whether the last step left nothing to say

    @initialize(
        moment=st.sampled_from(sorted(MOMENTS)), word=st.sampled_from(WORDS),
        channel=st.sampled_from(["whatsapp", "email", "webchat", "phone"]), ago=LAGS,
    )  # fmt: skip
    def begin(self, moment: str, word: str, channel: str, ago: timedelta) -> None:
        # Whatever is made up beside the commands comes out the same in every replay.
        self.random = random.Random(1)
        self.now = datetime.fromisoformat(MOMENTS[moment]).astimezone(ZoneInfo("UTC"))
        self.watermark: datetime | None = None
        self.case, self.id = None, self.new_id()
        self.customer = cmd.CustomerFacts(id=self.new_id())
        self.history: list[CaseChanged] = []
        self.replies: list[UUID] = []
        self.offers: list[UUID] = []
        self.policy = policies()[0]
        self.ledger = Ledger(self.now, open_time, longest_promise)
        self.hear(timedelta(), channel, word, "message", ago, timedelta())

    def new_id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))

    @property
    def there(self) -> Case:
        assert self.case is not None
        return self.case

    # --- one step --------------------------------------------------------------------------

    def tell(self, command: cmd.Command, occurred_at: datetime | None = None) -> list[CaseChanged]:
        """Decides, as the desk does: what ended is not loaded again. [] for what was refused."""
        self.sound = False
        promise = self.ledger.promise
        waited = bool(self.ledger.unanswered)
        try:
            decided = decide(self.case, self.id, command, self.policy, self.now)
        except Refused:
            return []
        changes = list(decided.changes)
        self.case = decided.case.pruned()
        self.history += changes
        self.ledger.now, self.ledger.watermark = self.now, self.watermark
        self.ledger.occurred_at = occurred_at
        self.ledger.take(changes)
        for targets, priority in self.ledger.notified:
            self.in_quiet_hours(targets, priority)
        still = self.ledger.promise
        if promise is not None and waited and self.ledger.unanswered and not self.ledger.answered:
            assert still is not None
            assert still <= promise, "the earliest promise moved later without an answer"
        return changes

    def in_quiet_hours(self, told: tuple[Target, ...], priority: str) -> None:
        """Nobody is told between 20:00 and 07:00, but of what is urgent."""
        local = self.now.astimezone(AMSTERDAM)
        quiet = local.hour >= 20 or local.hour < 7
        kept = quiet and priority != "urgent" and self.policy.quiet_hours is not None
        for target in told:
            assert (target.not_before is not None) == kept
            if target.not_before is not None:
                end = target.not_before.astimezone(AMSTERDAM)
                assert (end.hour, end.minute) == (7, 0)
                assert timedelta() < end - local <= timedelta(hours=12)

    # --- the customer ----------------------------------------------------------------------

    @rule(
        passed=PASSES, channel=st.sampled_from(["whatsapp", "email", "webchat", "phone"]),
        word=st.sampled_from(WORDS), kind=st.sampled_from(KINDS), ago=LAGS, lag=LAGS,
    )  # fmt: skip
    def hear(
        self, passed: timedelta, channel: str, word: str, kind: str, ago: timedelta, lag: timedelta
    ) -> None:
        """`ago` it occurred before it was received, `lag` it waited in the topic."""
        self.now += passed
        # The watermark never passed what was not handled yet.
        received_at = max(self.now - lag, self.watermark or self.now - lag)
        occurred_at = received_at - ago
        window = occurred_at + timedelta(hours=24) if channel == "whatsapp" else None
        build: Callable[..., Any] = mail if channel == "email" else message
        received = build(
            f"it is {word}", at=occurred_at, received_at=received_at, kind=kind, channel=channel,
            reply_window_closes_at=window, id=self.new_id(), automatic=kind == "auto_reply",
            reference=self.new_id().hex,
        )  # fmt: skip
        taken = cmd.TakeMessage(self.id, received, self.customer, "customer")
        self.tell(taken, occurred_at)

    @precondition(lambda self: self.ledger.messages)
    @rule(passed=PASSES, pick=PICK)
    def settle(self, passed: timedelta, pick: int) -> None:
        """A message is withdrawn, or a call turned out better than it looked."""
        self.now += passed
        settled = self.ledger.messages[pick % len(self.ledger.messages)]
        self.tell(cmd.ReviseMessage(settled.id, "revoked", settled=True))

    @rule(passed=PASSES, ago=LAGS)
    def echo(self, passed: timedelta, ago: timedelta) -> None:
        """A colleague answered in the provider's own app."""
        self.now += passed
        typed = message(
            "typed elsewhere", at=self.now - ago, received_at=self.now, echo=True,
            id=self.new_id(), reference=self.new_id().hex,
        )  # fmt: skip
        self.tell(cmd.TakeMessage(self.id, typed, self.customer, "thread"), self.now - ago)

    # --- agents ----------------------------------------------------------------------------

    @rule(
        passed=PASSES, behind=st.sampled_from([0, 0, 0, 2, 6]), channel=PICK,
        status=st.sampled_from(["", "", "sent", "sent", "failed", "unknown"]), after=PASSES,
    )  # fmt: skip
    def reply(
        self, passed: timedelta, behind: int, channel: int, status: str, after: timedelta
    ) -> None:
        self.now += passed
        routes = sorted(self.there.routes)
        made = cmd.Reply(
            self.new_id(), "jo", "so", max(self.there.version - behind, 0), template="t",
            channel=routes[channel % len(routes)] if channel < 4 and routes else None,  # type: ignore[arg-type]
        )  # fmt: skip
        if self.tell(made):
            self.replies.append(made.message_id)
            if status:
                self.report(after, 0, status)

    @precondition(lambda self: self.replies)
    @rule(passed=PASSES, pick=PICK, status=st.sampled_from(["sent", "sent", "failed", "unknown"]))
    def report_of(self, passed: timedelta, pick: int, status: str) -> None:
        """Of any reply, however old: a bounce comes late."""
        self.report(passed, pick, status)

    def report(self, passed: timedelta, pick: int, status: Any) -> None:
        self.now += passed
        reply = self.replies[-1 - pick % len(self.replies)]
        lost, oldest = self.ledger.promised.get(reply, (None, None))
        told = self.tell(cmd.ReportDelivery(reply, status, self.now))
        if told and status == "failed" and lost and oldest is not None and oldest.unanswered:
            assert self.ledger.promise is not None
            assert self.ledger.promise <= lost, "a bounce moved the promise later"

    @rule(
        passed=PASSES, behind=st.sampled_from([0, 0, 3]),
        outcome=st.sampled_from(["reached", "no_answer", "voicemail"]),
    )  # fmt: skip
    def call(self, passed: timedelta, behind: int, outcome: Any) -> None:
        self.now += passed
        answers = max(self.there.version - behind, 0)
        self.tell(cmd.Reply(self.new_id(), "jo", "", answers, channel="phone", outcome=outcome))

    @rule(passed=PASSES, what=st.sampled_from(["claim", "release", "give", "note"]), agent=PICK)
    def hold(self, passed: timedelta, what: str, agent: int) -> None:
        self.now += passed
        name = ("jo", "li")[agent % 2]
        orders: dict[str, cmd.Command] = {
            "claim": cmd.Claim(name),
            "release": cmd.Release(name, may_release_others=agent > 7),
            "give": cmd.Give(name),
            "note": cmd.TakeNote(self.new_id(), name, "noted"),
        }
        self.tell(orders[what])

    @rule(
        passed=PASSES, state=st.sampled_from(["waiting_customer", "waiting_internal"]),
        until=st.one_of(st.none(), PASSES),
    )  # fmt: skip
    def pause(self, passed: timedelta, state: Any, until: timedelta | None) -> None:
        self.now += passed
        self.tell(cmd.Pause("jo", state, None if until is None else self.now + until))

    @rule(passed=PASSES)
    def reopen(self, passed: timedelta) -> None:
        self.now += passed
        self.tell(cmd.Reopen("jo"))

    @rule(passed=PASSES)
    def close(self, passed: timedelta) -> None:
        self.now += passed
        self.tell(cmd.Close("jo"))

    @rule(passed=PASSES, priority=st.sampled_from(["low", "normal", "high", "urgent"]))
    def rate(self, passed: timedelta, priority: Any) -> None:
        self.now += passed
        self.tell(cmd.ChangePriority("jo", priority))

    @rule(passed=PASSES, team=st.sampled_from(["frontdesk", "parcels", "claims", "loners"]))
    def offer(self, passed: timedelta, team: str) -> None:
        self.now += passed
        made = cmd.OfferHandoff(self.new_id(), "jo", "agent", to_team=team)
        if self.tell(made):
            self.offers.append(made.handoff_id)

    @precondition(lambda self: self.offers)
    @rule(passed=PASSES, pick=PICK, accepted=st.booleans())
    def reply_to_offer(self, passed: timedelta, pick: int, accepted: bool) -> None:
        self.now += passed
        offered = self.offers[pick % len(self.offers)]
        answer = cmd.AcceptHandoff if accepted else cmd.DeclineHandoff
        self.tell(answer(offered, "li"))

    # --- time and policy -------------------------------------------------------------------

    @rule()
    def switch_policy(self) -> None:
        """A new version rules from now on; what runs stays as it is."""
        before = self.ledger.live.keys()
        self.policy = next(p for p in policies() if p is not self.policy)
        assert self.ledger.live.keys() == before

    @rule(passed=PASSES, lag=st.one_of(st.none(), LAGS))
    def pass_time(self, passed: timedelta, lag: timedelta | None) -> None:
        self.now += passed
        self._fire(lag)

    @rule(lag=LAGS)
    def fire(self, lag: timedelta) -> None:
        """As the clock does: at the moment the timer names."""
        at = next_fire(self.there, self.policy, self.now)
        if at is not None:
            self.now = at
            self._fire(lag)

    def _fire(self, lag: timedelta | None) -> None:
        if lag is not None:
            self.watermark = max(self.watermark or self.now - lag, self.now - lag)
        for _ in range(4):  # what one firing brought back may be due itself
            self.tell(cmd.PassTime(self.watermark))
            again = next_fire(self.there, self.policy, self.now)
            if again is None or again > self.now:
                break
        else:
            raise AssertionError("the timer fires for ever")
        for clock in self.ledger.live.values():
            if clock.state != "running":
                continue
            leaving = any(r.human and not r.doubtful for r in self.ledger.replies.values())
            caught_up = self.watermark is not None and self.watermark >= clock.due
            assert clock.due > self.now or not caught_up or leaving, "a breach was forgotten"
            if clock.due > self.now:
                steps = sum(step <= self.now for step in clock.warn_at)
                assert not steps or steps in clock.warned, "a reminder was forgotten"

    # --- what always holds -----------------------------------------------------------------

    @invariant()
    def all_of_it_holds(self) -> None:
        self._the_ledger_agrees()
        self._whoever_waits_has_a_promise()
        self._only_the_resolution_waits_for_the_customer()
        self._a_closed_case_is_quiet()
        self._the_timer_comes_in_time()
        self.sound = True

    def _the_ledger_agrees(self) -> None:
        case, ledger = self.there, self.ledger
        assert (case.seq, case.version) == (ledger.seq, ledger.version)
        assert case.state == ledger.state
        assert {m.message_id for m in case.unanswered} == {m.id for m in ledger.unanswered}
        live = {n: (c.metric, c.state, c.due) for n, c in ledger.live.items()}
        assert {d.number: (d.metric, d.state, d.due_at) for d in case.running} == live
        due = case.effective_due()[0]
        assert (None if due == FAR else due) == ledger.effective_due

    def _whoever_waits_has_a_promise(self) -> None:
        waiting = self.ledger.unanswered
        answers = [c for c in self.ledger.live.values() if c.metric in ANSWERS]
        if not waiting:
            assert not answers, "a clock runs, and nobody waits"
            return
        [clock] = answers
        assert clock.state in ("running", "breached")
        if clock.state == "running":  # a broken promise stays the one that was broken
            assert clock.due <= min(m.promised for m in waiting)
        assert self.there.state in ("open", "waiting_internal")

    def _only_the_resolution_waits_for_the_customer(self) -> None:
        for clock in self.ledger.live.values():
            if clock.metric == "resolution" and clock.state != "breached":
                waits = self.there.state == "waiting_customer"
                assert (clock.state == "paused") == waits

    def _a_closed_case_is_quiet(self) -> None:
        if self.there.state == "closed":
            assert not self.ledger.live
            assert not self.ledger.unanswered

    def _the_timer_comes_in_time(self) -> None:
        at = next_fire(self.there, self.policy, self.now)
        assert at is None or at >= self.now
        dues = [c.due for c in self.ledger.live.values() if c.state == "running"]
        if dues:
            assert at is not None
            assert at <= max(min(dues), self.now + timedelta(seconds=2))

    def teardown(self) -> None:
        if not self.sound:
            return
        self._replay()
        self._nobody_comes()

    def _replay(self) -> None:
        """The stored history makes the same case again."""
        case: Case | None = None
        for change in self.history:
            stored = msgspec.json.decode(msgspec.json.encode(change), type=CaseChanged)
            case = evolve(case, stored)
        assert case is not None
        assert case.pruned() == self.case

    def _nobody_comes(self) -> None:
        """Nothing waits for nobody: alone, a case ends up with somebody who may take it."""
        for reply in list(self.ledger.replies):  # the sender does not leave one open for ever
            self.tell(cmd.ReportDelivery(reply, "unknown", self.now))
        for _ in range(200):
            at = next_fire(self.there, self.policy, self.now)
            if at is None:
                break
            self.now = at
            self._fire(timedelta())
        else:
            raise AssertionError("the timer never comes to rest")
        if self.there.state == "open":
            assert not self.there.agent
            assert not self.there.skills, "it waits for skills that nobody has"
            assert self.there.relax_at is None


CaseMachine.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=30, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
TestCase = CaseMachine.TestCase
