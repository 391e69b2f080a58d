"""One record: merged on proof, never on what was said, and taken apart again exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.router import commands as cmd
from services.router import merging
from services.router.evolve import evolve
from shared import codes
from shared.database import driver, is_deadlock, transaction
from shared.errors import Conflict, NotFound
from shared.events import CaseChanged, MessageReceived, Thread
from tests.builders import after, mail, message
from tests.people import conflicts, held, identity, merge, owner, owners, unmerge, who
from tests.rooms import Room, make_room
from tests.waiting import until

PHONE, MAIL, NUMBER = "e164:+31612345678", "email:ada@example.org", "customer_no:1001"
USER = "bsuid:NL.77"


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


def portal(*identities: str, text: str = "Hello", **more: Any) -> MessageReceived:
    """Posted by an integrator who knows who it is."""
    sender = more.pop("sender", None) or who(*identities)
    return message(text, sender=sender, channel="portal", account="service-portal",
                   reply_window_closes_at=None, **more)  # fmt: skip


async def standing(room: Room) -> int:
    """How many customers there are."""
    return int((await room.rows("SELECT count(*) FROM customers WHERE merged_into IS NULL"))[0][0])


# --- merged by proof ---------------------------------------------------------------------------


async def test_a_message_that_proves_two_records_merges_them(room: Room) -> None:
    await room.hear(message("By WhatsApp", sender=who(PHONE, name="Ada")))
    await room.hear(portal(MAIL, text="On the site", at=after(minutes=1)))
    first, second = await owner(room, PHONE), await owner(room, MAIL)
    await room.hear(portal(MAIL, PHONE, text="Both", at=after(minutes=2)))
    assert set((await owners(room)).values()) == {first}
    rows = await room.rows("SELECT customer_id, doc ->> 'customer_id' FROM cases")
    assert {tuple(row) for row in rows} == {(first, str(first))}
    assert {r[0] for r in await room.rows("SELECT customer_id FROM messages")} == {first}
    (row,) = await room.rows("SELECT winner, loser, reason, by FROM merges")
    assert row == (first, second, "proven identities", "regie")
    moved = await room.rows("SELECT actor FROM case_events WHERE type = 'case.moved'")
    assert [r[0] for r in moved] == ["regie"]


async def test_a_whatsapp_user_and_a_number_meet(room: Room) -> None:
    await room.hear(message(sender=who(USER)), message(sender=who(PHONE)))
    assert await standing(room) == 2
    await room.hear(message(sender=who(PHONE, USER), at=after(minutes=1)))
    assert await standing(room) == 1


async def test_a_proven_customer_ref_is_an_identity(room: Room) -> None:
    await room.hear(portal(NUMBER))
    await room.hear(portal(sender=who(MAIL, customer_ref="1001"), at=after(minutes=1)))
    found = await owners(room)
    assert found[MAIL] == found[NUMBER]


async def test_one_batch_merges_as_many_batches_would(room: Room) -> None:
    """Old and new records, chains of them, in one transaction."""
    await room.hear(message(sender=who("e164:+31610000001")))
    await room.hear(message(sender=who("e164:+31610000002")))
    await room.hear(
        message(sender=who("bsuid:NL.1"), at=after(minutes=1)),
        message(sender=who("e164:+31610000002", "bsuid:NL.1"), at=after(minutes=2)),
        message(sender=who("bsuid:NL.1", "email:c@example.org"), at=after(minutes=3)),
        message(sender=who("e164:+31610000001", "email:c@example.org"), at=after(minutes=4)),
    )
    assert len(set((await owners(room)).values())) == 1
    assert await standing(room) == 1
    assert (await room.rows("SELECT count(*) FROM customers"))[0][0] == 2, "two were on record"
    (row,) = await room.rows("SELECT count(*), count(DISTINCT customer_id) FROM messages")
    assert row == (6, 1)


async def test_the_number_of_statements_does_not_grow_with_the_batch(room: Room) -> None:
    async def told(people: range) -> int:
        pairs = [(f"e164:+3161{n:07d}", f"email:p{n}@example.org") for n in people]
        await room.hear(*(message(sender=who(number)) for number, _ in pairs))
        await room.hear(*(portal(address) for _, address in pairs))
        statements: list[str] = []
        async with transaction(room.engine) as connection:
            raw = await driver(connection)
            with raw.query_logger(lambda record: statements.append(record.query)):
                both = [portal(a, n, at=after(minutes=9)) for n, a in pairs]
                await room.handlers.on_messages(connection, room.received(both))
        print('\n'.join(q[:60].replace('\n',' ') for q in statements), '\n=====')
        return len(statements)

    await told(range(500, 501))  # the driver asks for the types it has not met
    few, many = await told(range(3)), await told(range(100, 250))
    assert few == many
    assert (await room.rows("SELECT count(*) FROM merges"))[0][0] == 154


async def test_history_tells_of_the_move(room: Room) -> None:
    """The case folded from its stored events is the stored case."""
    await room.hear(message(sender=who(PHONE)), portal(MAIL, at=after(minutes=1)))
    await merge(room, await owner(room, PHONE), await owner(room, MAIL))
    outbox = await room.rows("SELECT value FROM outbox ORDER BY id")
    folded: dict[UUID, Any] = {}
    for row in outbox:
        change = msgspec.json.decode(row[0], type=CaseChanged)
        folded[change.case_id] = evolve(folded.get(change.case_id), change)
    stored = await room.rows("SELECT id, customer_id, version FROM cases")
    assert {(c.id, c.customer_id, c.version) for c in folded.values()} == {tuple(r) for r in stored}


# --- not merged by anything less -----------------------------------------------------------------

ASSERTED = [
    pytest.param(who(MAIL, PHONE, proven=False), MAIL, id="two addresses in one message"),
    pytest.param(who(PHONE, MAIL, proven=False), PHONE, id="the other way round"),
    pytest.param(who(MAIL, proven=False, customer_ref="1001"), MAIL, id="a customer number"),
    pytest.param(who(PHONE, proven=False, customer_ref="1001"), PHONE, id="a caller's number"),
    pytest.param(who("email:new@example.org", PHONE, proven=False), PHONE, id="a new address"),
    pytest.param(
        who("email:new@example.org", proven=False, customer_ref="1001"), "email:new@example.org",
        id="a new address with a customer number",
    ),
    pytest.param(
        who(MAIL, proven=False, former=identity(PHONE)), MAIL, id="a change of number, claimed"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sender", "found_by"), ASSERTED)
async def test_what_is_said_joins_nobody(room: Room, sender: Any, found_by: str) -> None:
    await room.hear(message(sender=who(PHONE)), mail("Hello"), portal(NUMBER, at=after(minutes=1)))
    before = {i: o for i, o in (await owners(room)).items() if not i.startswith("email:new")}
    flags = await room.rows("SELECT scheme, value, verified FROM identities ORDER BY 1, 2")
    said = mail("It is me", sender=sender, at=after(minutes=5))
    await room.hear(said)
    after_ = await owners(room)
    assert {i: after_[i] for i in before} == before
    assert await room.rows("SELECT * FROM merges") == []
    kept = [row for row in flags if row in await room.rows(
        "SELECT scheme, value, verified FROM identities ORDER BY 1, 2")]  # fmt: skip
    assert kept == flags, "nothing was verified"
    (row,) = await room.rows("SELECT customer_id FROM messages WHERE id = :id", id=said.id)
    assert row[0] == after_[found_by]


async def test_what_is_found_by_hearsay_redirects_no_reply(room: Room) -> None:
    await room.hear(message("Where is it?", sender=who(PHONE)))
    stranger = who("email:eve@example.net", PHONE, proven=False)
    await room.hear(mail("Send it to me", sender=stranger, at=after(minutes=1)))
    (row,) = await room.rows(
        "SELECT doc -> 'routes' -> 'email', channel FROM cases WHERE doc -> 'routes' ? 'whatsapp'"
    )
    assert row == (None, "whatsapp")
    marks = await room.rows("SELECT marked FROM messages ORDER BY occurred_at")
    assert [r[0] for r in marks] == ["", "asserted_identity"]


async def test_hearsay_is_kept_in_sight_on_both_records(room: Room) -> None:
    await room.hear(portal(NUMBER))
    await room.hear(mail("It is 1001", sender=who(MAIL, proven=False, customer_ref="1001")))
    assert await conflicts(room) == [(NUMBER, "claimed")]
    await room.hear(mail("Again", sender=who(MAIL, proven=False, customer_ref="1001")))
    assert len(await conflicts(room)) == 1, "once is enough"


async def test_two_who_claim_one_number_are_a_conflict(room: Room) -> None:
    for name in ("ada", "bo"):
        sender = who(f"email:{name}@example.org", proven=False, customer_ref="77")
        await room.hear(mail(sender=sender))
    assert await conflicts(room) == [("customer_no:77", "claimed_twice")]
    assert await standing(room) == 2


async def test_an_unproven_second_address_on_another_record_merges_nothing(room: Room) -> None:
    """Somebody wrote the address down by hand; that is no proof that the two are one."""
    await room.hear(message(sender=who(PHONE)), portal(NUMBER))
    other = await owner(room, NUMBER)
    await room.rows(
        "INSERT INTO identities (scheme, value, customer_id, verified) "
        "VALUES ('email', 'ada@example.org', :id, false) RETURNING value", id=other,
    )  # fmt: skip
    await room.hear(portal(MAIL, PHONE, at=after(minutes=1)))
    assert await standing(room) == 2
    assert await conflicts(room) == [(MAIL, "unproven")]
    rows = await room.rows("SELECT verified FROM identities WHERE scheme = 'email'")
    assert rows == [(False,)], "the proof was of another customer"


async def test_a_switchboard_merges_nobody(room: Room) -> None:
    shared = "e164:+31880000001"
    await room.hear(message(sender=who(PHONE)), portal(MAIL))
    await room.hear(message(sender=who(shared), at=after(minutes=1)))
    await room.hear(portal(MAIL, shared, at=after(minutes=2)))
    await room.hear(portal(shared, PHONE, at=after(minutes=3)))
    assert len(set((await owners(room)).values())) == 3
    assert await room.rows("SELECT * FROM merges") == []


async def test_hearsay_gives_no_standing(room: Room) -> None:
    """The example policy's gold customers are 1001's like."""
    await room.hear(mail(sender=who(MAIL, NUMBER, proven=False)))
    rules = {row[0] for row in await room.rows("SELECT rule FROM deadlines")}
    assert not any("gold" in rule for rule in rules)


# --- numbers that change --------------------------------------------------------------------------


async def test_a_new_number_that_wrote_before_the_notice_is_the_same_person(room: Room) -> None:
    old, new = PHONE, "e164:+31687654321"
    await room.hear(message(sender=who(old)))
    await room.hear(message("From my new one", sender=who(new), at=after(minutes=1)))
    notice = message("changed", kind="auto_reply", automatic=True, at=after(minutes=2),
                     sender=who(new, former=identity(old)))  # fmt: skip
    await room.hear(notice)
    assert list(await owners(room)) == [new]
    assert await standing(room) == 1
    await room.hear(message("A stranger", sender=who(old), at=after(minutes=3)))
    assert await standing(room) == 2


async def test_a_number_may_change_hands_within_a_batch(room: Room) -> None:
    old, new = PHONE, "e164:+31687654321"
    await room.hear(message(sender=who(old)))
    notice = message("changed", kind="auto_reply", automatic=True,
                     sender=who(new, former=identity(old)))  # fmt: skip
    await asyncio.wait_for(room.hear(notice, message("A stranger", sender=who(old))), 10)
    found = await owners(room)
    assert found[old] != found[new]
    assert await standing(room) == 2


# --- resume codes ---------------------------------------------------------------------------------

CODE = codes.written(0x12_3456_789A)


async def offer(room: Room, address: str) -> UUID:
    """A switch to mail, on the case of the one who has PHONE."""
    (case,) = await room.rows("SELECT id FROM cases WHERE channel = 'whatsapp'")
    command = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel="email", address=address, code=CODE,
        way=cmd.Way(address="support@example.org"), invitation_id=uuid4(),
    )  # fmt: skip
    await room.tell(case.id, command)
    found: UUID = case.id
    return found


async def test_a_redeemed_code_merges_whoever_has_the_address(room: Room) -> None:
    await room.hear(message("Where is it?", sender=who(PHONE)))
    await room.hear(mail("An older matter, about claims", at=after(minutes=1)))
    host, guest = await owner(room, PHONE), await owner(room, MAIL)
    before = await held(room)
    case = await offer(room, "ada@example.org")
    first, second = mail("Before the code", at=after(minutes=4)), mail(CODE, at=after(minutes=5))
    await room.hear(first, second)
    assert set((await owners(room)).values()) == {host}
    rows = await room.rows("SELECT customer_id FROM messages WHERE direction = 'in'")
    assert {r[0] for r in rows} == {host}
    (row,) = await room.rows("SELECT winner, loser, reason, id FROM merges")
    assert row[:3] == (host, guest, "resume code")
    done = await unmerge(room, row.id)
    assert done.loser == guest
    now = await held(room)
    assert now["identities"] == before["identities"]
    for id, of, _ in before["cases"]:
        assert (id, of) in {(r[0], r[1]) for r in now["cases"]}
    assert case in {r[0] for r in now["cases"] if r[1] == host}


async def test_a_code_from_elsewhere_merges_nobody(room: Room) -> None:
    await room.hear(message("Where is it?", sender=who(PHONE)))
    await offer(room, "ada@example.org")
    await room.hear(mail(CODE, address="eve@example.net", at=after(minutes=5)))
    assert await room.rows("SELECT * FROM merges") == []
    assert await standing(room) == 2


async def test_a_code_does_not_join_those_a_person_took_apart(room: Room) -> None:
    await room.hear(message("Where is it?", sender=who(PHONE)), mail("About claims"))
    done = await merge(room, await owner(room, PHONE), await owner(room, MAIL))
    await unmerge(room, done.id)
    await offer(room, "ada@example.org")
    coded = mail(CODE, at=after(minutes=5))
    await room.hear(coded)
    assert await standing(room) == 2
    (row,) = await room.rows(
        "SELECT cases.channel FROM cases JOIN messages ON case_id = cases.id "
        "WHERE messages.id = :id",
        id=coded.id,
    )
    assert row[0] == "email", "the code itself counts"


# --- by hand, and back ----------------------------------------------------------------------------


async def two(room: Room) -> tuple[UUID, UUID]:
    """Two customers with two cases each, one of them closed, and something of everything."""
    await room.hear(message("parcel", sender=who(PHONE, name="Ada"), reference="m1"))
    await room.hear(portal(MAIL, NUMBER, text="my claim", product="claims", reference="m2"))
    one, other = await owner(room, PHONE), await owner(room, MAIL)
    for customer in (one, other):
        (case, *_) = await room.rows("SELECT id FROM cases WHERE customer_id = :id", id=customer)
        await room.tell(case.id, cmd.Reply(uuid4(), "jo", "On its way", answers=9))
        await room.tell(case.id, cmd.MakePromise(uuid4(), "jo", "other", "look", after(hours=4)))
    await room.rows(
        "INSERT INTO surveys (case_id, customer_id, team, agent, channel, product) "
        "SELECT id, customer_id, team, agent, channel, product FROM cases RETURNING case_id"
    )
    # Each wrote into the other's thread, too.
    await room.hear(
        message("me too", sender=who(NUMBER), thread=Thread(message_id="t1", references=("m1",))),
        portal(PHONE, text="and me", thread=Thread(message_id="t2", references=("m2",))),
    )
    return one, other


async def test_unmerging_restores_exactly(room: Room) -> None:
    one, other = await two(room)
    await room.rows(
        "UPDATE customers SET name = 'Ada', language = 'nl' WHERE id = :id RETURNING id", id=other
    )
    await room.rows("UPDATE customers SET name = '' WHERE id = :id RETURNING id", id=one)
    before = await held(room)
    done = await merge(room, one, other)
    (row,) = await room.rows("SELECT name, language FROM customers WHERE id = :id", id=one)
    assert row == ("Ada", "nl"), "where the one had nothing, the other's"
    during = await held(room)
    for table in ("identities", "cases", "messages", "promises", "surveys"):
        assert other not in {value for r in during[table] for value in r}, table
    undone = await unmerge(room, done.id)
    assert (undone.left_cases, undone.left_identities) == ((), ())
    assert await held(room) == before


async def test_what_came_since_stays_and_is_named(room: Room) -> None:
    one, other = await two(room)
    done = await merge(room, one, other)
    await room.hear(mail("new", product="returns", at=after(hours=1)))
    (new,) = await room.rows("SELECT id FROM cases WHERE product = 'returns'")
    undone = await unmerge(room, done.id)
    assert undone.left_cases == (new.id,)
    assert (await room.rows("SELECT customer_id FROM cases WHERE id = :id", id=new.id)) == [(one,)]
    assert await owner(room, MAIL) == other


async def test_two_merges_are_undone_in_either_order(room: Room) -> None:
    for first in (0, 1):
        people = [f"email:p{first}{n}@example.org" for n in range(3)]
        await room.hear(*(portal(p, text=p, sender=who(p, name=p)) for p in people))
        a, b, c = [await owner(room, p) for p in people]
        await room.rows("UPDATE customers SET name = '' WHERE id = :id RETURNING id", id=a)
        before = await held(room)
        merges = [await merge(room, a, b), await merge(room, a, c)]
        await unmerge(room, merges[first].id)
        (row,) = await room.rows("SELECT name FROM customers WHERE id = :id", id=a)
        assert row[0] == people[2 - first], "what the other one gives"
        await unmerge(room, merges[1 - first].id)
        assert await held(room) == before


async def test_a_chain_is_undone_from_its_end(room: Room) -> None:
    people = [f"email:p{n}@example.org" for n in range(3)]
    await room.hear(*(portal(p, text=p) for p in people))
    a, b, c = [await owner(room, p) for p in people]
    before = await held(room)
    inner, outer = await merge(room, a, b), await merge(room, c, a)
    with pytest.raises(Conflict, match=str(outer.id)):
        await unmerge(room, inner.id)
    assert set((await owners(room)).values()) == {c}
    await unmerge(room, outer.id)
    await unmerge(room, inner.id)
    assert await held(room) == before
    with pytest.raises(Conflict, match="undone already"):
        await unmerge(room, inner.id)
    with pytest.raises(NotFound):
        await merge(room, a, uuid4())


async def test_a_merge_undone_is_not_repeated_by_itself(room: Room) -> None:
    await room.hear(message(sender=who(PHONE)), message(sender=who(USER)))
    await room.hear(message(sender=who(PHONE, USER), at=after(minutes=1)))
    (row,) = await room.rows("SELECT id FROM merges")
    await unmerge(room, row.id)
    assert await standing(room) == 2
    assert [why for _, why in await conflicts(room)] == ["unmerged"]
    await room.hear(message(sender=who(PHONE, USER), at=after(minutes=2)))
    assert await standing(room) == 2, "a person said that they are two"
    found = await owners(room)
    await merge(room, found[PHONE], found[USER])
    assert await conflicts(room) == [], "and a person says that they are one after all"
    await room.hear(message(sender=who(PHONE, USER), at=after(minutes=3)))
    assert await standing(room) == 1


async def test_a_name_changed_since_is_kept(room: Room) -> None:
    one, other = await two(room)
    await room.rows("UPDATE customers SET name = '' WHERE id = :id RETURNING id", id=one)
    await room.rows("UPDATE customers SET name = 'Bo' WHERE id = :id RETURNING id", id=other)
    done = await merge(room, one, other)
    await room.rows("UPDATE customers SET name = 'Ada L' WHERE id = :id RETURNING id", id=one)
    await unmerge(room, done.id)
    (row,) = await room.rows("SELECT name FROM customers WHERE id = :id", id=one)
    assert row[0] == "Ada L"


# --- at once --------------------------------------------------------------------------------------


async def again(work: Any) -> None:
    """As the consumer and the API do: a deadlock repeats the transaction."""
    for _ in range(10):
        try:
            await work()
            return
        except Conflict:
            return  # somebody was quicker; nothing is lost
        except Exception as error:
            if not is_deadlock(error):
                raise
    raise AssertionError("ten deadlocks in a row")


async def test_first_messages_on_two_channels_at_once(database_url: str, tmp_path: Path) -> None:
    rooms = [await make_room(database_url, tmp_path) for _ in range(2)]
    chats = [message(f"{n}", sender=who(PHONE, USER), at=after(seconds=n)) for n in range(20)]
    posts = [portal(MAIL, PHONE, text=f"{n}", at=after(seconds=n)) for n in range(20)]
    await asyncio.gather(
        *(again(lambda m=m: rooms[0].hear(m)) for m in chats),
        *(again(lambda m=m: rooms[1].hear(m)) for m in posts),
    )
    room = rooms[0]
    assert await standing(room) == 1
    (row,) = await room.rows("SELECT count(*), count(DISTINCT customer_id) FROM messages")
    assert row == (40, 1)
    (row,) = await room.rows("SELECT count(*) FROM cases")
    assert row[0] <= 2
    for each in rooms:
        await each.engine.dispose()


async def test_a_message_that_waited_for_a_merge_goes_along_with_it(room: Room) -> None:
    """It has inserted a new identity for a record that gives way before it has its lock."""
    await room.hear(message(sender=who(PHONE)), portal(MAIL, at=after(minutes=1)))
    winner, loser = await owner(room, PHONE), await owner(room, MAIL)

    async def waits() -> bool:
        return bool(await room.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))

    async with transaction(room.engine) as connection:
        desk = await room.handlers.desk(connection)
        await merging.merge(desk, winner, loser, "the same person", "jo")
        late = portal(MAIL, "email:new@example.org", at=after(minutes=2))
        hearing = asyncio.create_task(room.hear(late))
        await until(waits)
        await desk.save()
    await hearing
    assert set((await owners(room)).values()) == {winner}
    (row,) = await room.rows("SELECT customer_id FROM messages WHERE id = :id", id=late.id)
    assert row[0] == winner
    assert (await room.rows("SELECT count(*) FROM merges"))[0][0] == 1


async def test_merges_messages_and_undoings_at_once(database_url: str, tmp_path: Path) -> None:
    """Nothing is lost and nobody is left pointing at a record that gave way."""
    rooms = [await make_room(database_url, tmp_path) for _ in range(2)]
    room = rooms[0]
    people = [f"e164:+3161000000{n}" for n in range(4)]
    await room.hear(*(message(sender=who(p)) for p in people))
    ids = [await owner(room, p) for p in people]

    async def undo() -> None:
        for row in await room.rows("SELECT id FROM merges WHERE undone_at IS NULL"):
            await again(lambda row=row: unmerge(rooms[1], row.id))

    def work(n: int) -> Any:
        a, b = n % 4, (n * 3 + 1) % 4
        if n % 5 == 4:
            return undo()
        if n % 5 == 3:
            return again(lambda: merge(rooms[n % 2], ids[a], ids[b]))
        texts = [message(f"{n}", sender=who(people[a], people[b]), at=after(seconds=n)),
                 message(f"{n}'", sender=who(people[b]), at=after(seconds=n))]  # fmt: skip
        return again(lambda: rooms[n % 2].hear(*texts))

    await asyncio.gather(*(work(n) for n in range(60)))
    (row,) = await room.rows("SELECT count(*) FROM messages")
    assert row[0] == 4 + 2 * 36
    strays = await room.rows(
        "SELECT 1 FROM (SELECT customer_id FROM identities UNION ALL SELECT customer_id FROM cases "
        "UNION ALL SELECT customer_id FROM messages) AS held "
        "JOIN customers ON customers.id = customer_id WHERE merged_into IS NOT NULL"
    )
    assert strays == []
    differ = await room.rows("SELECT 1 FROM cases WHERE doc ->> 'customer_id' <> customer_id::text")
    assert differ == []
    for each in rooms:
        await each.engine.dispose()
