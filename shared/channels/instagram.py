"""Instagram's direct messages to a professional account.

In: `providers/meta_direct.py`. Out: `providers/meta_direct_send.py`. Both are Messenger's too.
"""

from __future__ import annotations

from typing import Final

from shared.channels import FileLimits, Provider, Rate
from shared.channels.providers.meta_direct import DirectInbound
from shared.channels.providers.meta_direct_send import DirectOutbound, Limits
from shared.channels.providers.meta_health import PageHealth

_MB: Final = 1024 * 1024
_TYPES: Final = (
    "image/png", "image/jpeg", "image/gif", "video/mp4", "video/ogg", "video/x-msvideo",
    "video/quicktime", "video/webm", "audio/aac", "audio/mp4", "audio/x-m4a", "audio/wav",
    "audio/x-wav", "application/pdf",
)  # fmt: skip
# Source: Meta, "Instagram Messaging: send a message" and "Upload media" (July 2026): 1,000 bytes,
# 8 MB a picture, 25 MB anything else, and of files PDF alone.
_LIMITS: Final = Limits(
    text=1000,
    unit="bytes",
    largest={"image": 8 * _MB, "video": 25 * _MB, "audio": 25 * _MB, "file": 25 * _MB},
    types=_TYPES,
)
FILES: Final = FileLimits(most=10, size=25 * _MB, types=_TYPES)

META: Final = Provider(
    inbound=DirectInbound(),
    outbound=DirectOutbound(_LIMITS),
    files=FILES,
    health=PageHealth("account_id"),
    # "Messenger Platform rate limits", March 2026: 300 texts a second for an account.
    per_account=Rate(300),
)
