"""`/v1/targets`: who is notified, and the secret that is shown once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from services.notifier import service
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.errors import Misconfigured
from shared.security import Role
from shared.settings import Settings
from shared.web.app import make_app
from tests.builders import EXAMPLE
from tests.notifying import Notifying, notifying


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path) as room:
        room.runtime = replace(room.runtime, settings=Settings(policy_file=str(EXAMPLE)))
        yield room


@asynccontextmanager
async def client(room: Notifying, role: Role = "admin") -> AsyncIterator[httpx.AsyncClient]:
    made = service(room.runtime)
    assert made.start is not None
    await made.start()
    async with transaction(room.runtime.engine) as connection:
        key = await create(connection, Grant(role=role))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(room.runtime, made.routers)),
        base_url="http://regie.test",
        headers={"Authorization": f"Bearer {key}"},
    ) as http:
        yield http


async def test_the_targets_of_the_policy_file_are_there_from_the_start(room: Notifying) -> None:
    async with client(room) as http:
        page = (await http.get("/v1/targets")).json()
    assert page["next_cursor"] is None
    assert {item["address"] for item in page["items"]} == {
        f"http://127.0.0.1:9901/{path}"
        for path in ("supervisors", "frontdesk", "parcels", "claims")
    }
    assert {item["kind"] for item in page["items"]} == {"webhook"}
    assert not any("secret" in item for item in page["items"])


async def test_a_rotation_shows_the_secret_once(room: Notifying) -> None:
    async with client(room) as http:
        target = (await http.get("/v1/targets")).json()["items"][0]
        assert target["rotated_at"] is None
        first = (await http.post(f"/v1/targets/{target['id']}/rotate")).json()
        assert first["secret"].startswith("whsec_")
        assert (first["rotated_at"], first["previous_until"]) == ("2026-11-17T09:00:00Z", None)
        second = (await http.post(f"/v1/targets/{target['id']}/rotate")).json()
        assert second["secret"] != first["secret"]
        assert second["previous_until"] == "2026-11-18T09:00:00Z"
        missing = await http.post(f"/v1/targets/{uuid4()}/rotate")
        assert missing.status_code == 404


async def test_only_an_admin_sees_targets(room: Notifying) -> None:
    async with client(room, "operator") as http:
        assert (await http.get("/v1/targets")).status_code == 403
        assert (await http.post(f"/v1/targets/{uuid4()}/rotate")).status_code == 403


async def test_a_policy_file_that_is_not_there_ends_the_start(room: Notifying) -> None:
    runtime = replace(room.runtime, settings=Settings(policy_file="/nowhere/policy.yaml"))
    with pytest.raises(Misconfigured, match="REGIE_POLICY_FILE"):
        service(runtime)
