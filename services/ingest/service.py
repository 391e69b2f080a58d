"""The ingest room, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.ingest import api, resume, webhooks
from services.ingest.intake import Intake
from services.ingest.mailbox import MailDoor
from shared.runtime import Runtime, Service


def service(runtime: Runtime) -> Service:
    """Its doors: webhooks, `POST /v1/messages`, and the SMTP listener where accounts ask for it."""
    intake = Intake(runtime.broker, runtime.blobs, runtime.now)
    door = webhooks.Webhooks(runtime.accounts, intake, runtime.now)
    return Service(
        name="ingest",
        routers=(
            webhooks.routes(door),
            api.routes(runtime, intake),
            resume.routes(runtime, intake),
        ),
        tasks=_tasks(runtime, intake),
    )


def _tasks(runtime: Runtime, intake: Intake) -> dict[str, Callable[[], Awaitable[None]]]:
    listeners = [account for account in runtime.accounts if account.provider == "smtp"]
    if not listeners:
        return {}
    return {"mail door": MailDoor(runtime.accounts, intake.accept, runtime.now).run}
