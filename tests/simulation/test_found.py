"""What the machine once found, as it found it: lives of a case that are short and went wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.simulation.ledger import ANSWERS
from tests.simulation.test_case_machine import CaseMachine

NOW = timedelta()
FRIDAY = "Friday before the clocks go forward"  # 16:50; a chat's first answer is due Saturday 10:20


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


def begin(word: str = "hello", channel: str = "whatsapp", ago: int = 0) -> CaseMachine:
    machine = CaseMachine()
    machine.begin(FRIDAY, word, channel, minutes(ago))
    return machine


def hear(machine: CaseMachine, passed: int = 1) -> None:
    machine.hear(minutes(passed), "whatsapp", "hello", "message", NOW, NOW)


def reply(machine: CaseMachine, passed: int = 1, status: str = "") -> None:
    machine.reply(minutes(passed), 0, 9, status, minutes(1))


def fire(machine: CaseMachine, times: int = 1) -> None:
    for _ in range(times):
        machine.fire(NOW)


def the_reply_is_news_as_well() -> CaseMachine:
    """The clock of the next news waits for a reply to leave, as that of an answer does."""
    machine = begin()
    reply(machine)
    machine.echo(NOW, NOW)
    fire(machine, 4)
    return machine


def reopened_for_a_skill() -> CaseMachine:
    machine = begin("customs")
    machine.close(NOW)
    machine.reopen(minutes(1))
    return machine


def too_late_for_a_skill() -> CaseMachine:
    return begin("track", ago=3000)


def no_answer_due_for_a_skill() -> CaseMachine:
    machine = begin("track", "webchat")
    machine.echo(NOW, NOW)
    machine.reopen(minutes(1))
    return machine


def bounced_after_its_promise() -> CaseMachine:
    """It begins at the oldest message again, and did not arrive late."""
    machine = begin()
    reply(machine, 1050, "sent")
    hear(machine)
    machine.report(minutes(1), 0, "failed")
    [clock] = [c for c in machine.ledger.live.values() if c.metric in ANSWERS]
    assert not clock.started.late
    return machine


def withdrawn_and_then_bounced() -> CaseMachine:
    machine = begin()
    reply(machine, 1, "sent")
    machine.settle(minutes(1), 0)
    machine.report(minutes(1), 0, "failed")
    return machine


def paused_and_reminded() -> CaseMachine:
    """Steps taken before a pause are not taken again."""
    machine = begin()
    machine.pass_time(minutes(4235), NOW)  # Monday 16:25; the resolution is due 16:50
    assert any(c.warned for c in machine.ledger.live.values() if c.metric == "resolution")
    machine.echo(minutes(1), NOW)
    hear(machine, 4)
    return machine


def both_replies_bounced() -> CaseMachine:
    machine = begin()
    reply(machine)
    reply(machine)
    for pick, status in ((1, "sent"), (0, "sent"), (1, "failed"), (0, "failed")):
        machine.report(minutes(1), pick, status)
    assert machine.ledger.unanswered
    return machine


def woken_long_ago() -> CaseMachine:
    """A pause that ended early does not end once more."""
    machine = begin()
    machine.close(NOW)
    machine.reopen(minutes(1))
    machine.pause(NOW, "waiting_customer", minutes(5))
    reply(machine, 0, "failed")
    fire(machine)
    return machine


def sent_after_the_closing() -> CaseMachine:
    """One reply, remembered once: on its way as the case closes, sent, and then it bounces."""
    machine = begin()
    reply(machine)
    machine.close(minutes(1))
    hear(machine)
    machine.report(minutes(1), 0, "sent")
    machine.report(minutes(1), 0, "failed")
    assert len(machine.ledger.unanswered) == 2
    return machine


def closed_twice_on_its_way() -> CaseMachine:
    machine = begin()
    reply(machine)
    machine.close(minutes(1))
    hear(machine)
    machine.close(minutes(1))
    machine.report(minutes(1), 0, "failed")
    assert machine.ledger.unanswered
    return machine


def bounced_after_the_closing() -> CaseMachine:
    """What it was promised before the closing holds."""
    machine = begin()
    reply(machine)
    machine.close(minutes(1))
    hear(machine, 60)
    machine.report(minutes(1), 0, "failed")
    return machine


def bounced_after_a_call() -> CaseMachine:
    """An old bounce, of what a call has answered since, is nothing to the next message."""
    machine = begin()
    reply(machine, 0, "sent")
    machine.call(minutes(4000), 0, "reached")
    hear(machine)
    machine.report(minutes(1), 0, "failed")
    assert machine.ledger.promise is not None
    assert machine.ledger.promise > machine.now
    return machine


def bounced_for_the_second_message() -> CaseMachine:
    """The promise of the first is not the second's, who came when it was broken."""
    machine = begin()
    machine.pass_time(minutes(4000), NOW)
    reply(machine)
    hear(machine)
    reply(machine, 1, "sent")
    machine.report(minutes(1), 1, "sent")
    machine.report(minutes(1), 0, "failed")
    assert machine.ledger.promise is not None
    assert machine.ledger.promise > machine.now
    return machine


LIVES: list[Callable[[], CaseMachine]] = [
    the_reply_is_news_as_well, reopened_for_a_skill, too_late_for_a_skill,
    no_answer_due_for_a_skill, bounced_after_its_promise, withdrawn_and_then_bounced,
    paused_and_reminded, both_replies_bounced, woken_long_ago, sent_after_the_closing,
    closed_twice_on_its_way, bounced_after_the_closing, bounced_after_a_call,
    bounced_for_the_second_message,
]  # fmt: skip


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_once_found(life: Callable[[], CaseMachine]) -> None:
    machine = life()
    machine.all_of_it_holds()
    machine.teardown()
