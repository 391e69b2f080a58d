"""The ingest room, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from services.ingest import api, chat_agents, chat_routes, resume, webhooks
from services.ingest.chat_feed import Feed
from services.ingest.errands import Errands
from services.ingest.intake import Intake
from services.ingest.mailbox import MailDoor
from services.ingest.mailboxes import Mailboxes
from services.ingest.media import Fetcher
from services.ingest.media_handlers import MediaHandlers, read
from shared.channels.webchat import takes_chats
from shared.reading import READING
from shared.runtime import Runtime, Service, Subscription
from shared.topics import MESSAGES_RECEIVED

MEDIA_GROUP: Final = "regie.media"


def service(runtime: Runtime) -> Service:
    """Its doors: webhooks, `POST /v1/messages`, and the SMTP listener and the
    reading of mailboxes where accounts ask for them."""
    intake = Intake(runtime.broker, runtime.blobs, runtime.now)
    errands = Errands.of(runtime)
    feed = Feed(runtime.engine, runtime.now)
    door = webhooks.Webhooks(runtime.accounts, intake, runtime.now, errands)
    return Service(
        name="ingest",
        routers=(
            webhooks.routes(door),
            api.routes(runtime, intake),
            resume.routes(runtime, intake),
            chat_agents.routes(runtime),
            chat_routes.routes(runtime, intake, feed),
        ),
        subscriptions=(
            Subscription(
                MEDIA_GROUP, (MESSAGES_RECEIVED,), MediaHandlers(runtime.now).on_messages,
                decode=read, aside=True,
            ),
        ),
        tasks={
            "reading": READING.run, "media": Fetcher(runtime).run,
            **_tasks(runtime, intake), **_chats(runtime, feed),
        },
    )  # fmt: skip


def _chats(runtime: Runtime, feed: Feed) -> dict[str, Callable[[], Awaitable[None]]]:
    return {"chats": feed.run} if any(map(takes_chats, runtime.accounts)) else {}


def _tasks(runtime: Runtime, intake: Intake) -> dict[str, Callable[[], Awaitable[None]]]:
    providers = {account.provider for account in runtime.accounts if account.channel == "email"}
    tasks: dict[str, Callable[[], Awaitable[None]]] = {}
    if "smtp" in providers:
        tasks["mail door"] = MailDoor(runtime.accounts, intake.accept, runtime.now).run
    if "imap" in providers:
        boxes = Mailboxes(runtime.accounts, intake.accept, runtime.engine, runtime.now)
        tasks["mailboxes"] = boxes.run
    return tasks
