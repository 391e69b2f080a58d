"""What a policy would send, with a made-up case: words, and the request each service gets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from services.router import manners
from services.router.phrases import say
from services.router.policy import Policy
from services.router.rules.people import Notify
from shared import notices
from shared.errors import Invalid
from shared.notices import CUSTOMERS, KINDS, NoticeKind, Put, Request, samples
from shared.notices.filling import fill
from shared.notices.samples import SAMPLES
from shared.yamlfile import nearest

PreviewTarget = Literal["email", "slack", "teams", "ntfy"]
_BASE: Final = "https://regie.example.org"
_SHAPES: Final[Mapping[str, Callable[[Put], Request]]] = {
    "slack": notices.slack, "teams": notices.teams, "ntfy": notices.ntfy,
}  # fmt: skip
_BUILT_IN: Final[Mapping[str, tuple[str, str]]] = {  # phrases of (subject, text)
    "invitation": ("", "invite"),
    "apology": ("unreached_subject", "unreached"),
    "survey": ("survey_subject", "survey_scale"),
}


@dataclass(frozen=True, slots=True)
class Preview:
    """`headers` and `body`: of the request to Slack, Teams or ntfy; JSON as what it holds."""

    kind: str
    language: str
    target: str
    subject: str
    text: str
    headers: Mapping[str, str]
    body: Any


def preview(policy: Policy, kind: str, language: str, target: str, now: datetime) -> Preview:
    """`language` and `target` may be empty: the policy's own, and e-mail. Raises Invalid for a
    kind that there is not."""
    language, target = language or policy.language, target or "email"
    if kind in CUSTOMERS:
        subject, text = _for_customers(policy, kind, language)
        return Preview(kind, language, "customer", subject, text, {}, None)
    if kind not in KINDS:
        words = (*KINDS, *CUSTOMERS)
        raise Invalid(f"unknown kind `{kind}`: {nearest(kind, words, len(words))}")
    put = _put(policy, kind, language, now)
    if target not in _SHAPES:
        text = f"{put.text}\n\n-- \n{put.footer}"
        return Preview(kind, language, target, put.subject, text, {}, None)
    request = _SHAPES[target](put)
    as_json = "json" in request.headers["Content-Type"]
    body = msgspec.json.decode(request.body) if as_json else request.body.decode()
    return Preview(kind, language, target, put.subject, put.text, request.headers, body)


def _put(policy: Policy, kind: NoticeKind, language: str, now: datetime) -> Put:
    team = next(iter(policy.teams))
    entry = Notify(email="desk@example.org", language=language)
    manner = manners.target(policy, entry, kind, team).manner
    payload = samples.payload(kind, now) | {"manner": msgspec.to_builtins(manner)}
    return notices.worded(notices.read(payload, _BASE), now)


def _for_customers(policy: Policy, kind: str, language: str) -> tuple[str, str]:
    subject, text = policy.own_words(kind, language)
    named, values = _BUILT_IN[kind], SAMPLES[kind]
    if not text and kind == "survey":
        text = f"{{question}}\n\n{say(named[1], language, **values)}"
    built_in = say(named[0], language, **values) if named[0] else ""
    return (
        fill(subject, values) or built_in,
        fill(text, values) or say(named[1], language, **values),
    )
