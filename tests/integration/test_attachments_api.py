"""Files over HTTP: read by whoever may, in ranges, by links that end; and sent with replies."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from email import policy
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from services.ingest import service as ingest
from services.notifier.models import Delivery
from services.notifier.targets.replies import Replies
from services.router.api import routers
from services.router.policy import Policy
from services.router.rights import wiping
from services.router.rights.retention import Retention
from services.router.service import service as router_service
from shared.accounts import Accounts
from shared.api_keys import Grant, create
from shared.blobs import blob_for
from shared.database import transaction
from shared.errors import SendError
from shared.events import Attachment, AttachmentRequested, Blob, CaseChanged, MessageReceived
from shared.web.app import make_app
from tests.builders import EXAMPLE, after, mail, message
from tests.doors import make_runtime, open_door
from tests.fakes.endpoint import Endpoint, status
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import FakeTwilio
from tests.fetching import SID, Line, accounts_at, fetching_line
from tests.scanning import files_of
from tests.waiting import until

Client = httpx.AsyncClient
MakeClient = Callable[..., Awaitable[Client]]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10
TAG = f'"{hashlib.sha256(PNG).hexdigest()}"'
PUBLIC = "https://regie.example.org"


@pytest.fixture
async def line(database_url: str, tmp_path: Path) -> AsyncIterator[Line]:
    async with fetching_line(database_url, tmp_path, public_url=PUBLIC) as line:
        yield line


@pytest.fixture
async def agent(line: Line) -> AsyncIterator[MakeClient]:
    app = make_app(line.runtime, routers(line.room.handlers))
    clients: list[Client] = []

    async def make(name: str = "", role: Any = "agent", teams: tuple[str, ...] = ()) -> Client:
        """Without a name: somebody without a key."""
        headers = {}
        if name:
            async with transaction(line.runtime.engine) as connection:
                key = await create(connection, Grant(role=role, agent=name, teams=teams))
            headers = {"Authorization": f"Bearer {key}"}
        client = Client(
            transport=httpx.ASGITransport(app), base_url="http://regie", headers=headers
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


async def stored(line: Line, content: bytes, name: str, declared: str, **more: Any) -> Attachment:
    blob = await put(line, content)
    return Attachment(name=name, content_type=declared, size=blob.size, blob=blob, **more)


async def put(line: Line, content: bytes) -> Blob:
    blob = blob_for(content, b"somebody")
    await line.runtime.blobs.put([(blob.ref, content)])
    return blob


async def case_with(line: Line, *files: Attachment, **given: Any) -> tuple[str, MessageReceived]:
    sent = message("See here", attachments=files, **given)
    await line.hear(sent)
    (row,) = await line.room.rows("SELECT case_id FROM messages WHERE id = :id", id=sent.id)
    return f"/v1/cases/{row.case_id}", sent


async def shown(client: Client, case: str) -> dict[str, Any]:
    """`data` of the case's first message."""
    items = (await client.get(f"{case}/timeline")).json()["items"]
    data: dict[str, Any] = next(each for each in items if each["type"] == "message")["data"]
    return data


# --- reading --------------------------------------------------------------------------------------


async def test_a_file_is_listed_and_read(line: Line, agent: MakeClient) -> None:
    jo = await agent("jo")
    case, sent = await case_with(line, await stored(line, PNG, 'été "1".png', "image/jpeg"))
    (file,) = (await shown(jo, case))["attachments"]
    assert file == {
        "name": "été \"1\".png", "content_type": "image/jpeg", "size": len(PNG),
        "state": "stored", "reason": None, "url": f"/v1/attachments/{sent.id}/1", "sha256": "",
        "content_id": "", "inline": False,
    }  # fmt: skip
    answer = await jo.get(file["url"])
    assert (answer.status_code, answer.content) == (200, PNG)
    wanted = {
        "content-type": "image/png",  # what it is, not what it was called
        "content-disposition": "attachment; filename*=UTF-8''%C3%A9t%C3%A9%20%221%22.png",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "etag": TAG,
        "accept-ranges": "bytes",
        "content-length": str(len(PNG)),
        "cache-control": "private, no-cache",
    }
    assert {name: answer.headers.get(name) for name in wanted} == wanted
    head = await jo.head(file["url"])
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(PNG))


@pytest.mark.parametrize(
    ("asked", "found", "span"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=100-", 206, (100, len(PNG))),
        ("bytes=-7", 206, (len(PNG) - 7, len(PNG))),
        (f"bytes=10-{len(PNG) * 9}", 206, (10, len(PNG))),
        (f"bytes=-{len(PNG) * 9}", 200, (0, len(PNG))),
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=9-3", 200, (0, len(PNG))),
        ("bytes=0-1,5-6", 200, (0, len(PNG))),
        ("lines=1-2", 200, (0, len(PNG))),
        ("bytes=-", 200, (0, len(PNG))),
        (f"bytes={len(PNG)}-", 416, None),
        ("bytes=-0", 416, None),
    ],
)
async def test_ranges(
    line: Line, agent: MakeClient, asked: str, found: int, span: tuple[int, int] | None
) -> None:
    jo = await agent("jo")
    _, sent = await case_with(line, await stored(line, PNG, "a.png", "image/png"))
    at = f"/v1/attachments/{sent.id}/1"
    answer = await jo.get(at, headers={"Range": asked})
    assert answer.status_code == found
    if span is None:
        assert answer.headers["content-range"] == f"bytes */{len(PNG)}"
        return
    assert answer.content == PNG[slice(*span)]
    if found == 206:
        said = f"bytes {span[0]}-{span[1] - 1}/{len(PNG)}"
        assert answer.headers["content-range"] == said
    same = await jo.get(at, headers={"Range": asked, "If-Range": TAG})
    assert same.status_code == found
    other = await jo.get(at, headers={"Range": asked, "If-Range": '"old"'})
    assert (other.status_code, other.content) == (200, PNG)


async def test_what_is_known_is_not_sent_again(line: Line, agent: MakeClient) -> None:
    jo = await agent("jo")
    _, sent = await case_with(line, await stored(line, PNG, "a.png", "image/png"))
    at = f"/v1/attachments/{sent.id}/1"
    for given in (TAG, f'"x", W/{TAG}', "*"):
        answer = await jo.get(at, headers={"If-None-Match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", TAG)
    assert (await jo.get(at, headers={"If-None-Match": '"x"'})).status_code == 200


async def test_a_large_file_comes_in_parts(line: Line, agent: MakeClient) -> None:
    jo, large = await agent("jo"), bytes(range(250)) * 20_000
    _, sent = await case_with(line, await stored(line, large, "film", "video/mp4"))
    assert (await jo.get(f"/v1/attachments/{sent.id}/1")).content == large


@pytest.mark.parametrize(
    ("content", "declared", "served"),
    [
        (b"<html><script>x()</script>", "image/png", "text/html"),
        (b"<svg onload='x()'>", "image/png", "image/svg+xml"),
        (b"MZ\x90\x00\x03\x00", "image/png", "application/vnd.microsoft.portable-executable"),
    ],
)
async def test_what_could_run_is_saved_and_never_shown(
    line: Line, agent: MakeClient, content: bytes, declared: str, served: str
) -> None:
    jo = await agent("jo")
    _, sent = await case_with(line, await stored(line, content, "a.png", declared))
    answer = await jo.get(f"/v1/attachments/{sent.id}/1")
    assert answer.headers["content-type"] == served
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_who_may(line: Line, agent: MakeClient) -> None:
    nobody, integrator = await agent(), await agent("shop", role="integrator")
    anybody = await agent("jo", teams=("claims",))
    case, sent = await case_with(line, await stored(line, PNG, "a.png", "image/png"))
    team = (await anybody.get(case)).json()["team"]
    own = await agent("ann", teams=(team,))
    at = f"/v1/attachments/{sent.id}/1"
    assert (await nobody.get(at)).status_code == 401
    assert (await integrator.get(at)).status_code == 403
    assert (await anybody.get(at)).status_code == 200, "any agent reads any case"
    policies = line.room.handlers.policies
    source = policies.current.text
    line_of = re.search(rf"^  {team}:.*", source, re.MULTILINE)
    assert line_of is not None
    words = line_of[0].replace("{", "{confidential: true, ", 1)
    policies.adopt(Policy.parse(source.replace(line_of[0], words), "p").with_version(2))
    for call in (anybody.get(at), anybody.post(f"{at}/link"), anybody.get(f"{at[:-1]}html")):
        assert (await call).status_code == 404
    assert (await own.get(at)).status_code == 200
    for wrong in ("0", "2", "99999"):
        assert (await own.get(f"/v1/attachments/{sent.id}/{wrong}")).status_code == 404
    assert (await own.get(f"/v1/attachments/{uuid4()}/1")).status_code == 404


# --- links ----------------------------------------------------------------------------------------


async def test_a_link_needs_no_key_and_ends(line: Line, agent: MakeClient) -> None:
    jo, nobody = await agent("jo"), await agent()
    _, sent = await case_with(line, await stored(line, PNG, "a.png", "image/png"))
    made = await jo.post(f"/v1/attachments/{sent.id}/1/link")
    assert made.status_code == 201
    assert made.json()["expires_at"] == after(hours=1).isoformat().replace("+00:00", "Z")
    url = made.json()["url"]
    assert url.startswith(f"{PUBLIC}/v1/files/")
    path = url.removeprefix(PUBLIC)
    answer = await nobody.get(path, headers={"Range": "bytes=1-3"})
    assert (answer.status_code, answer.content) == (206, b"PNG")
    assert (await nobody.head(path)).status_code == 200
    line.room.clock.at = after(minutes=61)
    over = await nobody.get(path)
    assert (over.status_code, over.json()["name"]) == (404, "link-over")


async def test_no_link_can_be_made_of_another(line: Line, agent: MakeClient) -> None:
    jo, nobody = await agent("jo"), await agent()
    one = await stored(line, PNG, "a.png", "image/png")
    two = await stored(line, b"secret", "b.txt", "text/plain")
    _, sent = await case_with(line, one, two)
    url = (await jo.post(f"/v1/attachments/{sent.id}/1/link")).json()["url"]
    token = url.rpartition("/")[2]
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for place in range(len(raw)):
        forged = bytearray(raw)
        forged[place] ^= 1
        written = base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
        assert (await nobody.get(f"/v1/files/{written}")).status_code == 404, place
    for wrong in ("", "x", "!" * 51, token[:-1], token + "A", "%00", "é" * 51):
        assert (await nobody.get(f"/v1/files/{wrong}")).status_code == 404


async def test_what_is_erased_is_gone_under_every_link(line: Line, agent: MakeClient) -> None:
    jo, nobody = await agent("jo"), await agent()
    case, sent = await case_with(line, await stored(line, PNG, "a.png", "image/png"))
    url = (await jo.post(f"/v1/attachments/{sent.id}/1/link")).json()["url"]
    async with transaction(line.runtime.engine) as connection:
        await wiping.wipe_cases(connection, [UUID(case.rpartition("/")[2])], after())
    answer = await nobody.get(url.removeprefix(PUBLIC))
    assert (answer.status_code, answer.json()["name"]) == (404, "no-such-file")


# --- long texts and HTML --------------------------------------------------------------------------


async def test_the_whole_of_a_long_text_and_the_clean_html(line: Line, agent: MakeClient) -> None:
    jo, nobody = await agent("jo"), await agent()
    html = (
        "<style>p{}</style><p onclick='x()'>Hello <img src='cid:logo@a'><img src='cid:none'>"
        "<img src='https://spy.example/p.gif'><a href='javascript:x()'>a</a>"
        "<a href='https://ok.example/'>b</a><script>alert(1)</script><iframe src='x'></iframe>"
        "<form action='x'><input></form></p>"
    )
    logo = await stored(line, PNG, "logo.png", "image/png", content_id="logo@a", inline=True)
    case, _ = await case_with(
        line, logo, text_blob=await put(line, b"all of it"),
        html_blob=await put(line, html.encode()),
    )  # fmt: skip
    data = await shown(jo, case)
    assert "text_blob" not in data
    whole = await jo.get(data["text_url"])
    assert (whole.text, whole.headers["content-type"]) == (
        "all of it", "text/plain; charset=utf-8",
    )  # fmt: skip
    page = await jo.get(data["html_url"])
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy
    for wrong in (
        "script",
        "onclick",
        "spy.example",
        "javascript",
        "iframe",
        "form",
        "cid:",
        "style",
    ):
        assert wrong not in page.text, wrong
    assert 'href="https://ok.example/"' in page.text
    source = page.text.partition('<img src="')[2].partition('"')[0]
    assert (await nobody.get(source)).content == PNG
    assert (await nobody.get(data["html_url"])).status_code == 401


# --- a lost one -----------------------------------------------------------------------------------


async def test_a_lost_file_is_asked_for_again(line: Line, agent: MakeClient) -> None:
    jo, sam = await agent("jo"), await agent("sam", teams=("claims",))
    line.endpoint.script("/photo", *[status(410)] * 6)
    line.endpoint.always("/photo", status(200, PNG))
    away = Attachment(name="a.png", content_type="image/png", url=line.endpoint.url + "/photo")
    case, sent = await case_with(line, away)
    at = f"/v1/attachments/{sent.id}/1/fetch"
    assert (await shown(jo, case))["attachments"][0]["state"] == "waiting"
    assert (await jo.post(at)).status_code == 409
    async with line.fetching():
        for tries in range(1, 6):
            line.room.clock.at = (await line.tried(tries)).next_at
        await line.settled("lost")
        (file,) = (await shown(jo, case))["attachments"]
        assert (file["state"], file["url"]) == ("lost", None)
        assert file["reason"].startswith("gone: ")
        assert (await jo.get(f"/v1/attachments/{sent.id}/1")).json()["name"] == "no-such-file"
        assert (await sam.post(at)).status_code == 403
        asked = await jo.post(at)
        assert (asked.status_code, asked.json()) == (202, {"state": "waiting"})
        assert (await shown(jo, case))["attachments"][0]["state"] == "waiting"
        (request,) = await line.news()
        assert isinstance(request, AttachmentRequested)
        assert request.by == "jo"
        await line.settled("fetched")
    assert (await jo.get(f"/v1/attachments/{sent.id}/1")).content == PNG


# --- with a reply ---------------------------------------------------------------------------------


async def requested(line: Line) -> list[Any]:
    """The replies in the outbox."""
    rows = await line.room.rows(
        "SELECT value FROM outbox WHERE topic = 'cases.changed' ORDER BY id"
    )
    changes = [msgspec.json.decode(row.value, type=CaseChanged) for row in rows]
    return [c.event for c in changes if type(c.event).__name__ == "ReplyRequested"]


def posted(content: bytes, name: str = "a.png", declared: str = "image/png") -> dict[str, Any]:
    written = base64.b64encode(content).decode()
    return {"name": name, "content_type": declared, "content": written}


async def claimed(client: Client, case: str) -> None:
    assert (await client.post(f"{case}/claim")).status_code == 200


async def test_a_reply_carries_files(line: Line, agent: MakeClient) -> None:
    """One in the reply, one handed in before; they are stored, sent on, listed and read again."""
    jo = await agent("jo")
    case, _ = await case_with(line, account="desk-sms", channel="sms")
    await claimed(jo, case)
    up = await jo.post(
        f"{case}/attachments", params={"name": "../label.pdf"}, content=b"%PDF-1.7 label",
        headers={"Content-Type": "image/png"},
    )  # fmt: skip
    assert up.status_code == 201, up.text
    assert (up.json()["name"], up.json()["content_type"]) == ("label.pdf", "application/pdf")
    body = {"text": "Here", "attachments": [posted(PNG), {"id": up.json()["id"]}]}
    answer = await jo.post(f"{case}/replies", json=body)
    assert answer.status_code == 202, answer.text
    (reply,) = await requested(line)
    assert [file.name for file in reply.attachments] == ["a.png", "label.pdf"]
    contents = [await line.runtime.blobs.get(f.blob.ref) for f in reply.attachments if f.blob]
    assert contents == [PNG, b"%PDF-1.7 label"]
    assert (await jo.get(f"/v1/attachments/{answer.json()['id']}/2")).content == contents[1]


async def test_files_alone_are_a_reply(line: Line, agent: MakeClient) -> None:
    jo = await agent("jo")
    case, _ = await case_with(line, account="desk-sms", channel="sms")
    await claimed(jo, case)
    answer = await jo.post(f"{case}/replies", json={"attachments": [posted(PNG)]})
    assert answer.status_code == 202, answer.text


async def test_files_that_cannot_be_sent_are_refused_at_once(line: Line, agent: MakeClient) -> None:
    jo, sam = await agent("jo"), await agent("sam", teams=("claims",))
    case, _ = await case_with(line)
    await claimed(jo, case)

    async def refused(*files: dict[str, Any], **more: Any) -> tuple[int, str, str]:
        answer = await jo.post(
            f"{case}/replies", json={"text": "Here", "attachments": list(files), **more}
        )
        return answer.status_code, answer.json()["name"], answer.json().get("detail", "")

    code, name, why = await refused(posted(PNG), posted(PNG + b"2"))
    assert (code, name) == (422, "files-refused")
    assert "1 file(s) a message" in why
    assert "application/pdf" in why
    assert (await refused(posted(b"<html>", declared="image/png")))[1] == "files-refused"
    assert (await refused(posted(b"")))[0] == 422
    assert (await refused({"name": "x", "content": "?"}))[:2] == (422, "invalid")
    assert (await refused({"id": str(uuid4())}))[1] == "unknown-upload"
    assert (await refused(posted(PNG), outcome="reached"))[0] == 422
    assert (await refused(*[posted(b"x")] * 21))[0] == 422
    assert (await refused(*[posted(b"x" * 9_000_000)] * 3))[0] == 413
    foreign = await sam.post(f"{case}/replies", json={"text": "x", "attachments": [posted(PNG)]})
    assert foreign.status_code == 403
    assert (await sam.post(f"{case}/attachments", content=PNG)).status_code == 403
    assert (await jo.post(f"{case}/attachments", content=b"")).status_code == 422
    assert await requested(line) == []


async def test_a_channel_without_files_and_one_that_fetches_them(
    line: Line, agent: MakeClient
) -> None:
    jo = await agent("jo")
    private = line.runtime.settings.model_copy(update={"public_url": ""})
    line.room.handlers.runtime = replace(line.runtime, settings=private)
    case, _ = await case_with(line)
    await claimed(jo, case)
    body = {"text": "Here", "attachments": [posted(PNG)]}
    answer = await jo.post(f"{case}/replies", json=body)
    assert (answer.status_code, answer.json()["name"]) == (422, "files-refused")
    assert "REGIE_PUBLIC_URL" in answer.json()["detail"]


async def test_an_upload_is_for_its_case_and_for_a_day(line: Line, agent: MakeClient) -> None:
    jo = await agent("jo")
    one, _ = await case_with(line, account="desk-sms", channel="sms")
    await line.hear(mail("Another matter"))
    (other,) = await line.room.rows("SELECT id FROM cases WHERE channel = 'email'")
    await claimed(jo, one)
    up = (await jo.post(f"{one}/attachments", content=PNG)).json()
    body = {"text": "Here", "attachments": [{"id": up["id"]}]}
    wrong = await jo.post(f"/v1/cases/{other.id}/replies", json=body, headers={"If-Match": '"1"'})
    assert wrong.json()["name"] == "unknown-upload"
    line.room.clock.at = after(hours=26)
    assert (await jo.post(f"{one}/replies", json=body)).json()["name"] == "unknown-upload"
    await Retention(line.room.handlers).work()
    assert await line.room.rows("SELECT * FROM uploads") == []
    assert files_of(line.runtime.blobs.root) == {}


async def test_nothing_of_a_reply_s_files_is_left_of_an_erased_case(
    line: Line, agent: MakeClient
) -> None:
    jo = await agent("jo")
    case, _ = await case_with(line, account="desk-sms", channel="sms")
    await claimed(jo, case)
    await jo.post(f"{case}/attachments", params={"name": "zebra.png"}, content=PNG + b"z")
    await jo.post(f"{case}/replies", json={"text": "Here", "attachments": [posted(PNG)]})
    assert len(files_of(line.runtime.blobs.root)) == 2
    async with transaction(line.runtime.engine) as connection:
        await wiping.wipe_cases(connection, [UUID(case.rpartition("/")[2])], after())
    await Retention(line.room.handlers).work()
    assert files_of(line.runtime.blobs.root) == {}
    assert await line.room.rows("SELECT * FROM uploads") == []


def delivery(case: str, reply: Any) -> Delivery:
    return Delivery(
        id=uuid4(), case_id=UUID(case.rpartition("/")[2]), effect="reply", target="account:x",
        payload=msgspec.to_builtins(reply), version=1, at=after(), attempts=1, attempts_before=0,
        expires_at=after(hours=4),
    )  # fmt: skip


async def test_a_provider_that_fetches_gets_a_link(line: Line, agent: MakeClient) -> None:
    """Twilio is told where to fetch the file; the link opens without a key."""
    jo, nobody = await agent("jo"), await agent()
    case, _ = await case_with(line)
    await claimed(jo, case)
    answer = await jo.post(f"{case}/replies", json={"text": "Here", "attachments": [posted(PNG)]})
    assert answer.status_code == 202, answer.text
    (reply,) = await requested(line)
    twilio = FakeTwilio(account_sid=SID, auth_token="new-token")
    async with Client(transport=httpx.ASGITransport(twilio.app)) as http:
        await Replies(line.runtime, http).send(delivery(case, reply))
    (sent,) = twilio.accepted
    assert sent["Body"] == "Here"
    (url,) = sent["MediaUrl"]
    assert url.startswith(f"{PUBLIC}/v1/files/")
    picture = await nobody.get(url.removeprefix(PUBLIC))
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")


async def test_a_mail_carries_the_bytes(line: Line, agent: MakeClient) -> None:
    jo = await agent("jo")
    async with FakeSmtp() as server:
        outbound = {"outbound": server.settings()}
        found = line.runtime.accounts.get("support-mail")
        assert found is not None
        accounts = Accounts(
            {a.name: replace(a, settings={**a.settings, **outbound}) if a is found else a
             for a in line.runtime.accounts}
        )  # fmt: skip
        line.runtime = replace(line.runtime, accounts=accounts)
        line.room.handlers.runtime = line.runtime
        line.room.handlers.__post_init__()
        await line.hear(mail("Where is my label?"))
        (row,) = await line.room.rows("SELECT id FROM cases WHERE channel = 'email'")
        case = f"/v1/cases/{row.id}"
        await claimed(jo, case)
        body = {"text": "Here", "attachments": [posted(PNG, "été.png")]}
        answer = await jo.post(f"{case}/replies", json=body)
        assert answer.status_code == 202, answer.text
        (reply,) = await requested(line)
        async with Client() as http:
            await Replies(line.runtime, http).send(delivery(case, reply))
    (taken,) = server.accepted
    (file,) = email.message_from_bytes(taken.content, policy=policy.default).iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("été.png", "image/png")
    assert file.get_content() == PNG


async def test_a_file_that_is_no_longer_kept_stops_its_reply(line: Line, agent: MakeClient) -> None:
    jo = await agent("jo")
    case, _ = await case_with(line)
    await claimed(jo, case)
    await jo.post(f"{case}/replies", json={"text": "Here", "attachments": [posted(PNG)]})
    (reply,) = await requested(line)
    await line.runtime.blobs.remove(reply.attachments[0].blob.ref, 4e9)
    async with Client() as http:
        with pytest.raises(SendError) as caught:
            await Replies(line.runtime, http).send(delivery(case, reply))
    assert (caught.value.code, caught.value.again) == ("no_file", False)


# --- the whole line -------------------------------------------------------------------------------


async def test_from_the_webhook_to_the_picture(database_url: str, tmp_path: Path) -> None:
    """Twilio posts a photo's address; the agent's page shows the photo."""
    async with Endpoint() as endpoint:
        endpoint.always("/media/ME1", status(200, PNG))
        runtime = make_runtime(database_url, tmp_path)
        settings = runtime.settings.model_copy(update={"policy_file": str(EXAMPLE)})
        runtime = replace(runtime, accounts=accounts_at(endpoint.url), settings=settings)
        async with open_door(runtime, [ingest(runtime), router_service(runtime)]) as door:
            form = {
                "MessageSid": "SM" + "1" * 32, "From": "whatsapp:+31612345678",
                "To": "whatsapp:+31880000002", "Body": "See", "NumMedia": "1",
                "MediaUrl0": f"{endpoint.url}/media/ME1", "MediaContentType0": "image/jpeg",
            }  # fmt: skip
            address = f"{PUBLIC}/webhooks/desk-whatsapp"
            signed = address + "".join(name + value for name, value in sorted(form.items()))
            mac = hmac.digest(b"new-token", signed.encode(), "sha1")
            answer = await door.http.post(
                "/webhooks/desk-whatsapp",
                content=urlencode(form),
                headers={
                    "Content-Type": "application/x-www-form-urlencoded",
                    "X-Twilio-Signature": base64.b64encode(mac).decode(),
                },
            )
            assert answer.status_code == 200, answer.text
            found: list[Any] = []

            async def there() -> bool:
                found[:] = await door.rows(
                    'SELECT id FROM messages WHERE data @> \'{"attachments": [{"blob": {}}]}\''
                )
                return bool(found)

            await until(there)
            at = f"/v1/attachments/{found[0].id}/1"
            made = await door.http.post(f"{at}/link", headers=dict(door.headers))
            picture = await door.http.get(made.json()["url"])
            assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
