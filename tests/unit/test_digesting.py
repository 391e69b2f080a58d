"""Which notices wait for a digest, and what it says: the pure part."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from services.notifier.digesting import (
    LINES,
    Tally,
    Window,
    gathered,
    payload_of,
    sort_out,
)
from services.notifier.effects import plan
from services.notifier.models import Delivery, Head
from services.notifier.staleness import no_longer_true
from services.notifier.targets.webhook import LARGEST_BODY, body_of
from shared import notices
from shared.events import CaseChanged, DeadlineWarned, Digest, Target
from tests.builders import NOON, after

FIVE = Digest(over=5, every=timedelta(minutes=15))
LATE = Digest(over=0, every=timedelta(minutes=15))
WINDOW = Window(uuid4(), after(minutes=15), alone=3)


def notice(
    digest: Digest | None = FIVE, *, target: str = "webhook:a", attempts: int = 0,
    kind: str = "deadline.warned", at: datetime = NOON, effect: Any = "reminder", **data: Any,
) -> Delivery:  # fmt: skip
    case = uuid4()
    return Delivery(
        id=uuid4(), case_id=case, effect=effect, target=target, version=1, at=at,
        payload={
            "type": kind,
            "data": {"case_id": str(case), "team": "parcels", "channel": "email"} | data,
        },
        attempts=attempts, attempts_before=0, expires_at=after(hours=1), head=Head(2, "open", None),
        digest=digest,
    )  # fmt: skip


def test_as_many_as_are_allowed_leave_alone_and_the_rest_waits() -> None:
    many = [notice() for _ in range(4)]
    found = sort_out(many, {"webhook:a": WINDOW}, NOON)
    assert (list(found.alone), found.counts) == (many[:2], {WINDOW.id: 2})
    assert found.held == {each.id: WINDOW.id for each in many[2:]}


def test_what_is_urgent_tried_or_for_another_leaves() -> None:
    full = Window(uuid4(), after(minutes=15), alone=5)
    free = [notice(None), notice(attempts=1), notice(target="webhook:b")]
    windows = {"webhook:a": full, "webhook:b": Window(uuid4(), after(minutes=1), 0)}
    found = sort_out([*free, late := notice(LATE)], windows, NOON)
    assert list(found.alone) == free
    assert found.held == {late.id: full.id}


def test_nothing_is_held_for_a_window_that_is_over() -> None:
    over = Window(uuid4(), NOON, alone=0)
    found = sort_out([notice()], {"webhook:a": over}, NOON)
    assert (found.alone, found.held) == ([], {})


def told(tally: Tally) -> Any:
    return payload_of(tally, NOON, after(minutes=15))["data"]


def test_what_may_wait_for_less_long_ends_the_window_sooner() -> None:
    """As what is urgent does, in the window of a policy that collects for hours."""
    hours = Window(uuid4(), after(hours=3), alone=20)
    slow, quick = (
        Digest(over=5, every=timedelta(hours=4)),
        Digest(over=20, every=timedelta(minutes=15)),
    )
    found = sort_out([notice(slow), notice(quick)], {"webhook:a": hours}, NOON)
    assert found.sooner == {hours.id: after(minutes=15)}
    assert sort_out([notice(slow)], {"webhook:a": hours}, NOON).sooner == {}
    soon = Window(uuid4(), after(minutes=5), alone=20)
    assert sort_out([notice(quick)], {"webhook:a": soon}, NOON).sooner == {}


def test_a_line_has_nobodys_words() -> None:
    said = notice(kind="case.frozen", owner="supervisors", reason="Ms Jansen called about it")
    (line,) = gathered(Tally(), [said]).lines
    assert (line["owner"], "reason" in line) == ("supervisors", False)


def test_a_digest_keeps_quiet_hours_where_all_that_is_in_it_does() -> None:
    quiet = {"quiet": {"start": "20:00:00", "end": "07:00:00", "zone": "UTC"}}
    asleep = [replace(each, payload={**each.payload, **quiet}) for each in (notice(), notice())]
    assert gathered(Tally(), asleep).manner == quiet
    assert gathered(Tally(), [*asleep, notice()]).manner == {}
    assert gathered(Tally(), [notice(), *asleep]).manner == {}
    assert gathered(gathered(Tally(), [notice()]), asleep).manner == {}


def test_the_most_urgent_stand_first_and_the_rest_is_counted() -> None:
    """In batches too, and over a restart between them."""
    urgent = [notice(due_at=after(minutes=n).isoformat(), team=f"t{n % 2}") for n in range(113)]
    tally = Tally()
    for start in range(0, 113, 10):
        batch = [urgent[113 - 1 - n] for n in range(start, min(start + 10, 113))]
        tally = msgspec.json.decode(msgspec.json.encode(gathered(tally, batch)), type=Tally)
    data = told(tally)
    assert [line["due_at"] for line in data["items"]] == [
        after(minutes=n).isoformat() for n in range(LINES)
    ]
    assert (data["count"], data["more"]) == (113, 113 - LINES)
    assert data["teams"] == {"t0": 57, "t1": 56}
    assert data["summary"] == f"113 notices: 113 due soon; the {LINES} most urgent, and 93 more"
    assert tally.only is None


def test_one_left_is_named_so_that_it_goes_as_itself() -> None:
    one = notice()
    assert gathered(Tally(), [one]).only == one.id
    assert gathered(gathered(Tally(), [one]), [notice()]).only is None
    assert Tally().only is None


def test_a_digest_fits_a_webhook_and_keeps_how_it_is_put() -> None:
    long = [
        notice(reason="x" * 5_000, owner="y" * 5_000, team=f"{n}" * 60, due_at=NOON.isoformat())
        for n in range(500)
    ]
    payload = payload_of(gathered(Tally(), long), NOON, NOON)
    assert len(body_of(payload)) < LARGEST_BODY
    assert payload["type"] == "digest"


def test_it_tells_how_things_stand() -> None:
    answered = Head(2, "waiting_customer", after(minutes=5))
    breach = notice(effect="breach", metric="first_response")
    assert no_longer_true(breach, after(minutes=10)) is None
    stale = no_longer_true(replace(breach, head=answered), after(minutes=10))
    assert stale is not None
    assert stale.code == "answered"


def test_it_can_be_put_into_words_for_people() -> None:
    """Everybody's tables meet here: the digest's payload is what `shared.notices` reads."""
    many = [notice(due_at=after(minutes=n).isoformat(), metric="resolution") for n in range(25)]
    payload = payload_of(gathered(Tally(), many), NOON, NOON)
    decoded = msgspec.json.decode(msgspec.json.encode(payload))
    words = notices.worded(notices.read(decoded, "https://regie.example.org"), NOON)
    assert words.subject == "25 notices for parcels"
    assert many[0].payload["data"]["case_id"][-8:] in words.text


def test_people_are_told_twenty_things_at_most_by_themselves_whatever_the_policy_says() -> None:
    told = [
        Target(kind="slack", address="https://hooks.example.org/a"),
        Target(kind="email", address="desk@example.org", digest=FIVE),
        Target(kind="webhook", address="https://hooks.example.org/b"),
    ]
    event = DeadlineWarned(
        metric="first_response", number=1, step=1, due_at=after(hours=1), expires_at=after(hours=1),
        notify=tuple(told),
    )  # fmt: skip
    change = CaseChanged(
        case_id=uuid4(), seq=3, version=2, at=NOON, actor="clock", customer_id=uuid4(),
        team="desk", channel="email", event=event,
    )  # fmt: skip
    people = Digest(over=20, every=timedelta(minutes=15))
    assert [each.digest for each in plan("event", change)] == [people, FIVE, None]
