"""WhatsApp by Meta's Cloud API: what customers write comes in, replies and templates go out.

Sources: Meta, "WhatsApp Business Platform: webhooks, messages reference" and "Business-scoped user
IDs" (editions of spring and summer 2026), "Send messages", "Media" and "Error codes" of Graph API
v23.0, "Throughput" and "Pair rate limits".
"""

from __future__ import annotations

from typing import Final

from shared.channels import Provider, Rate
from shared.channels.providers.meta_health import WhatsAppHealth
from shared.channels.whatsapp.fetching import MetaMedia
from shared.channels.whatsapp.files import LIMITS
from shared.channels.whatsapp.inbound import MetaInbound
from shared.channels.whatsapp.send import MetaOutbound

META: Final = Provider(
    MetaInbound(),
    MetaOutbound(),
    media=MetaMedia(),
    files=LIMITS,
    health=WhatsAppHealth(),
    per_account=Rate(80),
    per_recipient=Rate(1, 6.0, burst=45),
)

__all__ = ["META", "MetaInbound", "MetaOutbound"]
