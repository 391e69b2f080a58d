"""Consumes messages.received, for the files it names; the outside world comes in at its doors.

Produces messages.received (and its dead letters), deliveries.reported.
Owns media: which files are still with their provider; chat_sessions, chat_lines (with the notifier,
who writes our side of them: `shared.chat`).
"""

from __future__ import annotations

from services.ingest.service import service

__all__ = ["service"]
