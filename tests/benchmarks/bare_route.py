"""The yardstick of the first figure: a route that publishes what it is posted, and nothing else.

python -m tests.benchmarks.bare_route PORT, with REGIE_DATABASE_URL or REGIE_KAFKA_BOOTSTRAP set
"""

from __future__ import annotations

import asyncio
import os
import sys
from uuid import uuid4

import uvloop
from fastapi import FastAPI, Request, Response

from shared.broker import Broker, Message
from shared.broker.kafka import KafkaBroker
from shared.broker.postgres import PostgresBroker
from shared.serving import listen
from shared.serving.server import Server
from shared.settings import read_settings
from shared.topics import MESSAGES_RECEIVED


async def main() -> None:
    broker = _broker()
    await broker.start()
    app = FastAPI()

    @app.post("/raw")
    async def receive(request: Request) -> Response:
        body = await request.body()
        await broker.publish([Message(MESSAGES_RECEIVED, uuid4().bytes, body)])
        return Response()

    @app.get("/readyz")
    async def ready() -> Response:
        return Response()

    await Server(app).run_on(listen("127.0.0.1", int(sys.argv[1])))


def _broker() -> Broker:
    settings = read_settings(os.environ)
    if settings.kafka_bootstrap:
        return KafkaBroker(settings)
    return PostgresBroker(settings.database_url)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
