"""The customers' API: everything in one call, corrections by hand, merging and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import event

from services.router import commands as cmd
from services.router.api import routers
from shared import codes
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.web.app import make_app
from tests.builders import after, mail, message
from tests.people import owner, who
from tests.rooms import Room, make_room

Client = httpx.AsyncClient
MakeClient = Callable[..., Awaitable[Client]]
PHONE, MAIL = "e164:+31612345678", "email:ada@example.org"
CODE = codes.written(0x12_3456_789A)


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@pytest.fixture
async def agent(room: Room) -> AsyncIterator[MakeClient]:
    app = make_app(room.runtime, routers(room.handlers))
    clients: list[Client] = []

    async def make(name: str = "jo", role: Any = "agent", teams: tuple[str, ...] = ()) -> Client:
        async with transaction(room.engine) as connection:
            key = await create(connection, Grant(role=role, agent=name, teams=teams))
        client = Client(
            transport=httpx.ASGITransport(app),
            base_url="http://regie",
            headers={"Authorization": f"Bearer {key}"},
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


async def ada(room: Room) -> None:
    """A person with a past: three channels, an open and a closed case, and all that hangs on it."""
    person = who(PHONE, MAIL, "customer_no:1001", name="Ada Lovelace")
    await room.hear(message("An old matter", sender=person))
    (old,) = await room.rows("SELECT id FROM cases")
    await room.tell(old.id, cmd.Close("jo"))
    room.clock.at = after(days=60)
    await room.hear(message("Where is my parcel?", sender=person, at=after(days=60)))
    await room.hear(mail("By mail, too", at=after(days=60, minutes=1)))
    (case,) = await room.rows("SELECT id FROM cases WHERE state <> 'closed'")
    await room.tell(
        case.id, cmd.MakePromise(uuid4(), "jo", "call_back", "tell", after(days=60, hours=2))
    )
    await room.tell(case.id, cmd.RecordResult("jo", "tracking_number", "draft", {"digits": 3}))
    await room.tell(case.id, cmd.OfferHandoff(uuid4(), "jo", "agent", to_team="frontdesk"))


async def find(client: Client, identity: str) -> Any:
    answer = await client.get("/v1/customers", params={"identity": identity})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_one_call_shows_all_that_a_phone_agent_needs(room: Room, agent: MakeClient) -> None:
    await ada(room)
    jo = await agent()
    record = await find(jo, "+31612345678")
    assert (record["name"], record["group"], record["internal"]) == ("Ada Lovelace", "gold", False)
    shown = {i["identity"]: i["verified"] for i in record["identities"]}
    assert shown == {"customer_no:1001": True, PHONE: True, MAIL: True}
    (case,) = record["open_cases"]
    assert (case["team"], case["due_metric"], case["agent"]) == ("parcels", "first_response", None)
    assert [c["state"] for c in record["closed_cases"]] == ["closed"]
    contacts = {c["channel"]: c for c in record["last_contacts"]}
    assert set(contacts) == {"whatsapp", "email"}
    assert contacts["email"]["preview"] == "By mail, too"
    assert contacts["email"]["direction"] == "in"
    assert contacts["email"]["authentication"] == "asserted"
    assert contacts["email"]["case"] == case["id"]
    (promise,) = record["promises"]
    assert (promise["kind"], promise["case"], promise["state"]) == ("call_back", case["id"], "open")
    (draft,) = record["drafts"]
    assert (draft["name"], draft["data"]) == ("tracking_number", {"digits": 3})
    assert record["merged_into"] is None


async def test_an_offered_handoff_is_on_the_record(room: Room, agent: MakeClient) -> None:
    await room.hear(message(sender=who(PHONE)))
    (case,) = await room.rows("SELECT id FROM cases")
    offer = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel="email", address="ada@example.org", code=CODE,
        way=cmd.Way(address="support@example.org"), invitation_id=uuid4(),
    )  # fmt: skip
    await room.tell(case.id, offer)
    jo = await agent()
    record = await find(jo, PHONE)
    (handoff,) = record["handoffs"]
    assert (handoff["to_channel"], handoff["address"]) == ("email", "ada@example.org")
    assert handoff["to_team"] is None
    by_code = await find(jo, CODE)
    assert by_code["id"] == record["id"]
    assert CODE not in str(record), "nothing shows the code"


async def test_the_record_takes_a_fixed_number_of_statements(room: Room, agent: MakeClient) -> None:
    jo = await agent()
    await room.hear(message(sender=who(PHONE)))
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1

    async def told() -> int:
        nonlocal count
        count = 0
        await find(jo, PHONE)
        return count

    event.listen(room.engine.sync_engine, "before_cursor_execute", counted)
    await told()  # the key is looked up, and then known for a while
    few = await told()
    for n in range(30):
        await room.hear(mail(f"{n}", sender=who(PHONE), product=f"p{n}", account=f"box{n % 7}"))
    many = await told()
    event.remove(room.engine.sync_engine, "before_cursor_execute", counted)
    assert few == many < 20


@pytest.mark.parametrize(
    "typed",
    ["e164:+31612345678", "+31612345678", " 31612345678", "e164: 31612345678", "0031612345678",
     "+31 6 1234 5678", "ada@example.org", "ADA@example.org", "email:ada@example.org", "1001",
     "customer_no:1001"],
)  # fmt: skip
async def test_identities_are_read_as_people_write_them(
    room: Room, agent: MakeClient, typed: str
) -> None:
    await room.hear(message(sender=who(PHONE, MAIL, "customer_no:1001")))
    record = await find(await agent(), typed)
    assert record["id"] == str(await owner(room, PHONE))


async def test_who_is_not_known(room: Room, agent: MakeClient) -> None:
    jo = await agent()
    for typed, status in (
        ("+31612345678", 404),
        ("phone:1", 422),
        ("+12", 422),
        ("nobody@x.nl", 404),
    ):
        answer = await jo.get("/v1/customers", params={"identity": typed})
        assert answer.status_code == status, typed
    assert "search" in (await jo.get("/v1/customers?identity=4711")).json()["detail"]


async def test_several_who_fit_are_a_list(room: Room, agent: MakeClient) -> None:
    await room.hear(message(sender=who("customer_no:55", name="A")),
                    message(sender=who("employee_no:55", name="B")))  # fmt: skip
    found = await find(await agent(), "55")
    assert sorted(item["name"] for item in found["items"]) == ["A", "B"]
    assert found["next_cursor"] is None


async def test_a_claimed_number_finds_who_claims_it(room: Room, agent: MakeClient) -> None:
    said = who(MAIL, proven=False, customer_ref="77")
    await room.hear(mail(sender=said))
    record = await find(await agent(), "customer_no:77")
    assert [claim["identity"] for claim in record["claims"]] == ["customer_no:77"]
    assert [i["identity"] for i in record["identities"]] == [MAIL]


async def test_search_by_name_and_beginnings(room: Room, agent: MakeClient) -> None:
    for n, name in enumerate(("Ada Lovelace", "Bo Lovell", "Cy Young", "Ada Young")):
        await room.hear(
            message(sender=who(f"e164:+3161000000{n}", f"email:{n}@a.example", name=name))
        )
    jo = await agent()

    async def names(q: str) -> list[str]:
        answer = await jo.post("/v1/customers/search", json={"q": q})
        return [item["name"] for item in answer.json()["items"]]

    assert await names("love") == ["Ada Lovelace", "Bo Lovell"]
    assert await names("you ad") == ["Ada Young"]
    assert await names("+31610000003") == ["Ada Young"]
    assert await names("1@A.ex") == ["Bo Lovell"]
    assert await names("' | !x:*") == []
    page = (await jo.post("/v1/customers/search", json={"q": "ad", "limit": 1})).json()
    rest = {"q": "ad", "limit": 1, "cursor": page["next_cursor"]}
    following = (await jo.post("/v1/customers/search", json=rest)).json()
    assert [i["name"] for i in (*page["items"], *following["items"])] == [
        "Ada Lovelace",
        "Ada Young",
    ]
    assert following["next_cursor"] is None
    assert (await jo.post("/v1/customers/search", json={"q": "a"})).status_code == 422


async def test_a_correction_needs_the_version_it_saw(room: Room, agent: MakeClient) -> None:
    await room.hear(message(sender=who(PHONE, name="Ida")))
    jo = await agent()
    read = await jo.get("/v1/customers", params={"identity": PHONE})
    url, tag = f"/v1/customers/{read.json()['id']}", read.headers["etag"]
    assert (await jo.patch(url, json={"name": "Ada"})).status_code == 428
    change = {"name": "Ada", "language": "nl", "opted_out": True}
    done = await jo.patch(url, json=change, headers={"If-Match": tag})
    assert done.json()["opted_out"] is True
    assert done.status_code == 200
    assert (done.json()["name"], done.json()["language"]) == ("Ada", "nl")
    stale = await jo.patch(url, json={"name": "Eve"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    assert f'"{stale.json()["version"]}"' == done.headers["etag"]


async def test_identities_by_hand(room: Room, agent: MakeClient) -> None:
    await room.hear(message(sender=who(PHONE)), mail("hello", address="bo@example.org"))
    jo = await agent()
    url = f"/v1/customers/{await owner(room, PHONE)}"

    async def change(**identities: Any) -> httpx.Response:
        tag = (await jo.get(url)).headers["etag"]
        return await jo.patch(url, json={"identities": identities}, headers={"If-Match": tag})

    how = {"how": "identity card at the desk"}
    done = await change(add=[{"identity": "email:ADA@example.org"},
                             {"identity": "customer_no:1001", "verified": how}])  # fmt: skip
    shown = {i["identity"]: i for i in done.json()["identities"]}
    assert (shown[MAIL]["verified"], shown[MAIL]["added_by"]) == (False, "jo")
    assert (shown["customer_no:1001"]["verified"], shown["customer_no:1001"]["how"]) == (
        True,
        how["how"],
    )
    verified = await change(add=[{"identity": MAIL, "verified": how}])
    assert {i["identity"]: i["verified"] for i in verified.json()["identities"]}[MAIL] is True
    gone = await change(remove=[MAIL])
    assert MAIL not in {i["identity"] for i in gone.json()["identities"]}
    taken = await change(add=[{"identity": "email:bo@example.org"}])
    assert (taken.status_code, taken.json()["name"]) == (409, "identity-taken")
    assert taken.json()["customer"] == str(await owner(room, "email:bo@example.org"))
    for wrong in ("email:support@example.org", "e164:+31880000001", "phone:1", "email:nobody"):
        assert (await change(add=[{"identity": wrong}])).status_code == 422, wrong


async def test_merging_by_hand_and_back(room: Room, agent: MakeClient) -> None:
    await room.hear(message("one", sender=who(PHONE)), mail("two"))
    a, b = await owner(room, PHONE), await owner(room, MAIL)
    jo, kim = await agent(), await agent("kim", role="supervisor")
    asked: dict[str, Any] = {"json": {"other": str(b), "reason": "said so on the phone"},
                             "headers": {"Idempotency-Key": "once"}}  # fmt: skip
    done = await jo.post(f"/v1/customers/{a}/merge", **asked)
    assert done.status_code == 200, done.text
    again = await jo.post(f"/v1/customers/{a}/merge", **asked)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == done.json()
    assert len(done.json()["cases"]) == 1
    record = (await jo.get(f"/v1/customers/{b}")).json()
    assert (record["id"], record["merged_into"]) == (str(a), str(a))
    assert {i["identity"] for i in record["identities"]} == {PHONE, MAIL}
    assert len(record["open_cases"]) == 2
    (listed,) = (await jo.get(f"/v1/customers/{b}/merges")).json()["items"]
    assert (listed["reason"], listed["by"], listed["undone_at"]) == (
        "said so on the phone",
        "jo",
        None,
    )
    same = await jo.post(f"/v1/customers/{b}/merge", json={"other": str(a), "reason": "x"})
    assert same.status_code == 409
    undo = {"merge": done.json()["merge"]}
    assert (await jo.post(f"/v1/customers/{a}/unmerge", json=undo)).status_code == 403
    wrong = await kim.post(f"/v1/customers/{a}/unmerge", json={"merge": str(uuid4())})
    assert wrong.status_code == 404
    undone = await kim.post(f"/v1/customers/{a}/unmerge", json=undo)
    assert undone.json()["identities"] == [MAIL]
    assert undone.json()["left"] == {"identities": [], "cases": []}
    record = (await jo.get(f"/v1/customers/{b}")).json()
    assert (record["id"], record["merged_into"]) == (str(b), None)


async def test_a_merge_that_cannot_be_undone_yet_names_the_later_one(
    room: Room, agent: MakeClient
) -> None:
    people = [f"email:p{n}@example.org" for n in range(3)]
    await room.hear(*(mail(sender=who(p, proven=False)) for p in people))
    a, b, c = [await owner(room, p) for p in people]
    kim = await agent("kim", role="supervisor")
    inner = (
        await kim.post(f"/v1/customers/{a}/merge", json={"other": str(b), "reason": "x"})
    ).json()
    outer = (
        await kim.post(f"/v1/customers/{c}/merge", json={"other": str(a), "reason": "x"})
    ).json()
    refused = await kim.post(f"/v1/customers/{c}/unmerge", json={"merge": inner["merge"]})
    assert (refused.status_code, refused.json()["name"]) == (409, "merged-since")
    assert refused.json()["merge"] == outer["merge"]
    record = (await kim.get(f"/v1/customers/{b}")).json()
    assert record["id"] == str(c), "a chain leads to its end"


async def test_conflicts_are_on_both_records_until_dismissed(room: Room, agent: MakeClient) -> None:
    await room.hear(message(sender=who(PHONE, "customer_no:1001")))
    said = mail(sender=who(MAIL, proven=False, customer_ref="1001"))
    await room.hear(said)
    jo = await agent()
    one, other = await find(jo, PHONE), await find(jo, MAIL)
    (here,), (there,) = one["conflicts"], other["conflicts"]
    assert (here["id"], here["other"], here["why"]) == (there["id"], other["id"], "claimed")
    assert (there["other"], there["message"]) == (one["id"], str(said.id))
    url = f"/v1/customers/{one['id']}/conflicts/{here['id']}/dismiss"
    assert (await jo.post(url, json={"reason": "a typing error"})).status_code == 204
    await room.hear(mail(sender=who(MAIL, proven=False, customer_ref="1001"), at=after(minutes=1)))
    assert (await find(jo, MAIL))["conflicts"] == []
    assert (await jo.post(url, json={"reason": "again"})).status_code == 404


async def test_a_merge_ends_the_conflict(room: Room, agent: MakeClient) -> None:
    await room.hear(message(sender=who(PHONE, "customer_no:1001")))
    await room.hear(mail(sender=who(MAIL, proven=False, customer_ref="1001")))
    jo = await agent("kim", role="supervisor")
    a, b = await owner(room, PHONE), await owner(room, MAIL)
    done = await jo.post(f"/v1/customers/{a}/merge", json={"other": str(b), "reason": "x"})
    assert (await find(jo, PHONE))["conflicts"] == []
    await jo.post(f"/v1/customers/{a}/unmerge", json={"merge": done.json()["merge"]})
    assert len((await find(jo, PHONE))["conflicts"]) == 1


async def test_what_is_confidential_stays_with_its_team(room: Room, agent: MakeClient) -> None:
    await ada(room)
    await room.rows(
        "UPDATE cases SET team = 'privacy', doc = jsonb_set(doc, '{team}', '\"privacy\"') "
        "RETURNING id"
    )
    await room.rows("UPDATE promises SET team = 'privacy' RETURNING id")
    own, other = await agent("pat", teams=("privacy",)), await agent("jo")
    shown, hidden = await find(own, PHONE), await find(other, PHONE)
    parts = ("open_cases", "closed_cases", "last_contacts", "promises", "handoffs", "drafts")
    assert all(shown[part] for part in parts), "their own people see all of it"
    assert not any(hidden[part] for part in parts)
    assert hidden["name"] == "Ada Lovelace", "the person is nobody's secret"
    listed = await other.post("/v1/customers/search", json={"q": "ada"})
    assert listed.json()["items"][0]["open_cases"] == 0
