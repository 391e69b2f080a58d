"""The notifier's API for subscribers on a real database, with a real endpoint to post to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec

from services.notifier.api import routers
from services.notifier.replaying import Replaying
from services.notifier.tidying import Tidying
from services.notifier.watch import Watch
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.events import CaseChanged, CaseOpened, CasePriorityChanged
from shared.settings import Settings
from shared.web.app import make_app
from tests.builders import NOON
from tests.doors import ADMIN
from tests.notifying import Notifying, notifying
from tests.waiting import until

LIVES = timedelta(days=7)
Headers = dict[str, str]


@dataclass
class Subscribing:
    """`http` is the admin's; `key` makes others."""

    room: Notifying
    http: httpx.AsyncClient
    made: list[Any] = field(default_factory=list)

    @property
    def endpoint(self) -> Any:
        return self.room.endpoint

    def url(self, path: str = "/hook") -> str:
        return f"{self.room.endpoint.url}{path}"

    async def key(self, role: Any = "integrator", **grant: Any) -> Headers:
        async with transaction(self.room.runtime.engine) as connection:
            made = await create(connection, Grant(role=role, **grant))
        return {"Authorization": f"Bearer {made}"}

    async def subscribe(
        self, *events: str, headers: Headers | None = None, path: str = "/hook"
    ) -> dict[str, Any]:
        body = {"url": self.url(path), "events": list(events or ("*",))}
        answer = await self.http.post("/v1/subscriptions", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ask(
        self, method: str, path: str, headers: Headers | None = None, **given: Any
    ) -> Any:
        """The JSON of a success."""
        answer = await self.http.request(method, f"/v1{path}", headers=headers, **given)
        assert answer.status_code in (200, 202, 204), answer.text
        return answer.json() if answer.content else None

    async def refused(
        self, status: int, method: str, path: str, headers: Headers | None = None, **given: Any
    ) -> Any:
        answer = await self.http.request(method, f"/v1{path}", headers=headers, **given)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def happen(self, count: int = 1, **given: Any) -> list[CaseChanged]:
        """So many events, as one batch; `team`, `confidential`, `case`, `account` as given."""
        case = given.pop("case", None) or await self.case(given.pop("account", ""))
        changes = [
            replace_struct(self.room.change(case, CasePriorityChanged(priority="high", reason="r")),
                           **given)
            for _ in range(count)
        ]  # fmt: skip
        await self.room.hear(*changes)
        return changes

    async def case(self, account: str = "") -> UUID:
        case = await self.room.open_case()
        if account:
            await self.room.move_case(case, account=account)
        return case

    async def feed(self, headers: Headers | None = None, **params: Any) -> Any:
        return await self.ask("GET", "/events", headers, params=params)

    async def replayed(self) -> None:
        """Every replay that was asked for is carried out."""
        while await Replaying(self.room.runtime, LIVES).step():
            pass

    async def tidied(self) -> None:
        while await Tidying(self.room.runtime, LIVES).step():
            pass

    async def states(self, of: str | None = None) -> list[str]:
        rows = await self.room.rows(
            "SELECT state FROM deliveries WHERE CAST(:of AS text) IS NULL OR target = :of "
            "ORDER BY case_id, seq",
            of=None if of is None else f"subscription:{of}",
        )
        return [row.state for row in rows]

    async def settled(self, *states: str) -> None:
        async def there() -> bool:
            return sorted(await self.states()) == sorted(states)

        try:
            await until(there, bound=10)
        except TimeoutError:
            rows = await self.room.rows("SELECT state, effect, error FROM deliveries")
            raise AssertionError(f"wanted {states}, found {rows}") from None


def replace_struct(change: CaseChanged, **given: Any) -> CaseChanged:
    return msgspec.structs.replace(change, **given)


def opened(**given: Any) -> CaseOpened:
    values: dict[str, Any] = {
        "customer_id": uuid4(), "account": "desk-whatsapp", "channel": "whatsapp",
        "subject": "Where is it?", "team": "parcels", "product": "parcels", "priority": "normal",
        "rule": "tracking", "policy_version": 1,
    }  # fmt: skip
    return CaseOpened(**(values | given))


@asynccontextmanager
async def subscribing(
    url: str, folder: Path, now: datetime = NOON, allowed: Sequence[str] | None = None
) -> AsyncIterator[Subscribing]:
    """`allowed`: what REGIE_ALLOW_PRIVATE_TARGETS lists; by default the endpoint."""
    async with notifying(url, folder, now) as room:
        listed = [f"127.0.0.1:{room.endpoint.port}"] if allowed is None else allowed
        settings = Settings(
            data_dir=folder, admin_key=ADMIN, allow_private_targets=",".join(listed)
        )
        room.runtime = replace(room.runtime, settings=settings)
        watch = Watch(room.runtime.engine, poll=0.02)
        app = make_app(room.runtime, routers(room.runtime, watch))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://regie",
            headers={"Authorization": f"Bearer {ADMIN}"},
        ) as http:
            subscribers = Subscribing(room, http)
            task = asyncio.create_task(watch.run())
            try:
                yield subscribers
            finally:
                task.cancel()
