"""What the demo's replies and reminders reach: WhatsApp's send API, the teams, a mail server.

All of it on loopback, within this process. The send API is as strict as the real one about what
it is given, so that a reply that passes here is one Meta would take.
"""

from __future__ import annotations

import email
import email.policy
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final

import orjson
import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.accounts import Account

_NUMBER: Final = re.compile(r"[0-9]{7,15}")
_LONGEST_TEXT: Final = 4096

log = structlog.get_logger("demo")


@dataclass(frozen=True)
class Arrived:
    """A message of ours that reached a customer.

    id           what an answer to it names: a wamid, or a Message-ID
    correlation  our own id, which Meta repeats in its statuses
    """

    channel: str
    to: str
    text: str
    id: str
    subject: str = ""
    correlation: str = ""


Hear = Callable[[Arrived], None]


class WhatsAppApi:
    """`POST /{version}/{phone_number_id}/messages` of Meta's Cloud API."""

    def __init__(self, account: Account, hear: Hear) -> None:
        self._account = account
        self._hear = hear

    async def messages(self, request: Request) -> Response:
        if request.headers.get("authorization") not in self._tokens():
            return _refusal(401, 190, "Invalid OAuth access token")
        if request.path_params["number"] != self._account.settings["phone_number_id"]:
            return _refusal(400, 100, "Unsupported post request. Object does not exist")
        try:
            body = orjson.loads(await request.body())
        except orjson.JSONDecodeError:
            return _refusal(400, 100, "(#100) Invalid parameter")
        if problem := _problem(body):
            return _refusal(400, 100, f"(#100) {problem}")
        return JSONResponse(self._take(body))

    def _tokens(self) -> list[str]:
        return [f"Bearer {token}" for token in self._account.secrets("access_token")]

    def _take(self, body: dict[str, Any]) -> dict[str, Any]:
        wamid, to = f"wamid.DEMO{secrets.token_hex(14).upper()}", str(body["to"])
        text = body.get("text", {}).get("body", "")
        correlation = str(body.get("biz_opaque_callback_data", ""))
        self._hear(Arrived("whatsapp", to, text, wamid, correlation=correlation))
        return {
            "messaging_product": "whatsapp",
            "contacts": [{"input": to, "wa_id": to}],
            "messages": [{"id": wamid}],
        }


class MailServer:
    """Takes every mail, as aiosmtpd's handler."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear

    def session(self) -> SMTP:
        return SMTP(self, enable_SMTPUTF8=True, ident="Demo")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        mail = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        body = mail.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        subject, id = str(mail["Subject"] or ""), str(mail["Message-ID"] or "")
        for recipient in envelope.rcpt_tos:
            self._hear(Arrived("email", recipient.lower(), text, id, subject))
        return "250 2.0.0 OK"


def web(account: Account, hear: Hear) -> FastAPI:
    """The send API and the teams' webhooks."""
    api = WhatsAppApi(account, hear)
    return FastAPI(
        openapi_url=None,
        routes=[
            Route("/teams/{team}", _notified, methods=["POST"]),
            Route("/{version}/{number}/messages", api.messages, methods=["POST"]),
        ],
    )


async def _notified(request: Request) -> Response:
    """A team's chat, where reminders show up."""
    event = orjson.loads(await request.body())
    log.info("team notified", team=request.path_params["team"], kind=event.get("type"))
    return Response(status_code=204)


def _problem(body: Any) -> str:
    """What Meta would refuse this for; empty when it would not."""
    if not isinstance(body, dict) or body.get("messaging_product") != "whatsapp":
        return "The parameter messaging_product is required."
    if not _NUMBER.fullmatch(str(body.get("to", ""))):
        return "The parameter to is required."
    kind = body.get("type", "text")
    if kind not in ("text", "template") or not isinstance(body.get(kind), dict):
        return f"The parameter {kind} is required."
    if kind == "template":
        named = body["template"].get("name") and body["template"].get("language")
        return "" if named else "The parameter template['name'] is required."
    text = body["text"].get("body")
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_TEXT:
        return "Param text['body'] must be 1 to 4096 characters long."
    return ""


def _refusal(status: int, code: int, message: str) -> Response:
    error = {"message": message, "type": "OAuthException", "code": code}
    return JSONResponse({"error": error}, status)
