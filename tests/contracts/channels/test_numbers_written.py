"""Numbers that strangers write: as long, or as odd, as nobody expects them."""

from __future__ import annotations

import pytest

from shared.channels.email.html import html_to_text
from shared.channels.phone import asterisk
from shared.channels.phone.cti_events import Post
from shared.channels.providers.twilio_messages import files
from shared.channels.x.items import Setting, direct_message
from tests.contracts.channels.behaviour import RECEIVED_AT, load, named

ODD = ["9" * 5_000, "123456abc", "²", "١٢", "-1", "1e9", ""]
ACCOUNTS = load(
    """
    accounts:
      desk-cti: {channel: phone, provider: cti, number: "+31880000000", secret: a-long-secret}
      desk-x:
        channel: x
        provider: x
        user_id: "1"
        consumer_secret: a-long-secret
    """
)


@pytest.mark.parametrize("odd", ODD)
def test_a_list_begins_somewhere(odd: str) -> None:
    assert html_to_text(f"<ol start='{odd}'><li>one").endswith(". one")


@pytest.mark.parametrize("odd", ODD)
def test_a_recording_lasts_some_time(odd: str) -> None:
    recording = {"target_uri": "channel:1", "duration": odd, "name": "x"}
    body = {"type": "RecordingFinished", "recording": recording, "from": "+31612345678"}
    told, _ = asterisk.read(Post(body, named(ACCOUNTS, "desk-cti"), RECEIVED_AT))
    assert told.recorded == 0


@pytest.mark.parametrize("odd", ODD)
def test_a_message_has_some_files(odd: str) -> None:
    assert files({"NumMedia": odd}) == ((), 0)


@pytest.mark.parametrize("odd", ODD)
def test_a_film_has_a_best_version(odd: str) -> None:
    versions = [
        {"content_type": "video/mp4", "url": f"https://video.twimg.com/{name}.mp4", "bitrate": rate}
        for name, rate in (("odd", odd), ("good", 9))
    ]
    media = {"type": "video", "video_info": {"variants": versions}}
    event = {
        "id": "5",
        "created_timestamp": "1790848800000",
        "message_create": {
            "sender_id": "2",
            "message_data": {"text": "", "attachment": {"media": media}},
        },
    }
    message = direct_message(event, Setting(named(ACCOUNTS, "desk-x"), {}, {}, RECEIVED_AT))
    assert message is not None
    assert message.attachments[0].url.endswith("good.mp4")
