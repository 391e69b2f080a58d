"""Logs and metrics, set up once a process.

A log line says what happened to which id. It carries no message body, no address and no query:
an exception is therefore logged as its type and its frames, and in its own words only where those
are ours (RegieError) or the system's (OSError).
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final, TextIO

import orjson
import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from structlog.types import EventDict, Processor, WrappedLogger

from shared.errors import RegieError, Unreadable

# One more series for each counter, that nobody looks at.
disable_created_metrics()  # type: ignore[no-untyped-call]
METRICS: Final = CollectorRegistry()

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUEST_SECONDS: Final = Histogram(
    "regie_http_request_duration_seconds",
    "Time to answer a request, by route.",
    ("method", "route", "status"),
    registry=METRICS,
    buckets=_SECONDS,
)
WEBHOOKS_REFUSED: Final = Counter(
    "regie_webhooks_refused_total",
    "Webhook requests refused, by account and reason.",
    ("account", "reason"),
    registry=METRICS,
)
ACCEPTED: Final = Counter(
    "regie_events_accepted_total",
    "Events made durable by ingest: message, status or parked.",
    ("account", "sort"),
    registry=METRICS,
)
LOOP_LAG: Final = Gauge(
    "regie_event_loop_lag_seconds",
    "How much later than asked for the event loop woke up, in the last second.",
    registry=METRICS,
)
LAST_EVENT: Final = Gauge(
    "regie_last_event_timestamp_seconds",
    "When the last event of an account came in, since this process began.",
    ("account",),
    registry=METRICS,
)
TROUBLE: Final = Gauge(
    "regie_account_trouble",
    "1 while an account cannot do its work, by reason: credentials, unreachable …",
    ("account", "reason"),
    registry=METRICS,
)
_troubles: dict[str, str] = {}

# The W3C traceparent of the request or record in hand; empty outside of one.
trace: ContextVar[str] = ContextVar("trace", default="")

# These speak at INFO of every call, some with addresses in it.
_QUIET: Final = (
    "httpx", "httpcore", "aiokafka", "sqlalchemy", "alembic", "asyncio", "imapclient",
)  # fmt: skip


def trouble(account: str, reason: str) -> None:
    """Notes what keeps an account from its work in this process; empty: nothing any more."""
    before = _troubles.pop(account, "")
    if before:
        TROUBLE.remove(account, before)
    if reason:
        _troubles[account] = reason
        TROUBLE.labels(account, reason).set(1)


def trouble_of(account: str) -> str | None:
    return _troubles.get(account)


def configure_logs(style: str = "", stream: TextIO = sys.stderr) -> None:
    """JSON lines, or words in colour: `style` is json, console, or empty to see who reads."""
    words = style == "console" or (not style and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_request,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _without_private,
        _without_values,
    ]
    render: Processor = structlog.dev.ConsoleRenderer() if words else _json_line
    if words:
        shared.append(_chain_in_lines)
    structlog.configure(
        processors=[*shared, render],
        logger_factory=structlog.WriteLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    _route_standard_library(shared, render, stream)


def _route_standard_library(shared: Sequence[Processor], render: Processor, stream: TextIO) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # At WARNING it quotes what a stranger sent, line by line.
    logging.getLogger("mail.log").setLevel(logging.ERROR)


def describe(error: BaseException) -> str:
    """One line on an error that repeats nobody's data."""
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None)
    name = type(error).__name__ + (f"[{state}]" if state else "")
    ours = isinstance(error, RegieError) and not isinstance(error, Unreadable)
    return f"{name}: {error}" if ours or isinstance(error, OSError) else name


def frames(error: BaseException) -> list[str]:
    """Where it came from, innermost last; file names without their folders' root."""
    return [
        f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]


def _with_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if current := trace.get():
        event["request_id"] = current[3:35]
    return event


def _without_private(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in [name for name in event if name.startswith("pii_")]:
        del event[name]
    return event


def _without_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    error = _exception(given)
    if error is not None:
        chain: list[dict[str, object]] = []
        while error is not None and len(chain) < 5:
            chain.append({"error": describe(error), "frames": frames(error)})
            error = error.__cause__ or error.__context__
        event["exception"] = chain
    return event


def _chain_in_lines(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """For people: the console wants its exceptions as text."""
    chain = event.pop("exception", None)
    if chain:
        lines = [f"{link['error']} at {' <- '.join(reversed(link['frames']))}" for link in chain]
        event["exception"] = "\n".join(lines)
    return event


def _exception(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given else None


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_UTC_Z).decode()
