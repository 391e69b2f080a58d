"""Which mails no person wrote: absence notices, receipts, bounces, lists and our own loops.

Sources: RFC 3834 (Auto-Submitted), RFC 8098 (receipts), RFC 5965 (complaints), and the headers
that older programs use instead. An automatic mail is kept like any other, but nobody waits for an
answer to it and none goes out by itself; only one that answers *us* is an `auto_reply`.

Two things look automatic and carry customers' questions, so they are not: the mail of a web form
(a machine's address in From, the customer's in Reply-To), and what comes through a mailing list of
our own (a shared mailbox kept as a group puts List-Id on all its mail).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from shared.channels.email.addresses import author_in, domain_of, sender_of
from shared.channels.email.bounces import OUR_ID, Report, read_report
from shared.channels.email.headers import Headers
from shared.channels.email.mime import Mail

_AWAY: Final = re.compile(
    r"(?:automatic reply|auto(?:matic)?[ -]?reply|auto[ -]?response|autoreply"
    r"|out of (?:the )?office"
    r"|automatisch antwoord|automatische reactie|afwezigheidsbericht"
    r"|automatische antwort|abwesenheitsnotiz"
    r"|réponse automatique|absence du bureau|message d'absence"
    r"|respuesta automática|fuera de (?:la )?oficina|risposta automatica)\s*(?:[:\-–(]|$|re:)",
    re.IGNORECASE,
)
_ANSWER: Final = re.compile(r"(?:re|aw|antw|sv|tr|r)\s*:", re.IGNORECASE)
_MACHINES: Final = re.compile(
    r"(?:mailer-?daemon|mail-daemon|postmaster|(?:no|do[-_.]?not|ne[-_.]?pas)[-_.]?(?:reply|repondre)"
    r"|bounces?|niet[-_.]?beantwoorden|nicht[-_.]?antworten|notifications?)(?:[-+._=].*)?"
)
_REPLY_HEADERS: Final = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Autoreply-From")
_LIST_HEADERS: Final = (
    "List-Id", "List-Unsubscribe", "List-Help", "List-Post", "Feedback-ID", "X-Loop",
    "X-Auto-Response-Suppress",
)  # fmt: skip
_BULK: Final = frozenset({"bulk", "list", "junk"})


@dataclass(frozen=True, slots=True)
class Nature:
    """What kind of mail it is. `reasons` names the signals, `report` is a bounce's own."""

    kind: Literal["message", "auto_reply", "bounce"] = "message"
    reasons: tuple[str, ...] = ()
    report: Report | None = None

    @property
    def automatic(self) -> bool:
        return bool(self.reasons)


def nature_of(mail: Mail, envelope_sender: str | None, our_domain: str) -> Nature:
    """`envelope_sender` is empty for the null sender `<>`, None where it is not known."""
    if (report := read_report(mail, envelope_sender, our_domain)) is not None:
        return Nature("bounce", ("bounce",), report)
    if replies := _signs_of_a_reply(mail, envelope_sender, our_domain):
        return Nature("auto_reply", tuple(replies))
    listed = [] if _is_our_list(mail.headers, our_domain) else _signs_of_a_list(mail.headers)
    if not listed and is_form(mail.headers, our_domain):
        return Nature()
    return Nature("message", (*_signs_of_a_machine(mail, envelope_sender), *listed))


def is_machine(address: str) -> bool:
    """Whether an address is one that many mails come from and no person reads."""
    return _MACHINES.fullmatch(address.rpartition("@")[0]) is not None


def is_form(headers: Headers, our_domain: str) -> bool:
    """Whether a machine sent it on behalf of the person in Reply-To: a no-reply address, or a
    website of ours that signs with our own domain."""
    sender, answer_to = sender_of(headers), author_in(headers.raw("Reply-To"))
    if sender is None or answer_to is None or is_machine(answer_to.value):
        return False
    ours = our_domain and sender.value.endswith(f"@{our_domain}")
    return is_machine(sender.value) or bool(ours and not answer_to.value.endswith(f"@{our_domain}"))


def _signs_of_a_reply(mail: Mail, envelope_sender: str | None, our_domain: str) -> list[str]:
    headers = mail.headers
    submitted = headers.text("Auto-Submitted").lower().partition(";")[0].strip()
    subject = headers.text("Subject")
    away = _AWAY.match(subject) is not None
    answers = headers.has("In-Reply-To") or headers.has("References")
    found = {
        "auto-replied": submitted.startswith("auto-replied"),
        "auto-generated answer": submitted.startswith("auto-") and (answers or away),
        "absence": away,
        "autoreply header": any(headers.has(name) for name in _REPLY_HEADERS),
        "precedence": "auto_reply" in _precedences(headers),
        "null sender": envelope_sender == "" and (answers or _ANSWER.match(subject) is not None),
        "receipt": mail.report == "disposition-notification",
        "complaint": mail.report == "feedback-report",
        "our own": _is_ours(headers, our_domain),
    }
    return [sign for sign, present in found.items() if present]


def _signs_of_a_machine(mail: Mail, envelope_sender: str | None) -> list[str]:
    headers = mail.headers
    submitted = headers.text("Auto-Submitted").lower().partition(";")[0].strip()
    sender = sender_of(headers)
    found = {
        "auto-submitted": submitted not in ("", "no"),
        "null sender": envelope_sender == "",
        "machine address": bool(sender and is_machine(sender.value)),
        "calendar answer": any(
            file.content_type == "text/calendar"
            and file.parameters.get("method", "").upper() == "REPLY"
            for file in mail.files
        ),
        "report": mail.type == "multipart/report",
    }
    return [sign for sign, present in found.items() if present]


def _signs_of_a_list(headers: Headers) -> list[str]:
    named = [name.lower() for name in _LIST_HEADERS if headers.has(name)]
    return [*named, "precedence"] if _BULK & _precedences(headers) else named


def _is_our_list(headers: Headers, our_domain: str) -> bool:
    # <desk.example.org>, or <desk.groups.example.org> with the group's address in List-Post.
    said = f"{headers.text('List-Id')} {headers.text('List-Post')}".lower()
    return bool(our_domain) and bool(re.search(rf"[.@]{re.escape(our_domain)}(?![\w.-])", said))


def _precedences(headers: Headers) -> set[str]:
    return {headers.text(name).lower() for name in ("Precedence", "X-Precedence")}


def _is_ours(headers: Headers, our_domain: str) -> bool:
    found = OUR_ID.search(headers.text("Message-ID"))
    return bool(found and our_domain and domain_of(found[0].strip("<>")) == our_domain)
