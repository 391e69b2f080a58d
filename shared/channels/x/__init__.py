"""X, formerly Twitter: direct messages and mentions, by both of its webhook envelopes.

Encrypted chat (XChat) is announced by X and cannot be read by anybody but its two ends: it is kept
as `unsupported`, so that a person looks in X itself.
"""

from shared.channels.x.events import XInbound
from shared.channels.x.files import XMedia
from shared.channels.x.health import XHealth
from shared.channels.x.send import XOutbound

__all__ = ["XHealth", "XInbound", "XMedia", "XOutbound"]
