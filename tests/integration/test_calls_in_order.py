"""One call, told of in several requests: in whatever order they come, how often, and in whatever
batches, the router ends with the same message, in the same case, with the same deadlines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from itertools import count, permutations
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.router import commands as cmd
from shared import codes
from shared.channels import Parsed
from shared.events import (
    Attachment,
    AttachmentFetched,
    Blob,
    Call,
    Identity,
    MessageReceived,
    Sender,
    Thread,
)
from tests.builders import NOON, after, message, sender
from tests.contracts.channels import twilio_forms
from tests.contracts.channels.phone_lines import LINES, Line
from tests.contracts.channels.phone_lines import calls as calls_of
from tests.contracts.channels.test_phone import CALLS
from tests.contracts.channels.test_phone import heard as heard_by_twilio
from tests.contracts.channels.test_phone_lines import heard as heard_by_line
from tests.rooms import Room, make_room

CODE = codes.written(0x12_3456_789A)
RECORDING = Attachment(
    name="voicemail.wav", content_type="audio/wav", url="https://example.org/re1", media_id="RE1"
)
_numbers = count()


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


# --- one call ----------------------------------------------------------------------------------


def said(kind: Any, text: str, *, ago: int = 0, length: int = 0, **given: Any) -> MessageReceived:
    """One word about call CA1, that names a time `ago` seconds before the last one."""
    outcome: Any = {"call_ended": "answered", "voicemail": "voicemail"}.get(kind, "missed")
    return message(
        text, at=after(minutes=2) - timedelta(seconds=ago), received_at=after(minutes=2),
        kind=kind, id=uuid5(NAMESPACE_URL, kind), account="desk-phone", channel="phone",
        reply_window_closes_at=None, sender=sender(authentication="asserted"),
        thread=Thread(message_id="CA1"), call=Call(outcome=outcome, duration=length), **given,
    )  # fmt: skip


def transcript(text: str = "Please call me", number: int = 1) -> MessageReceived:
    return replace(
        said("voicemail", text), kind="edit", call=None, id=uuid5(NAMESPACE_URL, f"TR{number}"),
        thread=Thread(message_id=f"TR{number}", target="CA1"),
    )  # fmt: skip


OVER = said("call_missed", "Missed call from +31612345678")
GONE = said("call_missed", "Missed call from Ada", ago=90, attributes={"digits": "12"})
LEFT = said("voicemail", "Voicemail (0:14)", ago=60, length=14, attachments=(RECORDING,))
ASKED = said("callback_requested", "Call back", ago=70,
             attributes={"phone": "+31612345678", "preferred": "after five"})  # fmt: skip
ENDED = said("call_ended", "Answered call (0:42)", ago=80, length=42)
WORDS = (OVER, GONE, LEFT, ASKED, transcript(), transcript("And hurry", 2), ENDED)


def another(told: Sequence[MessageReceived], withheld: bool = False) -> list[MessageReceived]:
    """The same words about another call, of somebody else."""
    number = next(_numbers)
    caller = Identity(scheme="e164", value=f"+316{number:08d}")
    who = Sender(identities=() if withheld else (caller,), authentication="asserted")
    call = f"call {number}"

    def name(id: str) -> str:
        return "" if not id else call if id in ids else f"{call} {id}"

    ids = {m.thread.message_id for m in told if m.kind != "edit"}
    ids |= {m.thread.target for m in told if m.kind == "edit"}
    return [
        replace(
            m, id=uuid5(m.id, call), sender=who,
            thread=Thread(message_id=name(m.thread.message_id), target=name(m.thread.target)),
        )
        for m in told
    ]  # fmt: skip


async def told(room: Room, batches: Sequence[Sequence[MessageReceived]]) -> dict[str, Any]:
    """What stands of the call once all of it was heard."""
    for batch in batches:
        await room.hear(*batch)
    return await outcome(room, next(m for batch in batches for m in batch))


async def outcome(room: Room, of: MessageReceived) -> dict[str, Any]:
    call = of.thread.target or of.thread.message_id
    rows = await room.rows(
        "SELECT kind, text, occurred_at, case_id, data -> 'attachments' AS files, "
        "data -> 'attributes' AS attributes FROM messages WHERE provider_id = :call", call=call,
    )  # fmt: skip
    cases = await room.rows(
        "SELECT id, state, team, priority, product, waiting_since, due_at, due_metric FROM cases "
        "WHERE id IN (SELECT case_id FROM messages WHERE provider_id = :call "
        "OR data -> 'thread' ->> 'target' = :call)", call=call,
    )  # fmt: skip
    ids = [case.id for case in cases]
    deadlines = await room.rows(
        "SELECT metric, due_at, late FROM deadlines WHERE case_id = ANY(:ids) "
        "AND state IN ('running', 'paused')", ids=ids,
    )  # fmt: skip
    promises = await room.rows(
        "SELECT due_at FROM promises WHERE case_id = ANY(:ids) AND state = 'open'", ids=ids
    )
    return {
        "messages": [(*tuple(row)[:3], row.files, row.attributes) for row in rows],
        "cases": [tuple(case)[1:] for case in cases],
        "deadlines": sorted(map(tuple, deadlines)),
        "promises": [row.due_at for row in promises],
    }


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[MessageReceived], list[list[int]], bool]:
    """Some words about a call; an order of them in batches, some more than once."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, unique_by=id))
    if all(word.kind == "edit" for word in words):
        words.append(LEFT)
    repeats = draw(st.lists(st.sampled_from(range(len(words))), max_size=2))
    order = draw(st.permutations([*range(len(words)), *repeats]))
    apart = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    batches: list[list[int]] = [[]]
    for number, begins in zip(order, apart, strict=True):
        if batches[-1] and begins:
            batches.append([])
        batches[-1].append(number)
    return words, batches, draw(st.booleans())


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(life=lives())
async def test_every_order_ends_the_same(
    room: Room, life: tuple[list[MessageReceived], list[list[int]], bool]
) -> None:
    words, batches, withheld = life
    room.clock.at = after(minutes=3)
    plain = another(words, withheld)
    wanted = await told(room, [[word] for word in plain])
    mixed = another(words, withheld)
    assert await told(room, [[mixed[n] for n in batch] for batch in batches]) == wanted
    assert (len(wanted["messages"]), len(wanted["cases"])) == (1, 1)


async def test_what_it_ends_with(room: Room) -> None:
    """Missed and left are due by the level of a missed call, from when the call began; it is
    where a voicemail is routed to, with what was said below its outcome."""
    room.clock.at = after(minutes=3)
    found = await told(room, [[word] for word in another((transcript(), OVER, LEFT, GONE))])
    began = GONE.occurred_at
    (row,) = found["messages"]
    assert row[:3] == ("voicemail", "Voicemail (0:14)\nPlease call me", began)
    assert [file["media_id"] for file in row[3]] == ["RE1"]
    ((state, team, priority, _, waiting, due_at, metric),) = found["cases"]
    assert (state, team, priority) == ("open", "frontdesk", 2)
    assert (waiting, due_at, metric) == (began, began + timedelta(minutes=30), "first_response")


async def test_a_case_somebody_has_stays_where_it_is(room: Room) -> None:
    over, left = another((OVER, LEFT))
    await room.hear(over)
    (case,) = await room.rows("SELECT id, priority FROM cases")
    await room.tell(case.id, cmd.Claim("jo"))
    await room.hear(left)
    assert (await room.rows("SELECT priority, agent FROM cases"))[0] == (case.priority, "jo")


async def test_a_call_that_joins_a_case_does_not_move_it(room: Room) -> None:
    await room.hear(message("My parcel arrived damaged"))
    over, left = (replace(m, sender=sender(authentication="asserted")) for m in (OVER, LEFT))
    await room.hear(replace(over, product="claims"))
    await room.hear(replace(left, product="claims"))
    (case,) = await room.rows("SELECT team, product FROM cases")
    assert case == ("claims", "claims")


async def test_word_that_says_nothing_new_is_no_event(room: Room) -> None:
    ended, over, again = another((ENDED, OVER, ENDED))
    await room.hear(over)
    await room.hear(ended)
    (before,) = await room.rows("SELECT version FROM cases")
    await room.hear(over, again)
    await room.hear(ended)
    assert (await room.rows("SELECT version FROM cases"))[0] == before


# --- a call back -------------------------------------------------------------------------------


async def test_a_call_back_asked_for_late_is_promised_once(room: Room) -> None:
    room.clock.at = after(minutes=3)
    over, asked, left = another((OVER, ASKED, LEFT))
    for word in (over, asked, left, asked):
        await room.hear(word)
    (promise,) = await room.rows("SELECT kind, state, due_at FROM promises")
    (case,) = await room.rows("SELECT doc -> 'promises' AS promises, due_at FROM cases")
    assert promise == ("call_back", "open", case.due_at)
    (owed,) = case.promises
    assert (owed["address"], owed["preferred"]) == ("+31612345678", "after five")


async def test_a_second_call_for_the_same_is_the_same_promise(room: Room) -> None:
    room.clock.at = after(minutes=3)
    (first,) = another((ASKED,))
    await room.hear(first)
    again = replace(first, id=uuid4(), thread=Thread(message_id="another call"))
    await room.hear(again)
    assert len(await room.rows("SELECT 1 FROM promises")) == 1
    (case,) = await room.rows("SELECT id, version FROM cases")
    reached = cmd.Reply(uuid4(), "jo", "Talked", case.version, channel="phone", outcome="reached")
    await room.tell(case.id, reached)
    (promise,) = await room.rows("SELECT state FROM promises")
    assert promise.state == "kept"


async def test_the_answer_being_late_is_told_once(room: Room) -> None:
    room.clock.at = after(minutes=3)
    await room.hear(*another((ASKED, OVER)))
    (case,) = await room.rows("SELECT id, due_at FROM cases")
    room.clock.at = case.due_at + timedelta(seconds=1)
    await room.tell(case.id, cmd.PassTime(room.clock.at))
    told = await room.rows(
        "SELECT type, data -> 'notify' AS notify FROM case_events "
        "WHERE type IN ('deadline.breached', 'promise.broken') ORDER BY type"
    )
    assert [row.type for row in told] == ["deadline.breached", "promise.broken"]
    assert [bool(row.notify) for row in told] == [True, False]


# --- a code keyed in ---------------------------------------------------------------------------


async def offer(room: Room, address: str) -> UUID:
    await room.hear(message("Where is my parcel?", sender=sender("+31687654321")))
    (case,) = await room.rows("SELECT id FROM cases")
    await room.tell(
        case.id,
        cmd.OfferHandoff(uuid4(), "jo", "agent", to_channel="phone", address=address, code=CODE,
                         invitation_id=uuid4(), way=room.handlers.offers.way("phone")),
    )  # fmt: skip
    room.clock.at = after(minutes=3)
    return UUID(str(case.id))


KEYED = {"digits": codes.digits(CODE)}


def with_digits(word: MessageReceived) -> MessageReceived:
    return replace(word, attributes={**word.attributes, **KEYED})


@pytest.mark.parametrize(
    "tell",
    [lambda: (OVER, with_digits(LEFT)), lambda: (OVER, with_digits(GONE)),
     lambda: (OVER, ASKED, with_digits(LEFT)), lambda: (transcript(), OVER, with_digits(LEFT)),
     lambda: (with_digits(LEFT), OVER, LEFT)],
    ids=["another kind", "the same kind again", "a call back", "a transcript", "first"],
)  # fmt: skip
@pytest.mark.parametrize("at_once", [False, True])
async def test_a_code_that_comes_late_takes_the_call_along(
    room: Room, tell: Callable[[], Sequence[MessageReceived]], at_once: bool
) -> None:
    case_id = await offer(room, "+31612345678")
    words = [replace(word, sender=sender(authentication="asserted")) for word in tell()]
    for batch in [words] if at_once else [[word] for word in words]:
        await room.hear(*batch)
    (row,) = await room.rows("SELECT case_id, marked FROM messages WHERE provider_id = 'CA1'")
    assert row == (case_id, "")
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "accepted"
    left = await room.rows("SELECT id FROM cases WHERE state <> 'closed'")
    assert [each.id for each in left] == [case_id]
    owners = await room.rows("SELECT DISTINCT customer_id FROM identities")
    assert len(owners) == 1, "the address named is the customer's"
    (case,) = await room.rows("SELECT due_at FROM cases WHERE id = :id", id=case_id)
    assert case.due_at <= OVER.occurred_at + timedelta(minutes=30), "what was promised holds"
    promises = await room.rows("SELECT state, case_id FROM promises ORDER BY state")
    assert [each.case_id for each in promises if each.state == "open"] in ([], [case_id])
    assert len([each for each in promises if each.state == "open"]) == int(ASKED in tell())


async def test_from_elsewhere_only_the_call_goes_over_marked(room: Room) -> None:
    case_id = await offer(room, "+31600000009")
    for word in (OVER, with_digits(LEFT)):
        await room.hear(replace(word, sender=sender(authentication="asserted")))
    (row,) = await room.rows("SELECT case_id, marked FROM messages WHERE provider_id = 'CA1'")
    assert row == (case_id, "code_from_elsewhere")
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "offered"
    assert len(await room.rows("SELECT DISTINCT customer_id FROM identities")) == 2


async def test_a_code_of_the_case_it_is_in_already_accepts_there(room: Room) -> None:
    case_id = await offer(room, "+31687654321")
    for word in (OVER, with_digits(LEFT)):
        await room.hear(replace(word, sender=sender("+31687654321", authentication="asserted"),
                                product="parcels"))  # fmt: skip
    assert [row.id for row in await room.rows("SELECT id FROM cases")] == [case_id]
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "accepted"
    added = await room.rows("SELECT 1 FROM case_events WHERE type = 'message.added'")
    assert len(added) == 2, "the call was there already"


async def test_a_wrong_code_is_one_guess_a_call(room: Room) -> None:
    await offer(room, "+31612345678")
    wrong = {"attributes": {"digits": "000000001"}}
    for word in (OVER, replace(LEFT, **wrong), replace(ENDED, **wrong), replace(GONE, **wrong)):
        await room.hear(replace(word, sender=sender(authentication="asserted")))
    assert (await room.rows("SELECT count(*) FROM wrong_codes"))[0][0] == 1


async def test_a_case_with_more_in_it_stays_open(room: Room) -> None:
    case_id = await offer(room, "+31612345678")
    who = sender(authentication="asserted")
    await room.hear(replace(OVER, id=uuid4(), thread=Thread(message_id="CA0"), sender=who))
    await room.hear(replace(OVER, sender=who))
    await room.hear(with_digits(replace(LEFT, sender=who)))
    (row,) = await room.rows("SELECT case_id FROM messages WHERE provider_id = 'CA1'")
    assert row.case_id == case_id
    (other,) = await room.rows("SELECT state FROM cases WHERE id <> :id", id=case_id)
    assert other.state == "open"


# --- its recording -----------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_recording_fetched_stands_with_its_call(
    room: Room, order: tuple[int, int, int]
) -> None:
    """Its news comes behind the voicemail, in one partition; all else in any order."""
    voicemail, asked, words = another((LEFT, ASKED, transcript()))
    fetched = AttachmentFetched(
        message_id=voicemail.id, account="desk-phone", reference=voicemail.thread.message_id,
        file=RECORDING, blob=Blob(ref="sha256/ab/cd", size=3, sha256="ab"),
        content_type="audio/wav", at=NOON,
    )  # fmt: skip
    await room.hear(*([voicemail, fetched], [asked], [words])[order[0]])
    for number in order[1:]:
        await room.hear(*([voicemail, fetched], [asked], [words])[number])
    await room.hear(voicemail)
    (row,) = (await outcome(room, voicemail))["messages"]
    assert row[:2] == ("callback_requested", "Call back\nPlease call me")
    assert [(file["media_id"], file["blob"]["size"]) for file in row[3]] == [("RE1", 3)]


# --- as the providers tell it ------------------------------------------------------------------

Heard = Callable[[], list[Parsed]]


def _by_line(line: Line, call: dict[str, Any]) -> Heard:
    return lambda: heard_by_line(line, call)


def _by_twilio(call: dict[str, Any]) -> Heard:
    return lambda: heard_by_twilio(call)


ALL: list[tuple[str, Heard]] = [
    *((f"twilio: {call['name']}", _by_twilio(call)) for call in CALLS),
    *(
        (f"{line.provider}: {call['name']}", _by_line(line, call))
        for line in LINES
        for call in calls_of(line)
    ),
]
AT: datetime = twilio_forms.RECEIVED + timedelta(seconds=5)


async def test_every_order_of_every_providers_requests_ends_the_same(room: Room) -> None:
    room.clock.at = AT
    tried = 0
    for name, heard in ALL:
        requests = [parsed.messages for parsed in heard() if parsed.messages]
        orders = list(permutations(range(len(requests))))
        if not requests:
            continue
        withheld = not requests[0][0].sender.identities
        wanted = None
        for order in orders[:: max(1, len(orders) // 6)]:
            flat = another([m for number in order for m in requests[number]], withheld)
            found = await told(room, [[m] for m in flat])
            wanted = wanted or found
            assert found == wanted, f"{name}: {order}"
            assert (len(found["messages"]), len(found["cases"])) == (1, 1), name
            tried += 1
    assert tried > 100
