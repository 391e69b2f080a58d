"""What the services that people read say to a notice: which answers are final, and what to do.

Whoever has the address may write there. So nothing that is kept of an answer repeats it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote_plus, urlsplit

from services.notifier.answers import Answer, TargetError

_LATER: Final = (408, 425, 429)  # of what is the sender's fault, what may still come right
_SHORTEST: Final = 4  # characters: less than that is nobody's secret


def accepted(answer: Answer, address: str, reasons: Mapping[str, str]) -> Answer:
    """A 2xx. `reasons`: advice for a word in a refusal's body. Raises TargetError: `again` where
    the same request may be taken later."""
    answer = replace(answer, body=_without(address, answer.body))
    if not 200 <= answer.status < 300:
        raise _refusal(answer, reasons)
    return answer


def _refusal(answer: Answer, reasons: Mapping[str, str]) -> TargetError:
    """Permanent but for the server's own faults, and for 408, 425 and 429."""
    said = answer.body.strip()[:200]
    advice = next((advice for word, advice in reasons.items() if word in said), "")
    hint = "redirects are not followed" if 300 <= answer.status < 400 else advice
    return TargetError(
        f"http_{answer.status}",
        "; ".join(part for part in (f"HTTP {answer.status} {said}".rstrip(), hint) if part),
        answer,
        again=answer.status >= 500 or answer.status in _LATER,
        retry_after=answer.retry_after,
    )


def _without(address: str, text: str) -> str:
    for secret in sorted(filter(None, _secrets(address)), key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "…")
    return text


def _secrets(address: str) -> Iterator[str | None]:
    """The path and its last part, such as a topic; a password; what the query says."""
    parts = urlsplit(address)
    yield from (parts.path, parts.path.rpartition("/")[2], parts.password, parts.query)
    for written in (each.partition("=")[2] for each in parts.query.split("&")):
        yield from (written, unquote_plus(written))
