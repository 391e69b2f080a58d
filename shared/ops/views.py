"""What the operator's routes say of a dead letter, a position and an account."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

from shared.accounts import Account
from shared.channels.table import provider_of
from shared.ops.letters import Letter
from shared.positions import Listed
from shared.telemetry import METRICS, trouble_of


def letter(found: Letter) -> dict[str, Any]:
    """A line of the list: nothing of what it holds."""
    return {
        "id": found.id,
        "topic": found.topic,
        "account": found.account,
        "type": found.type,
        "reason": found.reason,
        "count": found.count,
        "first_at": found.first_at,
        "last_at": found.last_at,
        "state": found.state,
        "note": found.note,
    }


def letter_whole(found: Letter, raw: bytes | None) -> dict[str, Any]:
    """With its raw bytes, and the same as text where they are text."""
    headers = {name: value.decode(errors="replace") for name, value in found.headers}
    return letter(found) | {
        "headers": headers,
        "raw": None if raw is None else b64encode(raw).decode(),
        "raw_text": _as_text(raw),
        "size": None if raw is None else len(raw),
    }


def position(listed: Listed) -> dict[str, Any]:
    return {
        "group": listed.group,
        "topic": listed.tp.topic,
        "partition": listed.tp.partition,
        "next": listed.next,
        "epoch": listed.epoch,
        "owner": listed.owner,
        "last_at": listed.last_at,
        "moved_at": listed.moved_at,
        "stopped": listed.stopped,
    }


def account(found: Account) -> dict[str, Any]:
    """`last_event_at` is the latest since this process began; null until one came.

    `trouble` is what keeps this process from its work with the account: credentials, unreachable …
    """
    provider = provider_of(found)
    seen = METRICS.get_sample_value("regie_last_event_timestamp_seconds", {"account": found.name})
    return {
        "name": found.name,
        "channel": found.channel,
        "provider": found.provider,
        "webhook": f"/webhooks/{found.name}" if provider.inbound else None,
        "sends": provider.outbound is not None,
        "trouble": trouble_of(found.name),
        "last_event_at": datetime.fromtimestamp(seen, UTC) if seen else None,
    }


def _as_text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None
