"""CloudEvents 1.0 in Kafka's binary mode: `ce_` headers around a JSON value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Final

import msgspec

from shared.broker import Headers, Message, Record
from shared.errors import Unreadable
from shared.events import Body, CaseChanged, Event, type_name

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Body)
REPLAYED: Final = "ce_replayedat"
_SPEC: Final = (("ce_specversion", b"1.0"), ("content-type", b"application/json"))


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded record: the event's id, its body, and where it stood.

    replayed_at  when an operator sent it again; None for what comes as it came
    """

    id: str
    body: Body
    record: Record
    replayed_at: datetime | None = None


def encode(
    topic: str,
    key: bytes,
    body: Body,
    *,
    id: str,
    source: str,
    partition: int | None = None,
    trace: str = "",
    replayed_at: datetime | None = None,
) -> Message:
    """The message for `body`. A case event's `ce_type` is the inner event's, e.g. `case.opened`."""
    named, at = (body.event, body.at) if isinstance(body, CaseChanged) else (body, None)
    headers: Headers = (
        ("ce_id", id.encode()),
        *_described(type(named), source),
        ("ce_time", _written(at or datetime.now(UTC))),
    )
    if trace:
        headers = (*headers, ("traceparent", trace.encode()))
    if replayed_at is not None:
        headers = (*headers, replayed(replayed_at))
    return Message(topic, key, _ENCODER.encode(body), headers, partition)


def replayed(at: datetime) -> tuple[str, bytes]:
    """The header of what comes a second time: it counts as having arrived now."""
    return REPLAYED, at.isoformat().encode()


@cache
def _described(kind: type[Event], source: str) -> Headers:
    return (
        ("ce_type", type_name(kind.__name__).encode()),
        ("ce_source", source.encode()),
        *_SPEC,
    )


@lru_cache(maxsize=64)
def _written(at: datetime) -> bytes:
    """A batch of case events shares its instant."""
    return at.isoformat().encode()


def decode(record: Record) -> Received:
    """Raises Unreadable, naming the field, when the value is not an event of ours."""
    headers = dict(record.headers)
    id, again = headers.get("ce_id"), headers.get(REPLAYED)
    if id is None:
        raise Unreadable("the record has no ce_id header: it was not written by Regie")
    try:
        at = datetime.fromisoformat(again.decode()) if again else None
        return Received(id.decode(), _DECODER.decode(record.value), record, at)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unreadable(f"the value is not an event of ours: {error}") from error
