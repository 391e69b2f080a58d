"""Whether a bot can speak: Microsoft gives its app a token."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from shared.accounts import Account
from shared.channels import Finding
from shared.channels.teams.calls import Tokens
from shared.errors import SendError


class TeamsHealth:
    """Microsoft does not tell a bot where its messaging endpoint leads: see what came in last."""

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        try:
            await Tokens().header(account, http)
        except SendError as error:
            return [Finding("token", False, error.reason)]
        return [Finding("token", True)]
