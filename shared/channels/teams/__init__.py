"""Microsoft Teams, by the Bot Framework's protocol: signed activities in, activities out.

Microsoft's own SDK for it ended in 2025; the protocol did not, and is small.
"""

from typing import Final

from shared.channels import FileLimits, Provider, Rate
from shared.channels.teams.files import TeamsMedia
from shared.channels.teams.health import TeamsHealth
from shared.channels.teams.inbound import TeamsInbound
from shared.channels.teams.send import TeamsOutbound
from shared.channels.teams.tokens import keys_wanted

MICROSOFT: Final = Provider(
    TeamsInbound(),
    TeamsOutbound(),
    keys=keys_wanted,
    media=TeamsMedia(),
    health=TeamsHealth(),
    files=FileLimits(10, 25_000_000, links=True),
    # 50 requests a second of one app, 7 of one thread (learn.microsoft.com, "Rate limiting", 2024)
    per_account=Rate(50),
    per_recipient=Rate(7),
)

__all__ = ["MICROSOFT", "TeamsHealth", "TeamsInbound", "TeamsMedia", "TeamsOutbound", "keys_wanted"]
