"""X, formerly Twitter: direct messages and mentions, by both of its webhook envelopes.

Encrypted chat (XChat) is announced by X and cannot be read by anybody but its two ends: it is kept
as `unsupported`, so that a person looks in X itself.
"""

from typing import Final

from shared.channels import FileLimits, Provider, Rate
from shared.channels.x.events import XInbound
from shared.channels.x.files import XMedia
from shared.channels.x.health import XHealth
from shared.channels.x.send import XOutbound

X: Final = Provider(
    XInbound(),
    XOutbound(),
    media=XMedia(),
    health=XHealth(),
    files=FileLimits(1, 15_000_000, types=("image/jpeg", "image/png", "image/webp", "image/gif")),
    # 15 messages in 15 minutes of one user (docs.x.com, "Rate limits", August 2026)
    per_account=Rate(15, 900.0),
)

__all__ = ["X", "XHealth", "XInbound", "XMedia", "XOutbound"]
