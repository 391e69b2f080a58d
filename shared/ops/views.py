"""What the operator's routes say of a dead letter, a position and an account."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.hooks import address
from shared.channels.table import provider_of
from shared.ops.examining import Examined
from shared.ops.findings import Known, happened
from shared.ops.letters import Letter
from shared.positions import Listed
from shared.telemetry import METRICS


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
        "settled_by": found.settled_by,
        "settled_at": found.settled_at,
    }


def letter_whole(found: Letter, raw: bytes | None) -> dict[str, Any]:
    """With its raw bytes, and the same as text where they are text; a reply that holds a code
    without its words."""
    raw = None if raw is None else _without_codes(raw)
    headers = {name: value.decode(errors="replace") for name, value in found.headers}
    return letter(found) | {
        "headers": headers,
        "raw": None if raw is None else b64encode(raw).decode(),
        "raw_text": _as_text(raw),
        "size": None if raw is None else len(raw),
    }


def _without_codes(raw: bytes) -> bytes:
    """The same, but for the texts that are marked `secret`: whoever reads a code may redeem it."""
    if b'"secret"' not in raw:
        return raw
    try:
        found = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return raw
    return msgspec.json.encode(_blanked(found)) if _has_codes(found) else raw


def _has_codes(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("secret") is True or any(map(_has_codes, value.values()))
    return isinstance(value, list) and any(map(_has_codes, value))


def _blanked(value: Any) -> Any:
    if isinstance(value, list):
        return [_blanked(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _blanked(each) for name, each in value.items()}
    return kept | {"text": ""} if value.get("secret") is True and "text" in value else kept


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


def account(found: Account, known: Known) -> dict[str, Any]:
    """What is known without asking anybody.

    `last_in` and `last_out` are null until something came or went; `last_failure` is the last try
    to send that failed. `trouble` is what keeps the reader of its mailbox, in this process, from
    its work: credentials, unreachable … `webhook_address` is what to paste at the provider.
    """
    provider, done = provider_of(found), known.activity
    return {
        "name": found.name,
        "channel": found.channel,
        "provider": found.provider,
        "webhook": f"/webhooks/{found.name}" if provider.inbound else None,
        "webhook_address": address(found) if provider.inbound else None,
        "sends": provider.outbound is not None,
        "trouble": known.trouble or None,
        "parked": known.parked,
        "last_event_at": done.last_in,
        "last_in": done.last_in,
        "last_out": done.last_out,
        "last_failure": None
        if done.failed_at is None
        else {"at": done.failed_at, "code": done.code, "reason": found.hide(done.reason)},
    }


def examined(found: Account, known: Known, health: Examined) -> dict[str, Any]:
    """The same after its provider was asked. `ok` tells whether nothing is wrong."""
    told = [*health.findings, *happened(found, known, health.subscribed)]
    return {
        "ok": all(each.ok for each in told),
        "configured": health.configured,
        "reachable": health.reachable,
        "subscribed": health.subscribed,
        "findings": [finding(each) for each in told],
    }


def finding(told: Finding) -> dict[str, Any]:
    return {"what": told.what, "ok": told.ok, "advice": told.advice}


def heard_here(account: str) -> datetime | None:
    """When ingest last took something in, in this process."""
    seen = METRICS.get_sample_value("regie_last_event_timestamp_seconds", {"account": account})
    return datetime.fromtimestamp(seen, UTC) if seen else None


def _as_text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None
