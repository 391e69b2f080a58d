"""Bytes under the name of whose they are."""

from __future__ import annotations

from services.ingest.owning import Owning
from shared.blobs import blob_for, ref_for
from shared.events import Attachment, MessageReceived
from tests.builders import mail

LEAFLET, RAW, PAGE = b"a leaflet that many send", b"raw", b"<p>page</p>"
GIVEN = {ref_for(content): content for content in (LEAFLET, RAW, PAGE)}


def letter(address: str) -> MessageReceived:
    file = Attachment(name="a.pdf", content_type="application/pdf", blob=blob_for(LEAFLET))
    return mail(
        "x", address=address, attachments=(file,), raw_blob=blob_for(RAW), html_blob=blob_for(PAGE),
    )  # fmt: skip


def refs(message: MessageReceived) -> list[str]:
    blobs = [message.raw_blob, message.html_blob, *(file.blob for file in message.attachments)]
    return [blob.ref for blob in blobs if blob is not None]


def test_two_people_share_no_blob_and_a_repeat_finds_its_own() -> None:
    owning = Owning(GIVEN)
    ada, bob = owning.own(letter("ada@example.org")), owning.own(letter("bob@example.org"))
    assert not set(refs(ada)) & set(refs(bob))
    assert refs(Owning(GIVEN).own(letter("ada@example.org"))) == refs(ada)
    new = {blob.ref: blob.content for blob in owning.new}
    assert set(new) == {*refs(ada), *refs(bob)}, "and nothing under the old names"
    assert new[refs(ada)[2]] == LEAFLET
    assert ada.attachments[0].blob is not None
    assert ada.attachments[0].blob.sha256 == blob_for(LEAFLET).sha256
    assert ada.attachments[0].name == "a.pdf"


def test_what_no_message_names_stays_under_its_content() -> None:
    owning = Owning({**GIVEN, ref_for(b"parked"): b"parked"})
    owning.own(letter("ada@example.org"))
    assert ref_for(b"parked") in {blob.ref for blob in owning.new}


def test_a_reference_to_bytes_that_did_not_come_along_stays() -> None:
    sent = letter("ada@example.org")
    assert Owning({}).own(sent) is sent


def test_a_message_without_bytes_is_left_alone() -> None:
    sent = mail("only words")
    assert Owning(GIVEN).own(sent) is sent
