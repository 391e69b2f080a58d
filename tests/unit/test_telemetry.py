"""What a log line says, and what it must not."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from shared.telemetry import configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_exception_is_told_without_its_values(style: str) -> None:
    stream = io.StringIO()
    configure_logs(style, stream)
    secret = "ada@example.org"
    try:
        int(secret)
    except ValueError:
        structlog.get_logger("test").exception("it failed", case="7")
    said = stream.getvalue()
    assert "it failed" in said
    assert "ValueError" in said
    assert "test_telemetry.py" in said
    assert secret not in said
