"""Times and files as providers name them: read, or not guessed at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.channels.media import remote, type_of, word
from shared.channels.times import moment

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02T09:00:00Z", NINE),
        ("2026-03-02T10:00:00.123+01:00", NINE.replace(microsecond=123000)),
        ("2026-03-02T09:00:00.123456789+0000", NINE.replace(microsecond=123456)),
        ("2026-03-02 09:00:00 +0000", NINE),
        ("2026-03-02T09:00:00", None),
        ("2026-13-02T09:00:00Z", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("1790855970", None),
        ("", None),
    ],
)
def test_moments(text: str, expected: datetime | None) -> None:
    assert moment(text) == expected


def test_a_zone_reads_what_has_no_offset_and_nothing_else() -> None:
    there = timezone(timedelta(hours=1))
    assert moment("2026-03-02 10:00:00", there) == NINE
    assert moment("2026-03-02 09:00:00Z", there) == NINE


@given(st.text(max_size=40))
def test_whatever_it_is_it_is_a_moment_or_none(text: str) -> None:
    read = moment(text, UTC)
    assert read is None or read.tzinfo is UTC


# --- files that stay with the provider -------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind", "name", "expected"),
    [
        ("https://x.test/a", "image/jpeg", "", "image.jpg"),
        ("https://x.test/a", "IMAGE/PNG; x=1", "", "image.png"),
        ("https://x.test/a", "text/vcard", "", "file.vcf"),
        ("https://x.test/folder/bill.xyz", "application/x-thing", "", "bill.xyz"),
        ("https://x.test/..%2f..%2fetc%2fpasswd", "", "", "passwd"),
        ("https://x.test/", "", "", "file"),
        ("https://x.test/a", "image/jpeg", "../../photo.jpg", "photo.jpg"),
    ],
)
def test_the_name_of_a_file(url: str, kind: str, name: str, expected: str) -> None:
    file = remote(url, kind, name=name)
    assert file is not None
    assert file.name == expected


@pytest.mark.parametrize(
    "url", ["", "javascript:alert(1)", "file:///etc/passwd", "https://[", "//x", "x" * 3000]
)
def test_what_is_no_web_address_is_no_file(url: str) -> None:
    assert remote(url, "image/jpeg") is None


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_address_breaks_it(url: str, kind: str) -> None:
    file = remote(url, kind)
    assert file is None or file.url == url
    assert isinstance(type_of(url), str)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("image/png", "image"), ("text/vcard", "contact"), ("application/pdf", "file"), ("", "file")],
)
def test_what_a_file_is_called(kind: str, expected: str) -> None:
    file = remote("https://x.test/a", kind)
    assert file is not None
    assert word(file) == expected
