"""Files by WhatsApp, in and out, and what Meta tells of a number."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.channels import File, Outgoing
from shared.channels.whatsapp import META, MetaOutbound
from shared.channels.whatsapp.fetching import MetaMedia
from shared.errors import FetchError, SendError
from shared.events import Attachment, Identity
from tests.contracts.channels.behaviour import load, named
from tests.fakes.meta import FakeMeta

ID = UUID("0198c1de-0000-7000-8000-000000000001")
ACCOUNTS = load(
    """
    accounts:
      desk-whatsapp:
        channel: whatsapp
        provider: meta
        phone_number_id: "106540352242922"
        business_account_id: "102290129340398"
        app_secret: secret-of-the-app
        verify_token: our-verify-token
        access_token: EAAB-access
        api_base: http://meta.test
        templates: {invoice: {name: invoice_1, language: nl}}
      silent-whatsapp:
        channel: whatsapp
        provider: meta
        phone_number_id: "1"
        app_secret: secret-of-the-app
        verify_token: our-verify-token
    """
)
DESK = named(ACCOUNTS, "desk-whatsapp")
PDF = File("invoice.pdf", "application/pdf", b"%PDF-1.7")
PHOTO = File("photo.jpg", "image/jpeg", b"\xff\xd8photo")
VOICE = File("answer.ogg", "audio/ogg", b"OggS")
CSV = File("list.csv", "text/csv", b"a;b", url="https://regie.example.org/files/1?s=2")


def outgoing(text: str, files: Sequence[File], **more: Any) -> Outgoing:
    return Outgoing(
        id=ID, case_id=ID, recipient=Identity(scheme="e164", value="+31612340001"),
        text=text, files=files, **more,
    )  # fmt: skip


async def send(fake: FakeMeta, message: Outgoing) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        return (await MetaOutbound().send(message, DESK, http)).provider_id


async def refused(fake: FakeMeta, message: Outgoing) -> SendError:
    with pytest.raises(SendError) as raised:
        await send(fake, message)
    return raised.value


# --- out -------------------------------------------------------------------------------------


async def test_a_text_that_fits_goes_under_its_file() -> None:
    fake = FakeMeta()
    await send(fake, outgoing("Your invoice", [PDF], references=["wamid.THEIRS"]))
    ((id, (type, content)),) = fake.uploads.items()
    assert (type, content) == ("application/pdf", PDF.content)
    (body,) = fake.accepted
    assert body["document"] == {"id": id, "filename": "invoice.pdf", "caption": "Your invoice"}
    assert body["biz_opaque_callback_data"] == str(ID)
    assert body["context"] == {"message_id": "wamid.THEIRS"}


@pytest.mark.parametrize(
    ("text", "files", "types"),
    [
        ("Listen:", [VOICE], ["text", "audio"]),
        ("x" * 1025, [PHOTO], ["text", "image"]),
        ("Both:", [PHOTO, PDF], ["text", "image", "document"]),
        ("", [PHOTO, PDF], ["image", "document"]),
    ],
)
async def test_what_does_not_fit_goes_one_after_the_other(
    text: str, files: list[File], types: list[str]
) -> None:
    fake = FakeMeta()
    assert await send(fake, outgoing(text, files)) == f"wamid.FAKE{len(types):06d}"
    assert [body["type"] for body in fake.accepted] == types
    marks = [body["biz_opaque_callback_data"] for body in fake.accepted]
    assert marks == [*(f"{ID}/{n}" for n in range(1, len(types))), str(ID)]


async def test_a_file_of_another_type_is_fetched_from_us() -> None:
    fake = FakeMeta()
    await send(fake, outgoing("The list", [CSV]))
    assert fake.uploads == {}
    assert fake.accepted[0]["document"]["link"] == CSV.url


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (outgoing("", [File("a.csv", "text/csv", b"a")]), "set REGIE_PUBLIC_URL"),
        (outgoing("", [File("a.jpg", "image/jpeg", b"\0" * 5_300_000)]), "takes 5 MB of image"),
        (outgoing("", [File("a.mp4", "video/mp4", b"\0" * 16_800_000)]), "takes 16 MB of video"),
        (outgoing("", [PDF, PHOTO], template="invoice"), "one file, in its header"),
    ],
    ids=["type", "picture", "film", "template"],
)
async def test_what_whatsapp_does_not_take_never_leaves(message: Outgoing, reason: str) -> None:
    fake = FakeMeta()
    error = await refused(fake, message)
    assert (error.code, error.again, error.doubtful) == ("rejected", False, False)
    assert reason in error.reason
    assert fake.requests == []


async def test_an_upload_that_failed_may_be_tried_again() -> None:
    fake = FakeMeta()
    fake.answer_error(131016, status=503)
    error = await refused(fake, outgoing("Here", [PDF]))
    assert (error.code, error.again, error.doubtful) == ("temporary", True, False)
    fake.answer_with(200, b"{}", "application/json")
    assert (await refused(fake, outgoing("Here", [PDF]))).again
    assert fake.accepted == []


async def test_a_reply_that_broke_off_is_doubtful() -> None:
    fake, posted = FakeMeta(), 0

    async def app(scope: Any, receive: Any, transmit: Any) -> None:
        nonlocal posted
        if scope["path"].endswith("/messages"):
            posted += 1
            if posted == 2:
                fake.answer_error(131056)
        await fake.app(scope, receive, transmit)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        with pytest.raises(SendError) as raised:
            await MetaOutbound().send(outgoing("Both:", [PHOTO, PDF]), DESK, http)
    assert (raised.value.code, raised.value.again, raised.value.doubtful) == (
        "partly_sent", False, True,
    )  # fmt: skip


async def test_a_template_with_all_its_parts() -> None:
    fake = FakeMeta()
    given = {"parameters": ["Noor", "€ 20"], "buttons": ["3SABC"]}
    await send(fake, outgoing("", [PDF], template="invoice", attributes=given))
    header, body, button = fake.accepted[0]["template"]["components"]
    assert header["parameters"][0]["document"]["filename"] == "invoice.pdf"
    assert [each["text"] for each in body["parameters"]] == ["Noor", "€ 20"]
    assert (button["sub_type"], button["index"]) == ("url", "0")
    assert button["parameters"] == [{"type": "text", "text": "3SABC"}]
    await send(fake, outgoing("", [], template="invoice", attributes={"header": "March"}))
    (header,) = fake.accepted[1]["template"]["components"]
    assert header == {"type": "header", "parameters": [{"type": "text", "text": "March"}]}


# --- in --------------------------------------------------------------------------------------


def received(content: bytes = PHOTO.content, **given: str) -> Attachment:
    shown: dict[str, Any] = {
        "media_id": "700",
        "sha256": hashlib.sha256(content).hexdigest(),
        **given,
    }
    return Attachment(name="image.jpg", content_type="image/jpeg", **shown)


async def fetch(fake: FakeMeta, file: Attachment, account: Any = DESK, most: int = 1000) -> bytes:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        return await MetaMedia().fetch(file, account, http, most)


def holding(content: bytes = PHOTO.content) -> FakeMeta:
    return FakeMeta(files={"700": ("image/jpeg", content)})


async def test_a_file_is_fetched_in_two_steps_and_checked() -> None:
    assert await fetch(holding(), received()) == PHOTO.content
    assert await fetch(holding(), received(sha256="")) == PHOTO.content


async def test_an_address_that_came_along_is_enough() -> None:
    file = received(media_id="", url="http://meta.test/bytes/700")
    assert await fetch(holding(), file) == PHOTO.content


@pytest.mark.parametrize("digest", ["0" * 64, "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="])
async def test_other_bytes_than_promised_are_refused(digest: str) -> None:
    fake = holding()
    fake.digests["700"] = digest
    with pytest.raises(FetchError) as raised:
        await fetch(fake, received(sha256=""))
    assert (raised.value.code, raised.value.again) == ("changed", True)


async def test_a_file_that_is_too_large_is_not_even_asked_for() -> None:
    with pytest.raises(FetchError) as raised:
        await fetch(holding(), received(), most=3)
    assert raised.value.code == "too_large"


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.net/x",
        "https://evil-fbsbx.com/x",
        "https://fbsbx.com.example.net/x",
        "http://lookaside.fbsbx.com/x",
        "http://meta.test:81/x",
        "https://lookaside.fbsbx.com@example.net/x",
        "https://[x",
        "",
    ],
)
async def test_the_token_goes_to_meta_only(url: str) -> None:
    asked: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.path.endswith("/700"):
            return httpx.Response(200, json={"url": url})
        return httpx.Response(200, content=PHOTO.content)

    async with httpx.AsyncClient(transport=httpx.MockTransport(note)) as http:
        with pytest.raises(FetchError) as raised:
            await MetaMedia().fetch(received(), DESK, http, 1000)
    assert raised.value.code == "refused"
    assert asked == ["meta.test"]


@pytest.mark.parametrize("host", ["lookaside.fbsbx.com", "mmg.whatsapp.net", "scontent.fbcdn.net"])
async def test_metas_own_hosts_get_it(host: str) -> None:
    seen: dict[str, str] = {}

    def note(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/700"):
            return httpx.Response(200, json={"url": f"https://{host}/x?oh=1"})
        seen[request.url.host] = request.headers["authorization"]
        return httpx.Response(200, content=PHOTO.content)

    async with httpx.AsyncClient(transport=httpx.MockTransport(note)) as http:
        assert await MetaMedia().fetch(received(), DESK, http, 1000) == PHOTO.content
    assert seen == {host: "Bearer EAAB-access"}


async def test_what_meta_does_not_have_and_whom_it_does_not_know() -> None:
    with pytest.raises(FetchError) as raised:
        await fetch(FakeMeta(), received())
    assert (raised.value.code, raised.value.again) == ("gone", False)
    with pytest.raises(FetchError) as raised:
        await fetch(holding(), received(), named(ACCOUNTS, "silent-whatsapp"))
    assert raised.value.code == "token"


# --- health and limits -------------------------------------------------------------------------


async def findings(fake: FakeMeta) -> dict[str, tuple[bool, str]]:
    assert META.health is not None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        found = await META.health.examine(DESK, http)
    return {each.what: (each.ok, each.advice) for each in found}


async def test_a_healthy_number() -> None:
    fake = FakeMeta()
    fake.number = {"status": "CONNECTED", "quality_rating": "GREEN",
                   "code_verification_status": "VERIFIED"}  # fmt: skip
    assert all(ok for ok, _ in (await findings(fake)).values())
    assert fake.accepted == []


@pytest.mark.parametrize(
    ("number", "subscribed", "what", "advice"),
    [
        ({"status": "BANNED"}, True, "may send", "status is BANNED"),
        ({"quality_rating": "RED"}, True, "quality", "RED"),
        ({"code_verification_status": "NOT_VERIFIED"}, True, "verified", "not verified"),
        ({}, False, "subscribed to webhooks", "no app is subscribed"),
    ],
)
async def test_what_is_wrong_with_a_number(
    number: dict[str, str], subscribed: bool, what: str, advice: str
) -> None:
    found = await findings(FakeMeta(number=number, subscribed=subscribed))
    assert not found[what][0]
    assert advice in found[what][1]
    assert sum(not ok for ok, _ in found.values()) == 1


async def test_a_token_that_is_none() -> None:
    found = await findings(FakeMeta(token="another"))
    assert not found["known to Meta"][0]
    assert "may send" not in found


def test_as_fast_as_meta_allows() -> None:
    assert META.per_account is not None
    assert META.per_recipient is not None
    assert (META.per_account.count, META.per_account.seconds) == (80, 1)
    assert (META.per_recipient.seconds, META.per_recipient.burst) == (6, 45)
