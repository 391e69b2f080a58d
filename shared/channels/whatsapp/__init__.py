"""WhatsApp by Meta's Cloud API: what customers write comes in, replies and templates go out.

Sources: Meta, "WhatsApp Business Platform: webhooks, messages reference" and "Business-scoped user
IDs" (editions of spring 2026), "Send messages" and "Error codes" of Graph API v23.0.
"""

from __future__ import annotations

from shared.channels.whatsapp.inbound import MetaInbound
from shared.channels.whatsapp.send import MetaOutbound

__all__ = ["MetaInbound", "MetaOutbound"]
