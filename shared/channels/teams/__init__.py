"""Microsoft Teams, by the Bot Framework's protocol: signed activities in, activities out.

Microsoft's own SDK for it ended in 2025; the protocol did not, and is small.
"""

from shared.channels.teams.files import TeamsMedia
from shared.channels.teams.health import TeamsHealth
from shared.channels.teams.inbound import TeamsInbound
from shared.channels.teams.send import TeamsOutbound
from shared.channels.teams.tokens import keys_wanted

__all__ = ["TeamsHealth", "TeamsInbound", "TeamsMedia", "TeamsOutbound", "keys_wanted"]
