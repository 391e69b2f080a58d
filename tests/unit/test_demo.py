"""The demo: its files load, and what its customers send is what the real adapters accept."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from services.demo import demo_files, sink
from services.demo.calls import Call
from services.demo.customers import Customers
from services.demo.files import SINK_PORT
from services.demo.posts import Post
from services.demo.sink import Arrived
from services.demo.stories import PEOPLE, STORIES
from services.router.policy import Policy
from shared.accounts import Account, Accounts, load_accounts
from shared.channels import Outgoing, Parsed, WebhookRequest
from shared.channels.table import provider_of
from shared.channels.whatsapp import MetaOutbound
from shared.errors import SendError
from shared.events import Identity, MessageReceived

SINK = "http://127.0.0.1:9911"


@pytest.fixture
def accounts() -> Accounts:
    channels, _, made_up = demo_files()
    return load_accounts(channels.read_text(encoding="utf-8"), str(channels), made_up)


@dataclass
class Doors:
    """Takes posts as the webhooks' door does, and keeps what was in them."""

    accounts: Accounts
    parsed: list[Parsed] = field(default_factory=list)

    async def post(self, post: Post) -> str:
        parsed = self.receive(post)
        return parsed.answer.body.decode()

    def receive(self, post: Post) -> Parsed:
        path, _, query = post.path.partition("?")
        _, _, name, *rest = path.split("/")
        account = self.accounts.get(name)
        assert account is not None
        inbound = provider_of(account).inbound
        assert inbound is not None
        request = WebhookRequest(
            method="POST",
            path="".join(f"/{part}" for part in rest),
            query=httpx.QueryParams(query).multi_items(),
            raw_query=query,
            headers=dict(post.headers),
            body=post.content,
            received_at=datetime.now(UTC) + timedelta(seconds=1),
        )
        inbound.verify(request, account)
        self.parsed.append(inbound.parse(request, account, self.accounts))
        return self.parsed[-1]

    @property
    def messages(self) -> list[MessageReceived]:
        return [message for parsed in self.parsed for message in parsed.messages]


@pytest.fixture
def doors(accounts: Accounts) -> Doors:
    return Doors(accounts)


def _account(accounts: Accounts, name: str) -> Account:
    found = accounts.get(name)
    assert found is not None
    return found


# --- files -------------------------------------------------------------------------------------


def test_the_policy_loads_and_its_own_tests_pass() -> None:
    _, policy, _ = demo_files()
    parsed = Policy.parse(policy.read_text(encoding="utf-8"), str(policy))
    assert parsed.name == "demo shop"


def test_the_policy_names_the_sinks_port() -> None:
    _, policy, made_up = demo_files()
    text = policy.read_text(encoding="utf-8")
    assert text.count(f"http://127.0.0.1:{made_up['DEMO_SINK_PORT']}/teams/") == 4
    assert made_up["DEMO_SINK_PORT"] == str(SINK_PORT) or policy.parent.name.startswith(
        "regie-demo"
    )


def test_secrets_are_new_at_each_start() -> None:
    _, _, first = demo_files()
    _, _, second = demo_files()
    made = [name for name in first if not name.endswith("_PORT")]
    assert len(made) == 6
    assert all(first[name] != second[name] for name in made)
    assert not set(first) & set(os.environ)


# --- customers -----------------------------------------------------------------------------------


async def test_all_that_customers_do_is_accepted_and_read(accounts: Accounts, doors: Doors) -> None:
    tasks: list[asyncio.Task[None]] = []
    enough = asyncio.Event()

    def later(work: Awaitable[None]) -> None:
        tasks.append(asyncio.ensure_future(work))
        if len(tasks) >= 3 * len(STORIES):
            enough.set()

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0)

    customers = Customers(accounts, doors.post, later, random.Random(1), SINK, pause)
    living = asyncio.ensure_future(customers.live())
    customers.hear(Arrived("whatsapp", PEOPLE[0].digits, "Hello", "wamid.1", correlation="x"))
    customers.hear(Arrived("email", PEOPLE[1].mail, "Hello", "<1@shop.example.org>", "Subject"))
    customers.hear(Arrived("whatsapp", PEOPLE[2].digits, "code R-7K4Q-2M9X", "wamid.2"))
    async with asyncio.timeout(20):
        await enough.wait()
    living.cancel()
    await asyncio.gather(*tasks)
    assert not [parked for parsed in doors.parsed for parked in parsed.parked]
    kinds = {(message.channel, message.kind) for message in doors.messages}
    assert kinds >= {
        ("whatsapp", "message"), ("email", "message"), ("phone", "voicemail"),
        ("phone", "call_missed"), ("phone", "call_ended"), ("portal", "callback_requested"),
    }  # fmt: skip
    assert any("R-7K4Q-2M9X" in m.text for m in doors.messages if m.channel == "email")
    assert [s.status for p in doors.parsed for s in p.statuses if s.correlation == "x"] == [
        "sent", "delivered", "read",
    ]  # fmt: skip


def test_people_are_told_apart_and_reach_nobody_real() -> None:
    assert len({p.number for p in PEOPLE}) == len({p.mail for p in PEOPLE}) == len(PEOPLE)
    assert all(p.mail.isascii() and p.mail.endswith(".example.org") for p in PEOPLE)


async def test_a_voicemail_is_told_as_twilio_tells_it(accounts: Accounts, doors: Doors) -> None:
    call = Call(_account(accounts, "shop-phone"), "+31600000101", "Noor", doors.post, SINK)
    await call.voicemail("Kunt u mij terugbellen?")
    assert _kinds(doors.messages) == ["voicemail", "voicemail", "edit"]
    assert doors.messages[-1].text == "Kunt u mij terugbellen?"
    assert len({m.id for m in doors.messages if m.kind == "voicemail"}) == 1


async def test_a_caller_who_hangs_up_is_a_missed_call(accounts: Accounts, doors: Doors) -> None:
    call = Call(_account(accounts, "shop-phone"), "+31600000101", "Noor", doors.post, SINK)
    await call.voicemail("")
    assert _kinds(doors.messages) == ["call_missed"]


def _kinds(messages: Sequence[MessageReceived]) -> list[str]:
    return [message.kind for message in messages]


# --- what our replies reach ----------------------------------------------------------------------


async def test_the_send_api_takes_what_the_adapter_sends(accounts: Accounts) -> None:
    account, heard = _account(accounts, "shop-whatsapp"), list[Arrived]()
    transport = httpx.ASGITransport(app=sink.web(account, heard.append))
    message = Outgoing(
        id=uuid4(), case_id=uuid4(), text="On its way",
        recipient=Identity(scheme="e164", value="+31600000101"),
    )  # fmt: skip
    async with httpx.AsyncClient(transport=transport) as http:
        receipt = await MetaOutbound().send(message, account, http)
    assert [(a.to, a.text, a.id) for a in heard] == [
        ("31600000101", "On its way", receipt.provider_id)
    ]
    assert heard[0].correlation == str(message.id)


async def test_the_send_api_refuses_a_strangers_token(accounts: Accounts) -> None:
    account, other = _account(accounts, "shop-whatsapp"), demo_files()
    stranger = load_accounts(other[0].read_text(encoding="utf-8"), "x", other[2])
    transport = httpx.ASGITransport(app=sink.web(account, lambda _: None))
    message = Outgoing(
        id=uuid4(), case_id=uuid4(), text="Hello",
        recipient=Identity(scheme="e164", value="+31600000101"),
    )  # fmt: skip
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(SendError) as caught:
            await MetaOutbound().send(message, _account(stranger, "shop-whatsapp"), http)
    assert not caught.value.again
