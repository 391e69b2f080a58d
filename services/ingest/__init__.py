"""Consumes nothing: the outside world comes in by HTTP, SMTP and IMAP.

Produces messages.received (and its dead letters), deliveries.reported.
Owns no table.
"""

from __future__ import annotations

from services.ingest.service import service

__all__ = ["service"]
