"""Mailboxes on a real Dovecot: durable first, then marked; whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.mailboxes import Mailboxes
from shared.accounts import Account, Accounts, load_accounts
from shared.channels import Parsed
from shared.channels.email import MailHealth
from shared.channels.email.imap_settings import TAKEN
from shared.database import connect, transaction
from shared.errors import BrokerUnavailable
from shared.telemetry import trouble_of
from tests.fakes.wire import Wire
from tests.mailservers import PASSWORD, SHOP, MailServers, Postbox, access_token
from tests.waiting import until


class Taken:
    """Stands behind the mailbox as the intake does: `says` may raise."""

    def __init__(self) -> None:
        self.parsed: list[Parsed] = []
        self.says: Callable[[Parsed], None] = lambda parsed: None

    async def accept(self, parsed: Parsed, account: str) -> None:
        self.says(parsed)
        self.parsed.append(parsed)

    @property
    def subjects(self) -> list[str]:
        return [message.subject for each in self.parsed for message in each.messages]

    @property
    def reasons(self) -> list[str]:
        return [parked.reason for each in self.parsed for parked in each.parked]

    async def holds(self, *subjects: str) -> None:
        """Returns when all of these are there."""

        async def there() -> bool:
            return set(subjects) <= set(self.subjects)

        await until(there)


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = connect(database_url)
    yield made
    await made.dispose()


@pytest.fixture
async def wire(mail_servers: MailServers) -> AsyncIterator[Wire]:
    async with Wire(mail_servers.imap_port) as made:
        yield made


@pytest.fixture
def box(mail_servers: MailServers) -> Postbox:
    """A folder of the test's own."""
    return Postbox(mail_servers, f"test-{uuid4().hex[:8]}")


def an_account(box: Postbox, port: int, **more: Any) -> Accounts:
    given = {
        "channel": "email", "provider": "imap", "address": SHOP, "host": "127.0.0.1",
        "port": port, "tls": False, "starttls": False, "username": SHOP, "password": PASSWORD,
        "folder": box.folder, "every": "1s", **more,
    }  # fmt: skip
    lines = "\n".join(f"    {name}: {_yaml(value)}" for name, value in given.items() if value != "")
    return load_accounts(f"accounts:\n  desk:\n{lines}\n", "channels.yaml", {})


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def desk(accounts: Accounts) -> Account:
    found = accounts.get("desk")
    assert found is not None
    return found


@asynccontextmanager
async def reading(
    accounts: Accounts, taken: Taken, engine: AsyncEngine
) -> AsyncIterator[asyncio.Task[None]]:
    """Reads the mailbox until the end of the block, where it ends within its bound."""
    boxes = Mailboxes(
        accounts, taken.accept, engine, lambda: datetime.now(UTC), pause=lambda code, n: 0.05
    )
    task = asyncio.create_task(boxes.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)


def mail(subject: str, text: str = "Waar is het?", **headers: str) -> bytes:
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"{named}From: Jan <jan@home.test>\r\nTo: {SHOP}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject}@home.test>\r\n\r\n{text}\r\n"
    ).encode()


async def is_marked(box: Postbox, count: int = 1, mark: str = TAKEN) -> None:
    async def marked() -> bool:
        lying = await box.mails()
        return len(lying) == count and all(mark in each.flags for each in lying)

    await until(marked)


# --- one mail ------------------------------------------------------------------------------------


async def test_a_mail_comes_in_whole_and_stays_unread(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    received = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    raw = mail("whole", Return_Path="<>", Delivered_To="support+tag@shop.test")
    await box.put(raw, at=received)
    async with reading(an_account(box, wire.port), taken, engine):
        await taken.holds("whole")
        await is_marked(box)
    (message,) = (message for each in taken.parsed for message in each.messages)
    # A customer's clock runs from when his mail server got it, not from when we looked.
    assert message.occurred_at == received
    assert message.received_at > received + timedelta(hours=2)
    assert message.recipient == "support+tag@shop.test"
    assert "null sender" in message.attributes["automatic"]
    assert message.raw_blob is not None
    assert {blob.ref: blob.content for blob in taken.parsed[0].blobs}[message.raw_blob.ref] == raw
    (lying,) = await box.mails()
    assert "\\Seen" not in lying.flags


async def test_the_server_tells_of_new_mail(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("first"))
    async with reading(an_account(box, wire.port), taken, engine):
        await taken.holds("first")

        async def listens() -> bool:
            return b"IDLE" in wire.said

        await until(listens)
        await box.put(mail("second"))
        await taken.holds("second")
    assert wire.made == 1
    assert taken.subjects == ["first", "second"]

    async def hung_up() -> bool:
        return wire.live == 0

    await until(hung_up, 2)  # at once, not when the server happens to say something


async def test_mail_that_is_announced_during_a_search_is_looked_for(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("first"))
    # As a server tells of what came while it searched: it will not tell it again in IDLE.
    wire.change[b"* SEARCH\r\n"] = b"* SEARCH\r\n* 2 EXISTS\r\n"
    async with reading(an_account(box, wire.port), taken, engine):

        async def listens() -> bool:
            return b"IDLE" in wire.said

        await until(listens)
    _, _, after = wire.said.partition(b"STORE")
    assert after.count(b"SEARCH") > 1


async def test_without_idle_it_looks_again_and_again(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    wire.change[b" IDLE"] = b""
    await box.put(mail("first"))
    async with reading(an_account(box, wire.port), taken, engine):
        await taken.holds("first")
        await box.put(mail("second"))
        await taken.holds("second")
    assert b"IDLE" not in wire.said


async def test_without_keywords_a_mail_is_marked_as_read(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    wire.change[b" \\*)]"] = b")]"
    await box.put(mail("read by a person"), ["\\Seen"])
    await box.put(mail("new"))
    async with reading(an_account(box, wire.port), taken, engine):
        await taken.holds("new")
        await is_marked(box, 2, "\\Seen")
    assert taken.subjects == ["new"]
    assert TAKEN.encode() not in wire.said


async def test_what_is_taken_moves_where_it_shall(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    there = Postbox(box.servers, f"{box.folder}-done")
    for subject in ("one", "two"):
        await box.put(mail(subject))
    async with reading(an_account(box, wire.port, move_to=there.folder), taken, engine):
        await is_marked(there, 2)
    assert await box.mails() == []
    assert sorted(taken.subjects) == ["one", "two"]


# --- durable first -------------------------------------------------------------------------------


async def test_a_mark_comes_after_the_event_is_durable(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    refused = asyncio.Event()

    def away(parsed: Parsed) -> None:
        refused.set()
        raise BrokerUnavailable("away")

    taken.says = away
    await box.put(mail("patient"))
    async with reading(an_account(box, wire.port), taken, engine):
        await asyncio.wait_for(refused.wait(), 10)
        assert b"STORE" not in wire.said
        taken.says = lambda parsed: None
        await is_marked(box)
    assert taken.subjects == ["patient"]


async def test_a_crash_before_the_mark_takes_it_in_again_under_the_same_id(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("twice"))
    wire.hold(b"STORE")
    async with reading(an_account(box, wire.port), taken, engine):
        await asyncio.wait_for(wire.holding.wait(), 10)
        wire.cut()
        wire.go_on()
        await is_marked(box)
    ids = [message.id for each in taken.parsed for message in each.messages]
    assert len(ids) == 2
    assert len(set(ids)) == 1


# --- what is odd ---------------------------------------------------------------------------------


async def test_a_mail_that_is_too_large_is_parked_where_people_see_it(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("large", "x" * 5000))
    await box.put(mail("small"))
    async with reading(an_account(box, wire.port, max_size="2KB"), taken, engine):
        await taken.holds("small")
        await is_marked(box, 2)
    assert len(taken.reasons) == 1
    assert "max_size" in taken.reasons[0]
    (parked,) = (item for each in taken.parsed for item in each.parked)
    assert len(parked.raw) == 2000
    assert b"Subject: large" in parked.raw
    assert [("\\Flagged" in each.flags) for each in await box.mails()] == [True, False]


async def test_poison_stops_nothing(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    def refuse(parsed: Parsed) -> None:
        if "poison" in [message.subject for message in parsed.messages]:
            raise RuntimeError("a bug of ours")

    taken.says = refuse
    for subject in ("before", "poison", "behind"):
        await box.put(mail(subject))
    async with reading(an_account(box, wire.port), taken, engine):
        await taken.holds("before", "behind")
        await is_marked(box, 3)
    assert ["could not be taken in" in reason for reason in taken.reasons] == [True]
    flagged = [each.raw for each in await box.mails() if "\\Flagged" in each.flags]
    assert [b"poison" in raw for raw in flagged] == [True]


async def test_a_mail_that_the_server_does_not_give_is_given_up_at_last(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("fine"))
    await box.put(mail("bad"))
    wire.cut_at = (b"FETCH 1,2 (BODY", b"FETCH 2 (BODY")
    async with reading(an_account(box, wire.port), taken, engine):
        await is_marked(box, 2)
    assert taken.subjects == ["fine"]
    assert [f"UID 2 of {box.folder}" in reason for reason in taken.reasons] == [True]


# --- where it starts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "expected"),
    [("unseen", ["unread", "later"]), ("all", ["read", "unread", "later"]), ("new", ["later"])],
)
async def test_what_is_there_already(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine, start: str, expected: list[str]
) -> None:
    await box.put(mail("read"), ["\\Seen"])
    await box.put(mail("unread"))
    accounts = an_account(box, wire.port, start=start)
    async with reading(accounts, taken, engine):
        await is_marked(box, 2)
    # From then on it does not matter who else reads: nothing that came later is left out.
    await box.put(mail("later"), ["\\Seen"])
    async with reading(accounts, taken, engine):
        await taken.holds("later")
        await is_marked(box, 3)
    assert taken.subjects == expected


async def test_new_ids_in_the_mailbox_are_no_new_mails(
    mail_servers: MailServers, box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("old"))
    accounts = an_account(box, wire.port)
    async with reading(accounts, taken, engine):
        await is_marked(box)
    await mail_servers.imap.stop()
    box.forget_ids(marks=False)
    await mail_servers.imap.start()
    await box.put(mail("new"))
    async with reading(accounts, taken, engine):
        await taken.holds("new")
    assert taken.subjects == ["old", "new"]


async def test_what_a_case_holds_is_not_taken_again_however_old(
    mail_servers: MailServers, box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    await box.put(mail("before Regie"), ["\\Seen"], at=long_ago)
    await box.put(mail("held"), at=long_ago)
    accounts = an_account(box, wire.port)
    async with reading(accounts, taken, engine):
        await is_marked(box, 2)
    (message,) = (message for each in taken.parsed for message in each.messages)
    await a_case_holds(engine, message.id)
    await mail_servers.imap.stop()
    box.forget_ids(marks=True)
    await mail_servers.imap.start()
    await box.flag(["\\Seen"])  # the customer's mail too: somebody has looked through the mailbox
    await box.put(mail("new"), ["\\Seen"])
    async with reading(accounts, taken, engine):
        await taken.holds("new")
        await is_marked(box, 3)
    await box.flag([TAKEN, "\\Seen"], remove=True)
    async with reading(accounts, taken, engine):
        await is_marked(box, 3)
    assert taken.subjects == ["held", "new", "before Regie", "new"]


async def a_case_holds(engine: AsyncEngine, id: UUID) -> None:
    async with transaction(engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO messages (id, case_id, customer_id, account, channel, direction, kind,"
                " state, authentication, author, provider_id, subject, text, marked, occurred_at,"
                " received_at, processed_at, data) VALUES (:id, :id, :id, 'desk', 'email', 'in',"
                " 'message', '', 'asserted', '', '<held@home.test>', '', '', '', now(),"
                " now() - interval '100 days', now(), '{}')"
            ),
            {"id": id},
        )


# --- the line, the login, the lock ---------------------------------------------------------------


async def test_a_server_that_restarts_is_found_again(
    mail_servers: MailServers, box: Postbox, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("first"))
    async with reading(an_account(box, mail_servers.imap_port), taken, engine):
        await taken.holds("first")
        await mail_servers.imap.stop()

        async def missed() -> bool:
            return trouble_of("desk") == "unreachable"

        await until(missed)
        await mail_servers.imap.start()
        await box.put(mail("second"))
        await taken.holds("second")
        await is_marked(box, 2)
    assert taken.subjects == ["first", "second"]


async def test_one_process_reads_and_the_next_takes_over(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    accounts = an_account(box, wire.port)
    await box.put(mail("first"))
    async with AsyncStandby(accounts, engine) as standby:
        async with reading(accounts, taken, engine):
            await taken.holds("first")
            await standby.start()
            await box.put(mail("second"))
            await taken.holds("second")
            assert wire.made == 1
        await box.put(mail("third"))
        await standby.taken.holds("third")
    assert taken.subjects == ["first", "second"]
    assert standby.taken.subjects == ["third"]


class AsyncStandby:
    """A second process's reader, as far as the database can tell."""

    def __init__(self, accounts: Accounts, engine: AsyncEngine) -> None:
        self.taken = Taken()
        self._reading = reading(accounts, self.taken, engine)
        self._started = False

    async def __aenter__(self) -> AsyncStandby:
        return self

    async def start(self) -> None:
        await self._reading.__aenter__()
        self._started = True

    async def __aexit__(self, *given: Any) -> None:
        if self._started:
            await self._reading.__aexit__(None, None, None)


async def test_a_refused_login_is_told_and_waited_out(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("in vain"))
    wrong = an_account(box, wire.port, password="wrong")
    async with reading(wrong, taken, engine) as task:

        async def refused() -> bool:
            return trouble_of("desk") == "credentials"

        await until(refused)
        assert not task.done()
    assert taken.parsed == []
    async with reading(an_account(box, wire.port), taken, engine):
        await taken.holds("in vain")

        async def well() -> bool:
            return trouble_of("desk") is None

        await until(well)


async def test_the_second_of_two_passwords_will_do(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("rotated"))
    given = desk(an_account(box, wire.port))
    rotating = Account(
        given.name, given.channel, given.provider, given.settings,
        {"password": ("the-next-one", PASSWORD)},  # type: ignore[dict-item]
    )  # fmt: skip
    async with reading(Accounts({"desk": rotating}), taken, engine):
        await taken.holds("rotated")


async def test_an_access_token_over_tls(
    mail_servers: MailServers, box: Postbox, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("token"))
    accounts = an_account(
        box, mail_servers.imaps_port, tls=True, starttls="", password="",
        access_token=access_token(SHOP), ca_file=str(mail_servers.certificate),
    )  # fmt: skip
    async with reading(accounts, taken, engine):
        await taken.holds("token")


async def test_a_token_that_is_kept_fresh_in_a_file(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine, tmp_path: Path
) -> None:
    await box.put(mail("fresh"))
    file = tmp_path / "token"
    accounts = an_account(box, wire.port, password="", access_token_file=str(file))
    async with reading(accounts, taken, engine):

        async def refused() -> bool:
            return trouble_of("desk") == "credentials"

        await until(refused)  # there is no such file yet
        file.write_text(access_token(SHOP) + "\n")
        await taken.holds("fresh")


async def test_starttls_hides_what_is_said(
    mail_servers: MailServers, box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("hidden"))
    accounts = an_account(
        box, wire.port, starttls=True, ca_file=str(mail_servers.certificate), tls=""
    )
    async with reading(accounts, taken, engine):
        await taken.holds("hidden")
    assert b"STARTTLS" in wire.said
    assert b"LOGIN" not in wire.said
    wire.change[b" STARTTLS"] = b""
    async with reading(accounts, taken, engine):

        async def refused() -> bool:
            return trouble_of("desk") == "certificate"

        await until(refused)
    assert PASSWORD.encode() not in wire.said


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    mail_servers: MailServers, box: Postbox, taken: Taken, engine: AsyncEngine
) -> None:
    await box.put(mail("private"))
    accounts = an_account(box, mail_servers.imaps_port, tls=True, starttls="")
    async with reading(accounts, taken, engine):

        async def refused() -> bool:
            return trouble_of("desk") == "certificate"

        await until(refused)
    assert taken.parsed == []


@pytest.mark.parametrize("word", [b"LOGIN", b"SEARCH", b"FETCH", b"IDLE"])
async def test_a_server_that_says_nothing_does_not_hold_up_the_end(
    box: Postbox, wire: Wire, taken: Taken, engine: AsyncEngine, word: bytes
) -> None:
    await box.put(mail("stuck"))
    wire.hold(word)
    began = asyncio.get_running_loop().time
    async with reading(an_account(box, wire.port), taken, engine):
        await asyncio.wait_for(wire.holding.wait(), 20)
        asked = began()
    assert began() - asked < 8


# --- the doctor ----------------------------------------------------------------------------------


async def test_the_doctor_looks_at_both_sides(
    mail_servers: MailServers, box: Postbox, wire: Wire
) -> None:
    await box.put(mail("untouched"))
    accounts = an_account(box, wire.port)
    async with httpx.AsyncClient() as http:
        well = await MailHealth().examine(_with_way_out(desk(accounts), mail_servers), http)
        wrong = await MailHealth().examine(desk(an_account(box, wire.port, folder="none")), http)
    assert [(each.what, each.ok) for each in well] == [
        (f"mailbox {box.folder}", True),
        ("new mail is announced", True),
        ("mails can be marked", True),
        ("outgoing mail server", True),
    ]
    assert [each.ok for each in wrong] == [False, False]
    assert "`folder`" in wrong[0].advice
    assert [each.flags for each in await box.mails()] == [frozenset()]


def _with_way_out(account: Account, servers: MailServers) -> Account:
    outbound = {
        "host": "127.0.0.1", "port": servers.submission_port, "username": SHOP,
        "password": PASSWORD, "ca_file": str(servers.certificate),
    }  # fmt: skip
    return Account(
        account.name, account.channel, account.provider,
        {**account.settings, "outbound": outbound}, account._secrets,
    )  # fmt: skip
