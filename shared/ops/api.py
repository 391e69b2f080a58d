"""`/ops/…`: the operator's routes, served by every process."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from shared.ops import accounts_api, letters_api, positions_api, views
from shared.ops.board import Board
from shared.ops.installation import Installation
from shared.ops.lag import report
from shared.ops.operator import Operator
from shared.ops.replay import Replayer
from shared.runtime import Runtime
from shared.web import Json, page

_FRESH: Final = timedelta(seconds=1)


def routes(runtime: Runtime, board: Board, replayer: Replayer) -> APIRouter:
    router = APIRouter(prefix="/ops", tags=["operations"])
    installation = Installation(runtime, board)

    @router.get("/lag")
    async def lag(who: Operator) -> Response:
        """How far behind every group is, and which reply deadlines that puts at risk."""
        view = await board.view(_FRESH)
        return Json(report(view.seen, view.at_risk))

    @router.get("/installation")
    async def look(who: Operator) -> Response:
        """Whether database, log, blob store, policy and groups are as they should be."""
        return Json(page([views.finding(each) for each in await installation.look()], None))

    router.include_router(accounts_api.routes(runtime))
    router.include_router(letters_api.routes(runtime, replayer))
    router.include_router(positions_api.routes(runtime))
    return router
