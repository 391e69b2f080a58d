"""The machine-readable part of a delivery report: who got the mail, who did not, and why.

Source: RFC 3464 (fields), RFC 3463 (status codes). Reports come with the blank lines between their
blocks missing or doubled, with fields in any order and with words after the action: what repeats
begins the next recipient.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shared.channels.email.addresses import addresses
from shared.channels.email.headers import Headers, read_headers

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]

_LOOKED_AT: Final = 64 * 1024
_MOST_RECIPIENTS: Final = 100
_OF_RECIPIENT: Final = frozenset(
    {"original-recipient", "final-recipient", "action", "status", "diagnostic-code"}
)
_NAMES: Final = re.compile(
    rb"^[ \t>]*((?:Final-Recipient|Original-Recipient|Action|Reporting-MTA)[ \t]*:.*)",
    re.IGNORECASE | re.MULTILINE,
)
_ACTIONS: Final[tuple[tuple[str, Action], ...]] = (
    ("fail", "failed"), ("undeliver", "failed"), ("expired", "failed"), ("reject", "failed"),
    ("bounce", "failed"), ("delay", "delayed"), ("deferred", "delayed"), ("delivered", "delivered"),
    ("deliverable", "delivered"), ("relay", "relayed"), ("expand", "expanded"),
)  # fmt: skip
_GRAVEST: Final[tuple[Action, ...]] = ("failed", "delayed", "expanded", "relayed", "delivered")
_CODE: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\d|\.\d)")
_REPLY: Final = re.compile(r"(?<![\d.])([45]\d\d)(?=[ -])")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the mail for one recipient. `action` is None where the report names none."""

    recipient: str = ""
    action: Action | None = None
    code: str = ""
    reason: str = ""


def read_fates(report: bytes) -> tuple[Fate, ...]:
    """One for each recipient of the report, the gravest first."""
    blocks = (_fate(block) for block in _blocks(report[:_LOOKED_AT]))
    fates = [fate for fate in blocks if fate.recipient or fate.action or fate.code]
    return tuple(sorted(fates, key=_gravity)[:_MOST_RECIPIENTS])


def report_in(text: str) -> bytes:
    """A report that stands in the readable text, where a server sent it so; else empty."""
    raw = text[:_LOOKED_AT].encode("utf-8", "replace")
    names = {found[1].partition(b":")[0].strip().lower() for found in _NAMES.finditer(raw)}
    if b"action" not in names or not names & {b"final-recipient", b"original-recipient"}:
        return b""
    first = _NAMES.search(raw)
    return re.sub(rb"(?m)^[ \t>]+", b"", raw[first.start(1) :]) if first else b""


def is_report(content: bytes) -> bool:
    """Whether a file is a report, whatever type it was given."""
    return _NAMES.match(content[:200].lstrip()) is not None and bool(
        re.search(rb"(?im)^(?:Final|Original)-Recipient[ \t]*:", content[:_LOOKED_AT])
    )


def code_in(text: str) -> str:
    """The first status code of RFC 3463 in some words, else the bare reply code; or empty."""
    found = _CODE.search(text) or _REPLY.search(text)
    return found[1] if found else ""


def _blocks(report: bytes) -> Iterator[Headers]:
    # Fields one by one, and not blank lines, tell where the next recipient begins.
    fields: list[tuple[str, bytes]] = []
    for part in re.split(rb"\n[ \t]*\r?\n", report.replace(b"\r\n", b"\n").replace(b"\r", b"\n")):
        if _says_of_recipient(fields):
            yield Headers(tuple(fields))
            fields = []
        for name, value in read_headers(part).fields:
            repeats = any(name.lower() == known.lower() for known, _ in fields)
            if repeats and name.lower() in _OF_RECIPIENT and _says_of_recipient(fields):
                yield Headers(tuple(fields))
                fields = []
            fields.append((name, value))
    if fields:
        yield Headers(tuple(fields))


def _says_of_recipient(fields: Sequence[tuple[str, bytes]]) -> bool:
    names = {name.lower() for name, _ in fields}
    return len(names & _OF_RECIPIENT) >= 2


def _fate(block: Headers) -> Fate:
    reason = after_type(block.text("Diagnostic-Code")) or block.text("X-Display-Diagnostic")
    code = code_in(block.text("Status"))
    return Fate(
        recipient=_recipient(block),
        action=_action(block, code),
        code=_more_exact(code, reason),
        reason=reason[:500],
    )


def _recipient(block: Headers) -> str:
    for name in ("Original-Recipient", "Final-Recipient", "X-Actual-Recipient"):
        if found := addresses(after_type(block.text(name)).encode()):
            return found[0].value
    return ""


def _action(block: Headers, code: str) -> Action | None:
    said = block.text("Action").lower()
    for word, action in _ACTIONS:
        if said.startswith(word):
            return action
    # Without the word only the class of the code tells.
    known: dict[str, Action] = {"5": "failed", "4": "delayed", "2": "delivered"}
    return known.get(code[:1]) if code else None


def _more_exact(code: str, reason: str) -> str:
    """`5.0.0` says nothing: the server's own words may name the code that it left out."""
    if code and not code.endswith(".0.0"):
        return code
    said = code_in(reason)
    return said if said and (not code or "." in said) and said[:1] == (code or said)[:1] else code


def _gravity(fate: Fate) -> int:
    return _GRAVEST.index(fate.action) if fate.action else len(_GRAVEST)


def after_type(value: str) -> str:
    """`smtp; 550 …` → `550 …`; what has no type stays."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and re.fullmatch(r"[\w-]{1,30}", kind.strip()) else value


def failed(fates: Iterable[Fate]) -> tuple[str, ...]:
    """The recipients whom it did not reach, each once."""
    return tuple(dict.fromkeys(f.recipient for f in fates if f.action == "failed" and f.recipient))
