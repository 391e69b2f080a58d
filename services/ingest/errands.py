"""The door's errands: what it fetches for a webhook, and whom it calls, before it answers.

All of them are bounded together well under the 15 s that providers wait. One that fails is a 503:
the provider comes again, and nothing was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from services.ingest.fetching import Client, client_of, fetch
from services.ingest.published_keys import PublishedKeys
from shared.accounts import Account
from shared.channels import KeySource, Parked, Parsed, WebhookRequest
from shared.channels.table import provider_of
from shared.runtime import Runtime

_ENCLOSURE: Final = 7.0  # seconds
_CALL: Final = 4.0
_LARGEST_ANSWER: Final = 256 * 1024  # bytes


@dataclass(frozen=True)
class Errands:
    client: Client
    keys: PublishedKeys

    @classmethod
    def of(cls, runtime: Runtime) -> Self:
        client = client_of(runtime)
        return cls(client, PublishedKeys(client, runtime.now))

    def keys_of(self, webhook: WebhookRequest, account: Account) -> KeySource | None:
        """Which keys its verifier needs. Raises Refused, and whatever a stranger's bytes raise."""
        wanted = provider_of(account).keys
        return wanted(webhook, account) if wanted else None

    async def keyed(
        self, webhook: WebhookRequest, source: KeySource, account: Account
    ) -> WebhookRequest:
        """The request with its provider's keys. Raises ProviderUnavailable."""
        return replace(webhook, keys=await self.keys.of(source, account.name))

    async def whole(self, webhook: WebhookRequest, account: Account) -> WebhookRequest:
        """A verified request with the part that its provider left elsewhere; without it where the
        provider refuses it to us. Raises ProviderUnavailable."""
        wanted = provider_of(account).enclosure
        part = wanted(webhook, account) if wanted else None
        if part is None:
            return webhook
        content = await fetch(
            self.client, part.url, headers=part.headers, most=part.most, seconds=_ENCLOSURE
        )
        return replace(webhook, enclosed=content)

    async def called(self, parsed: Parsed, webhook: WebhookRequest) -> Parsed:
        """`parsed`, when all its calls are made; what was refused is parked. Raises
        ProviderUnavailable."""
        if not parsed.calls:
            return parsed
        refused = [url for url in parsed.calls if await self._call(url) is None]
        return replace(parsed, calls=(), parked=(*parsed.parked, *_parked(refused, webhook)))

    async def _call(self, url: str) -> bytes | None:
        return await fetch(self.client, url, most=_LARGEST_ANSWER, seconds=_CALL)


def _parked(refused: Sequence[str], webhook: WebhookRequest) -> Sequence[Parked]:
    reason = "the provider refuses the call it asked us for: let it send a new one, discard this"
    return [Parked(webhook.body, reason)] if refused else []
