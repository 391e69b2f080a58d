"""One door for every provider: verify, parse, make durable, and only then answer 2xx."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import structlog
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from services.ingest.errands import Errands
from services.ingest.intake import Intake
from shared.accounts import Account, Accounts
from shared.channels import Answer, Inbound, Parked, Parsed, WebhookRequest
from shared.channels.table import provider_of
from shared.errors import NotFound, Refused, Unauthenticated, Unreadable
from shared.reading import OFF_LOOP, READING
from shared.telemetry import WEBHOOKS_REFUSED, describe
from shared.web import read_body

log = structlog.get_logger("ingest")


@dataclass(frozen=True)
class Webhooks:
    """`/webhooks/{account}`: the account in the path selects the adapter and its secret."""

    accounts: Accounts
    intake: Intake
    now: Callable[[], datetime]
    errands: Errands

    async def receive(self, request: Request, account: str) -> Response:
        """Events. What is rightly signed is answered 2xx once it is durable, read or parked."""
        found, inbound = self._door(account)
        webhook = await self._read(request, found, inbound)
        webhook = await self._keyed(webhook, found)
        verify(inbound, webhook, found)
        webhook = await self.errands.whole(webhook, found)
        parsed = await taken_apart(inbound, webhook, found, self.accounts)
        parsed = await self.errands.called(parsed, webhook)
        await self.intake.accept(parsed, found.name, webhook)
        return _response(parsed.answer)

    async def handshake(self, request: Request, account: str) -> Response:
        """A provider's question whether we are who we say."""
        found, inbound = self._door(account)
        webhook = await self._read(request, found, inbound)
        with refusing(found):
            return _response(inbound.handshake(webhook, found))

    async def _keyed(self, webhook: WebhookRequest, account: Account) -> WebhookRequest:
        with refusing(account):
            source = self.errands.keys_of(webhook, account)
        return webhook if source is None else await self.errands.keyed(webhook, source, account)

    def _door(self, name: str) -> tuple[Account, Inbound]:
        account = self.accounts.get(name)
        inbound = provider_of(account).inbound if account else None
        if account is None or inbound is None:
            WEBHOOKS_REFUSED.labels("", "unknown-account").inc()
            raise NotFound(
                "no account of this name takes webhooks: the path is /webhooks/<account>, "
                "as it is named in the channels file",
                name="unknown-account",
            )
        return account, inbound

    async def _read(self, request: Request, account: Account, inbound: Inbound) -> WebhookRequest:
        path = request.path_params.get("path", "")
        try:
            body = await read_body(request, inbound.max_body)
        except Refused as error:
            WEBHOOKS_REFUSED.labels(account.name, error.problem).inc()
            raise
        return WebhookRequest(
            method=request.method,
            path=f"/{path}" if path else "",
            query=request.query_params.multi_items(),
            raw_query=request.scope["query_string"].decode("latin-1"),
            headers=_headers(request),
            body=body,
            received_at=self.now(),
        )


def verify(inbound: Inbound, webhook: WebhookRequest, account: Account) -> None:
    """Raises Refused for a wrong signature, and Unauthenticated whatever else goes wrong."""
    with refusing(account):
        inbound.verify(webhook, account)


@contextmanager
def refusing(account: Account) -> Iterator[None]:
    """What a stranger sent must neither pass nor show as our fault: any error is a refusal."""
    try:
        yield
    except Refused as error:
        WEBHOOKS_REFUSED.labels(account.name, error.problem).inc()
        raise
    except Exception as error:
        WEBHOOKS_REFUSED.labels(account.name, "verifier-failed").inc()
        log.warning("a verifier failed", account=account.name, error=describe(error))
        raise Unauthenticated("the signature cannot be checked: the request is refused") from error


class Parser(Protocol):
    """The half of `Inbound` that a replay needs too."""

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed: ...


def parse(inbound: Parser, webhook: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
    """What the body holds; all of it parked where a parser of ours gives up."""
    try:
        return inbound.parse(webhook, account, accounts)
    except Unreadable as error:
        reason = str(error)
    except Exception as error:
        log.exception("a parser failed", account=account.name)
        reason = f"the parser of {account.channel}/{account.provider} failed: {describe(error)}"
    return Parsed(parked=(Parked(webhook.body, reason),))


async def taken_apart(
    inbound: Parser, webhook: WebhookRequest, account: Account, accounts: Accounts
) -> Parsed:
    """The same, beside the event loop where the body is large. Raises Unavailable."""
    if len(webhook.body) + len(webhook.enclosed or b"") <= OFF_LOOP:
        return parse(inbound, webhook, account, accounts)
    bare = replace(webhook, keys={})  # they served to verify it
    return await READING.parsed(webhook.body, inbound.parse, bare, account, accounts)


class _DoorRoute(APIRoute):
    """A route whose endpoint gets the request as it came. There is nothing in it that FastAPI
    could read or check for us, and its looking would take longer than our verifying."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def open_door(request: Request) -> Response:
            answer: Response = await self.endpoint(request, request.path_params["account"])
            return answer

        return open_door


def routes(webhooks: Webhooks) -> APIRouter:
    router = APIRouter(tags=["webhooks"], route_class=_DoorRoute)
    for path in ("/webhooks/{account}", "/webhooks/{account}/{path:path}"):
        shown = "path:" not in path
        router.add_api_route(
            path, webhooks.receive, methods=["POST"], response_class=Response,
            include_in_schema=shown, summary="Events of a provider",
        )  # fmt: skip
        router.add_api_route(
            path, webhooks.handshake, methods=["GET"], response_class=Response,
            include_in_schema=shown, summary="A provider's handshake",
        )  # fmt: skip
    return router


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, {"Content-Type": answer.content_type})


def _headers(request: Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        # Repeated fields are one list (RFC 9110 section 5.3).
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
