"""Real mail servers on both sides of a whole Regie: Exim brings and takes, Dovecot keeps."""

from __future__ import annotations

import email
import email.policy
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import httpx
import pytest

from services.ingest.mailbox import MailDoor
from shared.accounts import Account, load_accounts
from shared.channels import File, Outgoing, Parsed
from shared.channels.email import SmtpOutbound
from shared.channels.email.imap_settings import TAKEN
from shared.errors import BrokerUnavailable, SendError
from shared.events import Identity
from shared.ids import new_id
from tests.e2e.process import Regie, attempts, example_env, running
from tests.fakes.wire import Wire
from tests.mailservers import JAN, PASSWORD, SHOP, MailServers, Postbox
from tests.waiting import until

POLICY = """
name: mail
calendars: {always: {hours: 24/7}}
teams: {frontdesk: {calendar: always}}
routing: [{name: everything, team: frontdesk}]
service_levels: [{name: calm, calendar: always, first_response: 1h}]
reply_from: {email: support-mail}
"""


def channels(port: int, servers: MailServers) -> str:
    return f"""
    accounts:
      support-mail:
        channel: email
        provider: imap
        address: {SHOP}
        display_name: "Klantenservice, Zoë"
        host: 127.0.0.1
        port: {port}
        tls: false
        starttls: false
        username: {SHOP}
        password: {PASSWORD}
        outbound: {{host: 127.0.0.1, port: {servers.submission_port}, starttls: true,
                   username: {SHOP}, password: {PASSWORD}, ca_file: {servers.certificate}}}
    """


@dataclass
class Office:
    """A Regie whose mailbox is at the end of a wire."""

    regie: Regie
    wire: Wire
    servers: MailServers
    agent: httpx.AsyncClient

    async def case(self, words: str) -> dict[str, Any]:
        async def look() -> Any:
            return (await self.agent.get("/v1/inbox", params={"q": words})).json()["items"]

        found: dict[str, Any] = (await found_by(look))[0]
        return found

    async def entries(self, case: dict[str, Any], direction: str) -> list[dict[str, Any]]:
        answer = await self.agent.get(f"/v1/cases/{case['id']}/timeline")
        return [each for each in answer.json()["items"] if each.get("direction") == direction]

    async def reply(self, case: dict[str, Any], text: str, **more: Any) -> None:
        await self.agent.post(f"/v1/cases/{case['id']}/claim")
        body = {"text": text, **more}
        answer = await self.agent.post(f"/v1/cases/{case['id']}/replies", json=body)
        assert answer.status_code == 202, answer.text


async def found_by(look: Callable[[], Awaitable[Any]], seconds: float = 25) -> Any:
    found = None
    async for _ in attempts(seconds):
        found = await look()
        if found:
            return found
    raise AssertionError(f"nothing found within {seconds} s")


@pytest.fixture(scope="module")
async def office(
    mail_servers: MailServers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    folder: Path = tmp_path_factory.mktemp("office")
    async with Wire(mail_servers.imap_port) as wire:
        (folder / "channels.yaml").write_text(channels(wire.port, mail_servers), encoding="utf-8")
        (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
        env = example_env(
            REGIE_CHANNELS_FILE=str(folder / "channels.yaml"),
            REGIE_POLICY_FILE=str(folder / "policy.yaml"),
        )
        async with running(Regie(folder / "data", env)) as regie, regie.client() as agent:
            yield Office(regie, wire, mail_servers, agent)


def a_mail(subject: str, text: str, sender: str = "", **headers: str) -> EmailMessage:
    """From somebody who never wrote before, unless a sender is named."""
    mail = EmailMessage()
    mail["From"] = sender or f"{new_id()}@home.test"
    mail["To"], mail["Subject"] = SHOP, subject
    mail["Message-ID"] = f"<{new_id()}@home.test>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail


async def post(servers: MailServers, mail: EmailMessage) -> None:
    """As another mail server brings it: no login."""
    await aiosmtplib.send(
        mail, hostname="127.0.0.1", port=servers.submission_port, start_tls=False, timeout=10
    )


async def arrived(box: Postbox, words: str) -> EmailMessage:
    """The mail of this mailbox that has these words in its raw bytes."""

    async def look() -> Any:
        return [each.raw for each in await box.mails() if words.encode() in each.raw]

    (raw,) = await found_by(look)
    return email.message_from_bytes(raw, policy=email.policy.default)


async def test_a_conversation(office: Office) -> None:
    asked = a_mail("Één pakket kwijt ✉ nummer 77", "Waar blijft het?\nGroet, Jan", JAN)
    await post(office.servers, asked)
    case = await office.case("nummer 77")
    assert case["subject"] == asked["Subject"]

    label = b"%PDF-1.7\r\n" + bytes(range(256)) * 20
    content = b64encode(label).decode()
    file = {"name": "étiquette.pdf", "content_type": "application/pdf", "content": content}
    await office.reply(case, "Het is onderweg.\n.\nZoë", attachments=[file])
    answer = await arrived(Postbox(office.servers, person=JAN), str(asked["Message-ID"]))
    assert answer["Subject"] == f"Re: {asked['Subject']}"
    assert answer["In-Reply-To"] == answer["References"] == asked["Message-ID"]
    assert answer["From"].addresses[0].display_name == "Klantenservice, Zoë"
    body = answer.get_body()
    assert body is not None
    assert body.get_content().splitlines() == ["Het is onderweg.", ".", "Zoë"]
    (sent,) = answer.iter_attachments()
    assert (sent.get_filename(), sent.get_content()) == ("étiquette.pdf", label)

    again = a_mail(
        "Iets heel anders", "Dank!\n\nNog een vraag.", JAN, In_Reply_To=str(answer["Message-ID"])
    )
    await post(office.servers, again)

    async def joined() -> bool:
        return len(await office.entries(case, "in")) == 2

    await until(joined)
    case = (await office.agent.get(f"/v1/cases/{case['id']}")).json()
    assert case["state"] == "open"


async def test_a_bounce_fails_the_reply(office: Office) -> None:
    await post(office.servers, a_mail("nummer 88", "Waar?", "gone@home.test"))
    case = await office.case("nummer 88")
    await office.reply(case, "Hier.")

    async def failed() -> bool:
        sent = await office.entries(case, "out")
        return [each["state"] for each in sent] == ["failed"]

    await until(failed)
    case = (await office.agent.get(f"/v1/cases/{case['id']}")).json()
    assert case["state"] == "open"


async def test_a_kill_between_the_log_and_the_mark(office: Office) -> None:
    office.wire.hold(b"STORE")
    await post(office.servers, a_mail("nummer 99", "Waar?"))
    case = await office.case("nummer 99")
    assert office.wire.holding.is_set()
    await office.regie.kill()
    office.wire.cut()
    office.wire.go_on()
    box = Postbox(office.servers)
    assert await unmarked(box, "nummer 99") == 1
    await office.regie.start()

    async def marked() -> bool:
        return await unmarked(box, "nummer 99") == 0

    await until(marked)
    await all_is_in(office)
    assert len(await office.entries(case, "in")) == 1


async def unmarked(box: Postbox, words: str) -> int:
    found = [each for each in await box.mails() if words.encode() in each.raw]
    return sum(TAKEN not in each.flags for each in found)


async def all_is_in(office: Office) -> None:
    """What was accepted before is routed when this new mail is."""
    words = f"bake {new_id()}"
    await post(office.servers, a_mail(words, "Hallo"))
    await office.case(words)


async def test_a_mailbox_that_forgets_everything_doubles_nothing(office: Office) -> None:
    await post(office.servers, a_mail("nummer 55", "Waar?"))
    case = await office.case("nummer 55")
    count = await counted(office)
    before = office.wire.made
    await office.servers.imap.stop()
    Postbox(office.servers).forget_ids(marks=True)
    await office.servers.imap.start()

    async def reconnected() -> bool:
        return office.wire.made > before

    await until(reconnected)
    await all_is_in(office)

    async def marked() -> bool:
        return all(TAKEN in each.flags for each in await Postbox(office.servers).mails())

    await until(marked)
    assert len(await office.entries(case, "in")) == 1
    assert await counted(office) == count + 1


async def counted(office: Office) -> int:
    """Messages of customers, over all cases."""
    states = ["open", "waiting_customer", "closed"]
    answer = await office.agent.get("/v1/inbox", params={"state": states, "limit": 200})
    return sum([len(await office.entries(case, "in")) for case in answer.json()["items"]])


async def test_the_operator_sees_a_mailbox_in_trouble(office: Office) -> None:
    async def trouble() -> Any:
        accounts = (await office.agent.get("/ops/accounts")).json()["items"]
        return {each["name"]: each["trouble"] for each in accounts}["support-mail"]

    await office.servers.imap.stop()

    async def unreachable() -> bool:
        return bool(await trouble() == "unreachable")

    await until(unreachable)
    assert (await office.agent.get("/readyz")).status_code == 200
    await office.servers.imap.start()

    async def well() -> bool:
        return await trouble() is None

    await until(well)


async def test_the_process_ends_within_its_bound(office: Office) -> None:
    office.wire.hold(b"STORE")
    await post(office.servers, a_mail("nummer 11", "Waar?"))
    await office.case("nummer 11")
    assert await office.regie.stop() == 0
    office.wire.cut()
    office.wire.go_on()


# --- Exim and the sending side alone -------------------------------------------------------------


def sender(servers: MailServers, **outbound: Any) -> Account:
    given = {
        "host": "127.0.0.1", "port": servers.submission_port, "username": SHOP,
        "ca_file": str(servers.certificate), **outbound,
    }  # fmt: skip
    lines = ", ".join(f"{name}: {str(value).lower() if value is True else value}"
                      for name, value in given.items() if value != "")  # fmt: skip
    text = f"""
    accounts:
      desk: {{channel: email, provider: smtp, address: {SHOP}, listen: "127.0.0.1:0",
              outbound: {{{lines}}}}}
    """
    found = load_accounts(text, "channels.yaml", {}).get("desk")
    assert found is not None
    return found


async def sent(account: Account, recipient: str = JAN, **more: Any) -> str:
    message = Outgoing(
        id=new_id(), case_id=new_id(), recipient=Identity(scheme="email", value=recipient),
        text="Hallo", subject="Een brief", **more,
    )  # fmt: skip
    async with httpx.AsyncClient() as http:
        return (await SmtpOutbound().send(message, account, http)).provider_id


@pytest.mark.parametrize("how", ["starttls", "tls", "token", "token file", "second password"])
async def test_ways_to_hand_over_a_mail(
    mail_servers: MailServers, tmp_path: Path, how: str
) -> None:
    file = tmp_path / "token"
    file.write_text(mail_servers.token + "\n")
    account = {
        "starttls": lambda: sender(mail_servers, starttls=True, password=PASSWORD),
        "tls": lambda: sender(
            mail_servers, tls=True, password=PASSWORD, port=mail_servers.submissions_port
        ),
        "token": lambda: sender(mail_servers, access_token=mail_servers.token),
        "token file": lambda: sender(mail_servers, access_token_file=str(file)),
        "second password": lambda: sender(mail_servers, password=f"[the-next, {PASSWORD}]"),
    }[how]()
    await arrived(Postbox(mail_servers, person=JAN), await sent(account))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "wrong"}, "token"),
        ({"access_token": "wrong"}, "token"),
        ({"password": PASSWORD, "ca_file": ""}, "certificate"),
        ({"username": "", "starttls": True}, "rejected"),  # relaying needs a login
    ],
)
async def test_a_way_that_is_barred(
    mail_servers: MailServers, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(SendError) as refusal:
        await sent(sender(mail_servers, **changes))
    assert refusal.value.code == code
    assert refusal.value.again == (code != "rejected")
    assert not refusal.value.doubtful


async def test_a_mail_over_the_servers_size(mail_servers: MailServers) -> None:
    files = [File("film.mp4", "video/mp4", b"x" * 2_500_000)]
    with pytest.raises(SendError, match="send fewer files") as refusal:
        await sent(sender(mail_servers, password=PASSWORD), files=files)
    assert not refusal.value.again


async def test_an_address_with_accents_reaches_a_server_that_knows_them(
    mail_servers: MailServers,
) -> None:
    provider_id = await sent(sender(mail_servers, password=PASSWORD), "zoë@shop.test")
    # Exim takes it (SMTPUTF8); Dovecot does not, and so it comes back.
    await arrived(Postbox(mail_servers), provider_id)


# --- Exim and our own listener -------------------------------------------------------------------


class Refusing:
    """Stands behind the listener as the intake does: away at first."""

    def __init__(self) -> None:
        self.away = True
        self.asked = 0
        self.parsed: list[Parsed] = []

    async def accept(self, parsed: Parsed, account: str) -> None:
        self.asked += 1
        if self.away:
            raise BrokerUnavailable("away")
        self.parsed.append(parsed)


async def test_the_other_servers_queue_keeps_what_we_cannot_take_now(
    mail_servers: MailServers,
) -> None:
    accounts = load_accounts(
        f"""
        accounts:
          room: {{channel: email, provider: smtp, address: desk@room.test, protocol: lmtp,
                  listen: "127.0.0.1:{mail_servers.room_port}"}}
        """,
        "channels.yaml",
        {},
    )
    behind = Refusing()
    door = MailDoor(accounts, behind.accept, lambda: datetime.now(UTC))
    await door.start()
    try:
        mail = a_mail("Bewaard", "Voor later", JAN)
        del mail["To"]
        mail["To"] = "desk@room.test, nobody@room.test"
        await post(mail_servers, mail)

        async def refused() -> bool:
            return behind.asked > 0

        await until(refused)
        behind.away = False

        async def taken() -> bool:
            return bool(behind.parsed)

        await until(taken)
        (message,) = behind.parsed[0].messages
        assert (message.subject, message.recipient) == ("Bewaard", "desk@room.test")
        # Of one text two answers: the stranger's part came back at once.
        returned = await arrived(Postbox(mail_servers, person=JAN), "nobody@room.test")
        assert "550 5.1.1" in str(returned)
    finally:
        await door.stop()
    assert len(behind.parsed) == 1
