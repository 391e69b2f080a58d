"""Messenger: what people write to a Facebook page, and what it answers.

In: `providers/meta_direct.py`. Out: `providers/meta_direct_send.py`. Both are Instagram's too.
"""

from __future__ import annotations

from typing import Final

from shared.channels import FileLimits, Provider, Rate
from shared.channels.providers.meta_direct import DirectInbound
from shared.channels.providers.meta_direct_send import DirectOutbound, Limits
from shared.channels.providers.meta_health import PageHealth

_MB: Final = 1024 * 1024
# Source: Meta, "Send API reference" and "Sending attachments": 2,000 characters, 8 MB a picture,
# 25 MB anything else.
_LIMITS: Final = Limits(
    text=2000,
    unit="characters",
    largest={"image": 8 * _MB, "video": 25 * _MB, "audio": 25 * _MB, "file": 25 * _MB},
)
FILES: Final = FileLimits(most=10, size=25 * _MB)

META: Final = Provider(
    inbound=DirectInbound(),
    outbound=DirectOutbound(_LIMITS),
    files=FILES,
    health=PageHealth("page_id"),
    # "Messenger Platform rate limits", March 2026: 300 texts a second for a page; "too many to a
    # single thread" is limited too, by no figure.
    per_account=Rate(300),
)
