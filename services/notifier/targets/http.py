"""The guarded HTTP client, which ingest uses too: `shared/guarded_http.py`."""

from __future__ import annotations

from shared.guarded_http import GuardedTransport, Resolve, guarded_client, resolve_by_system

__all__ = ["GuardedTransport", "Resolve", "guarded_client", "resolve_by_system"]
