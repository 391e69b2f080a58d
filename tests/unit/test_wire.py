"""JSON from outside: what is taken, what is cleaned, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.channels.wire import clean, load, need, text_at
from shared.errors import Unreadable


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a": "b"}', {"a": "b"}),
        (b'\xef\xbb\xbf{"a": "b"}', {"a": "b"}),
        (b'{"a\\u0000": "b\\u0000c"}', {"a": "bc"}),
        (b'{"a": "x\\ud83dy"}', {"a": "xy"}),
        (b'{"a": "\\ud83d\\udce6"}', {"a": "\U0001f4e6"}),
        (b'{"a": 1e999}', {"a": float("inf")}),
        (b"12345678901234567890123", 12345678901234567890123),
    ],
)
def test_taken(body: bytes, document: Any) -> None:
    assert load(body) == document


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"{} {}", b"'a'", b"9" * 5000, b"[" * 101 + b"]" * 101, b"[" * 100_000],
)
def test_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        load(body)


def test_deep_is_measured_not_wide() -> None:
    wide: list[list[list[str]]] = [[[]] for _ in range(1000)]
    assert load(json.dumps(wide).encode()) == wide


@given(st.recursive(st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_what_is_clean_can_be_written(value: Any) -> None:
    written = json.dumps(clean(value), ensure_ascii=False)
    assert "\\u0000" not in written.replace("\\\\", "")
    assert written.encode()


@pytest.mark.parametrize(
    ("holder", "text"),
    [({"a": " b "}, "b"), ({"a": 5}, "5"), ({"a": 5.5}, "5.5"), ({"a": None}, ""), ({}, ""),
     ({"a": True}, ""), ({"a": []}, ""), ([], ""), (None, ""), ("a", "")],
)  # fmt: skip
def test_a_text_wherever_it_may_be(holder: Any, text: str) -> None:
    assert text_at(holder, "a") == text


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Unreadable, match=r"text\.body is missing"):
        need({}, "body", "text.")
