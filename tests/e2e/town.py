"""The world around a Regie under test: Meta's send API, a mail server, the teams' webhooks."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.builders import EXAMPLE
from tests.e2e.process import attempts, example_env, free_port
from tests.fakes.meta import FakeMeta
from tests.rooms import SECRETS


@dataclass
class Notified:
    """What one team's webhook got."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Town:
    """Ports of everything Regie reaches out to, and what reached them."""

    folder: Path
    meta: FakeMeta
    ports: dict[str, int] = field(default_factory=dict)
    notified: list[Notified] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def env(self, policy: str = "", **more: str) -> dict[str, str]:
        """The example files, pointed at this town; `policy` replaces the example's text."""
        channels = EXAMPLE.with_name("channels.yaml").read_text(encoding="utf-8")
        for old, new in (
            ("http://127.0.0.1:9900", f"http://127.0.0.1:{self.ports['meta']}"),
            ("port: 2525", f"port: {self.ports['smtp']}"),
            ("127.0.0.1:2526", f"127.0.0.1:{self.ports['post']}"),
        ):
            channels = channels.replace(old, new)
        text = policy or EXAMPLE.read_text(encoding="utf-8")
        text = text.replace("127.0.0.1:9901", f"127.0.0.1:{self.ports['teams']}")
        (self.folder / "channels.yaml").write_text(channels, encoding="utf-8")
        (self.folder / "policy.yaml").write_text(text, encoding="utf-8")
        return example_env(
            REGIE_CHANNELS_FILE=str(self.folder / "channels.yaml"),
            REGIE_POLICY_FILE=str(self.folder / "policy.yaml"),
            **more,
        )

    def forget(self) -> None:
        """Whatever reached it so far."""
        self.notified.clear()
        self.mails.clear()
        self.meta.accepted.clear()

    async def _notify(self, request: Request) -> Response:
        body = await request.body()
        if request.url.path in self.gone:
            return Response(status_code=410)
        self.notified.append(Notified(request.url.path, dict(request.headers), body))
        return Response(status_code=204)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        self.mails.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 taken"


@asynccontextmanager
async def a_town(folder: Path) -> AsyncIterator[Town]:
    town = Town(folder, FakeMeta(token=SECRETS["META_ACCESS_TOKEN"]))
    town.ports = {name: free_port() for name in ("meta", "smtp", "post", "teams")}
    teams = Starlette(routes=[Route("/{team}", town._notify, methods=["POST"])])
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(lambda: SMTP(town), "127.0.0.1", town.ports["smtp"])
    servers = [_server(town.meta.app, town.ports["meta"]), _server(teams, town.ports["teams"])]
    tasks = [asyncio.create_task(server.serve()) for server in servers]
    async for _ in attempts(10):
        if all(server.started for server in servers):
            break
    try:
        yield town
    finally:
        smtp.close()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)


def _server(app: Any, port: int) -> uvicorn.Server:
    config = uvicorn.Config(app, "127.0.0.1", port, log_level="error", lifespan="off")
    return uvicorn.Server(config)
