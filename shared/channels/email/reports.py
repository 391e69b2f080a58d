"""What delivery reports, read receipts and complaints become: attributes, and statuses."""

from __future__ import annotations

from typing import Any, Literal

from shared.channels.email.automatic import Nature
from shared.channels.email.bounces import Report
from shared.channels.email.receipts import Receipt
from shared.events import DeliveryStatusReceived, MessageReceived
from shared.ids import event_id


def told(nature: Nature) -> dict[str, Any]:
    """What a report, receipt or complaint says; only what is there."""
    report, receipt, complaint = nature.report, nature.receipt, nature.complaint
    found: dict[str, dict[str, Any]] = {}
    if report is not None:
        found["report"] = _report(report)
    if receipt is not None:
        found["receipt"] = {
            "disposition": receipt.disposition,
            "recipient": receipt.recipient,
            "original": receipt.original,
        }
    if complaint is not None:
        found["complaint"] = {
            "type": complaint.type,
            "recipient": complaint.recipient,
            "original": complaint.original,
        }
    return {
        name: {key: value for key, value in said.items() if value} for name, said in found.items()
    }


def _report(report: Report) -> dict[str, Any]:
    unmoved = report.action in ("delivered", "relayed", "expanded")
    return {
        "action": report.action,
        "recipient": next(iter(report.recipients), ""),
        "recipients": list(report.recipients) if len(report.recipients) > 1 else [],
        "original": report.original,
        "code": report.code,
        "reason": report.reason,
        "cause": "" if unmoved else report.diagnosis.cause,
        "class": "" if unmoved else report.diagnosis.weight,
    }


def statuses_of(message: MessageReceived, nature: Nature) -> tuple[DeliveryStatusReceived, ...]:
    """What it tells of a mail that we sent, where that is settled: a delay is not a failure."""
    report, receipt = nature.report, nature.receipt
    if report is not None and report.ours and report.action in ("failed", "delivered"):
        if report.action == "failed":
            return (_status(message, report, "failed", report.code, report.in_words),)
        return (_status(message, report, "delivered"),)
    if receipt is not None and receipt.ours and receipt.read:
        return (_status(message, receipt, "read"),)
    return ()


def _status(
    message: MessageReceived,
    about: Report | Receipt,
    status: Literal["failed", "delivered", "read"],
    code: str = "",
    reason: str = "",
) -> DeliveryStatusReceived:
    return DeliveryStatusReceived(
        id=event_id(message.account, message.provider_event_id, "delivery_status", status),
        account=message.account,
        provider_id=about.original,
        status=status,
        at=message.received_at,
        correlation=about.ours,
        code=code,
        reason=reason,
    )
