"""Bounces: which mail of ours did not arrive, and whether that is final.

Source: RFC 3464 (delivery status), RFC 3463 (status codes); QSBMF (cr.yp.to/proto/qsbmf.txt) and
the words of other programs in bounce_words.py. About half of the bounces seen in practice carry no
machine-readable report; then who sent it, what it says, and the mail it brings back are weighed.
`delayed` is news, not failure: the other server goes on trying.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shared.channels.email import bounce_words as words
from shared.channels.email.addresses import addresses, recipients_of, sender_of
from shared.channels.email.away_words import ANSWER, AWAY
from shared.channels.email.diagnosis import UNKNOWN, Diagnosis, diagnose
from shared.channels.email.dsn import (
    Action,
    Fate,
    code_in,
    failed,
    is_report,
    read_fates,
    report_in,
)
from shared.channels.email.mime import Mail
from shared.channels.email.returned import Original, is_returned, original_of

_NOTICE: Final = 6_000  # characters: what a server says stands at the top
_DIAGNOSED: Final = re.compile(
    r"(?<![\d.])(?:[45]\d\d[ -]+(?:[a-z#<(:\"']|[45]\.\d)|#?[45]\.\d{1,3}\.\d{1,3}(?!\d|\.\d))",
    re.IGNORECASE,
)
_ADDRESS: Final = r"[<\"']?([^\s@<>,;:\"()\[\]]{1,128}@[^\s@<>,;:\"()\[\]]{1,190}[a-z0-9])[>\"']?"
# Where a notice names the recipient: after qmail's manner, alone on a line, after a label.
_NAMED: Final = [
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"^[ \t]*{_ADDRESS}:[ \t]*(?:$|\S)",
        rf"^[ \t]*{_ADDRESS}[ \t.]*$",
        rf"(?<![\w.])(?:rcpt to|recipient|address|userid|failed|to|for|aan|an|à)"
        rf"(?:[ \t]*[:=][ \t]*|[ \t]+){_ADDRESS}",
        rf"^[ \t]*{_ADDRESS}",
        _ADDRESS,
    )
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """What a delivery report says. Empty where it does not.

    action      RFC 3464's word; only `failed` is final
    recipients  whom it is about, in lower case; those it did not reach first
    original    the Message-ID of the mail it is about
    ours        our own id of that mail, where it is one that we sent
    code        RFC 3463's, else the server's reply code
    reason      the server's own words
    """

    action: Action
    recipients: tuple[str, ...] = ()
    original: str = ""
    ours: str = ""
    code: str = ""
    reason: str = ""
    diagnosis: Diagnosis = UNKNOWN

    @property
    def in_words(self) -> str:
        """For people: the cause, then what the server said."""
        said = ": ".join(filter(None, (self.diagnosis.cause, self.reason)))
        return said or "the mail came back undelivered"


def read_report(
    mail: Mail, envelope_sender: str | None, our_domain: str, raw: bytes = b""
) -> Report | None:
    """The delivery report in a mail; None for a mail that is none. `raw`: the mail as it came."""
    if not is_delivery_report(mail, envelope_sender):
        return None
    fates = _fates(mail)
    fate = fates[0] if fates else Fate()
    notice = _notice(mail)
    reason = fate.reason or _reason_in(notice)
    code = fate.code or code_in(reason) or code_in(notice)
    original: Original = original_of(mail, our_domain, raw)
    return Report(
        action=fate.action or _action_in(mail, notice, code),
        recipients=_recipients(mail, fates, notice),
        original=original.message_id,
        ours=original.ours,
        code=code,
        reason=reason[:500],
        diagnosis=_diagnosis(code, reason, notice),
    )


def _diagnosis(code: str, reason: str, notice: str) -> Diagnosis:
    found = diagnose(code, reason)
    return found if found.cause else diagnose(code, notice)


def is_delivery_report(mail: Mail, envelope_sender: str | None) -> bool:
    """Whether a mail server wrote it about a mail that it could not deliver, or did."""
    if mail.report in ("disposition-notification", "feedback-report"):
        return False
    signs = _Signs(mail, envelope_sender)
    if mail.report == "delivery-status" or mail.headers.has("X-Failed-Recipients"):
        return not signs.answered or signs.nobody or signs.daemon
    if signs.daemon:
        return True
    if signs.postmaster or signs.nobody:
        return signs.subject or signs.report or signs.told
    return signs.subject and (signs.report or (signs.told and not signs.person))


class _Signs:
    """What speaks for a bounce; only some of it together is proof. Looked at when asked for."""

    def __init__(self, mail: Mail, envelope_sender: str | None) -> None:
        self._mail = mail
        self._author = sender_of(mail.headers)
        self._back = _return_path(mail, envelope_sender)
        self._subject = mail.headers.text("Subject")
        self.answered = bool(ANSWER.match(self._subject) or AWAY.match(self._subject))

    @property
    def _local(self) -> str:
        return self._author.value.rpartition("@")[0] if self._author else ""

    @property
    def _shown(self) -> str:
        return self._author.name if self._author else self._mail.headers.text("From")[:200]

    @property
    def daemon(self) -> bool:
        bare = not self._author and words.DAEMONS.search(self._shown)  # `From: MAILER-DAEMON`
        return bool(bare or words.DAEMONS.fullmatch(self._local))

    @property
    def postmaster(self) -> bool:
        named = words.POSTMASTERS.fullmatch(self._local)
        return bool(named or words.SENDER_NAMES.search(self._shown))

    @property
    def nobody(self) -> bool:
        """It has no return address."""
        back = self._back
        return back == "" or bool(words.DAEMONS.fullmatch((back or "").partition("@")[0]))

    @property
    def person(self) -> bool:
        """Its return address is its author's own."""
        return bool(self._author and self._back and self._back.lower() == self._author.value)

    @property
    def subject(self) -> bool:
        return not self.answered and bool(words.SUBJECTS.search(self._subject))

    @property
    def report(self) -> bool:
        return bool(_fates(self._mail))

    @property
    def told(self) -> bool:
        """It says so, with a server's code or with the mail it brings back."""
        notice = _notice(self._mail)
        return bool(words.NOTICES.search(notice)) and (
            bool(_DIAGNOSED.search(notice)) or _brings_back(self._mail)
        )


def _return_path(mail: Mail, envelope_sender: str | None) -> str | None:
    # The envelope that reached us may be a forwarding server's; the header tells of the one before.
    raw = mail.headers.raw("Return-Path").strip()
    if envelope_sender == "" or raw == b"<>":
        return ""
    found = addresses(raw)
    if found:
        return found[0].value
    return raw.strip(b"<> ").decode("latin-1") if raw else envelope_sender


def _brings_back(mail: Mail) -> bool:
    return _copied_at(mail.text) is not None or any(map(is_returned, mail.files))


def _copied_at(text: str) -> int | None:
    """Where the returned mail begins in the text; None where it is not copied there."""
    at = 0
    for line in text[: 4 * _NOTICE].split("\n"):
        # A heading in the first lines is the server's own: some begin with the mail's subject.
        if at > 40 and words.RETURNED_BELOW.match(line[:200].lstrip(words.DRAWN)):
            return at
        at += len(line) + 1
    return None


def _fates(mail: Mail) -> tuple[Fate, ...]:
    for file in mail.files:
        if file.content_type.endswith("delivery-status") or (
            not is_returned(file) and is_report(file.content)
        ):
            return read_fates(file.content)
    said = report_in(mail.text)
    return read_fates(said) if said else ()


def _notice(mail: Mail) -> str:
    """What the server says itself, above the mail that it brings back."""
    said = mail.text[:_NOTICE][: _copied_at(mail.text)]
    return "\n".join(line for line in said.split("\n") if not line.startswith(">"))


def _action_in(mail: Mail, notice: str, code: str) -> Action:
    subject = mail.headers.text("Subject")
    if words.DELAYED.search(subject):
        return "delayed"
    if words.DELAYED.search(notice) and not words.FINAL.search(f"{subject}\n{notice}"):
        return "delayed"
    final = words.SUBJECTS.search(subject) or words.FINAL.search(notice)
    return "delayed" if code.startswith("4") and not final else "failed"


def _recipients(mail: Mail, fates: tuple[Fate, ...], notice: str) -> tuple[str, ...]:
    told = failed(fates) or tuple(dict.fromkeys(f.recipient for f in fates if f.recipient))
    if told:
        return told
    if named := addresses(mail.headers.raw("X-Failed-Recipients")):
        return tuple(dict.fromkeys(each.value for each in named))
    author = sender_of(mail.headers)
    not_them = {*recipients_of(mail.headers, "To", "Delivered-To"), author.value if author else ""}
    for pattern in _NAMED:
        found = [each.lower().removeprefix("mailto:") for each in pattern.findall(notice)]
        if others := [each for each in found if each not in not_them]:
            return (others[0],)
    return ()


def _reason_in(notice: str) -> str:
    """The line with the server's code, and what is left of its sentence."""
    lines = [" ".join(line.split()) for line in notice.split("\n")]
    for at, line in enumerate(lines):
        if _DIAGNOSED.search(line):
            more = lines[at + 1] if at + 1 < len(lines) and not line.endswith((".", ")")) else ""
            return f"{line} {more}".strip()[:500]
    told = (line for line in lines if words.NOTICES.search(line) and len(line) > 20)
    return next(told, "")[:500]
