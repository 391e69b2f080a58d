"""`/ops/…`: the operator's routes, served by every process."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from shared.ops import letters_api, positions_api, views
from shared.ops.board import Board
from shared.ops.lag import report
from shared.ops.operator import Operator
from shared.ops.replay import Replayer
from shared.runtime import Runtime
from shared.web import Json, page

_FRESH: Final = timedelta(seconds=1)


def routes(runtime: Runtime, board: Board, replayer: Replayer) -> APIRouter:
    router = APIRouter(prefix="/ops", tags=["operations"])

    @router.get("/lag")
    async def lag(who: Operator) -> Response:
        """How far behind every group is, and which reply deadlines that puts at risk."""
        view = await board.view(_FRESH)
        return Json(report(view.seen, view.at_risk))

    @router.get("/accounts")
    async def accounts(who: Operator) -> Response:
        """Every account of the channels file, and when its last event came in here."""
        items = [views.account(account) for account in runtime.accounts]
        return Json(page(items, None))

    router.include_router(letters_api.routes(runtime, replayer))
    router.include_router(positions_api.routes(runtime))
    return router
