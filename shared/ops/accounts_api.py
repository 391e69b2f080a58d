"""`/ops/accounts`: what is known of each account, and how its provider says it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query
from starlette.responses import Response

from shared import activity
from shared.accounts import Account
from shared.channels.hooks import prepared
from shared.database import transaction
from shared.errors import NotFound, Unavailable
from shared.ops import queries, views
from shared.ops.examining import Examiner
from shared.ops.findings import Known, last_in
from shared.ops.operator import Operator
from shared.runtime import Runtime
from shared.telemetry import describe, trouble_of
from shared.web import Json, page

log = structlog.get_logger("ops")


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/accounts")
    examiner = Examiner(runtime)

    @router.get("")
    async def accounts(who: Operator, examine: Annotated[bool, Query()] = False) -> Response:
        """Every account of the channels file: when something last came in, went out and failed.
        With `examine`, also what its provider says of it; that takes up to 15 s."""
        every = list(runtime.accounts)
        return Json(page(await _shown(runtime, every, examiner if examine else None), None))

    @router.post("/{name}/examine")
    async def examine_one(name: str, who: Operator) -> Response:
        """Asks one account's provider. Nothing is sent to a customer, and nothing changed."""
        account = runtime.accounts.get(name)
        if account is None:
            raise NotFound(f"there is no account {name}: /ops/accounts lists them")
        [shown] = await _shown(runtime, [account], examiner)
        return Json(shown)

    return router


async def _shown(
    runtime: Runtime, accounts: Sequence[Account], examiner: Examiner | None
) -> list[dict[str, Any]]:
    known = await _known(runtime, accounts)
    public_url = runtime.settings.public_url
    ready = [prepared(each, runtime.accounts, public_url) for each in accounts]
    shown = [views.account(each, known[each.name]) for each in ready]
    if examiner is None:
        return shown
    health = await examiner.examine(ready)
    return [
        line | views.examined(each, known[each.name], health[each.name])
        for each, line in zip(ready, shown, strict=True)
    ]


async def _known(runtime: Runtime, accounts: Sequence[Account]) -> dict[str, Known]:
    """While the database is away: what this process knows by itself."""
    done: dict[str, activity.Activity] = {}
    parked: dict[str, int] = {}
    try:
        async with transaction(runtime.engine) as connection:
            done = await activity.read(connection)
            parked = await queries.waiting_by_account(connection)
    except Unavailable as error:
        log.info("accounts shown without their past", error=describe(error))
    known = {}
    for name in (each.name for each in accounts):
        past = done.get(name, activity.Activity())
        # What ingest took in just now, in this process, may not have reached the router yet.
        past = past._replace(last_in=last_in(past, views.heard_here(name)))
        known[name] = Known(past, trouble_of(name) or "", parked.get(name, 0))
    return known
