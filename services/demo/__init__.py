"""Consumes nothing: a made-up shop, its customers and its agents, who use the doors as all do.

Produces webhooks and API calls over HTTP, on loopback only.
Owns no table.
"""

from __future__ import annotations

from services.demo.files import demo_files
from services.demo.traffic import traffic

__all__ = ["demo_files", "traffic"]
