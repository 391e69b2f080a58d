"""Consumes cases.changed.

Produces deliveries.reported.
Owns deliveries, attempts, targets, subscriptions, feed, replays, heartbeats (its stage of them).
"""

from __future__ import annotations

from services.notifier.service import service

__all__ = ["service"]
