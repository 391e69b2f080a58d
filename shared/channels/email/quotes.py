"""The reply in a mail without the history quoted under it: a view for people and routing rules.

The full text is always kept beside it. Every line is looked at a bounded number of times, each
pattern is linear, and where a rule would leave nothing the whole text stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

_MOST_LINES: Final = 10_000
_LONGEST_LINE: Final = 250  # characters of a line that are compared with patterns

_FORWARDED: Final = re.compile(
    r"\s*(?:fwd?|fw|wg|tr|doorst|doorgestuurd|weitergeleitet|transféré|i|rv|vs|pd)\s*:",
    re.IGNORECASE,
)
_FORWARD_LINE: Final = re.compile(
    r"(?:begin forwarded message|forwarded (?:message|by)"
    r"|(?:begin )?doorgestuurd bericht|anfang der weitergeleiteten|weitergeleitete nachricht"
    r"|message (?:transféré|réexpédié)|début du message (?:transféré|réexpédié)"
    r"|mensaje reenviado|messaggio inoltrato)\b",
    re.IGNORECASE,
)
_SEPARATOR: Final = re.compile(
    r"(?:original (?:message|appointment|mail)|reply message|reply above"
    r"|oorspronkelijk(?:e)? (?:bericht|mail|e-mail)|origineel bericht"
    r"|ursprüngliche (?:nachricht|mail|e-mail)|original-?nachricht|originalnachricht"
    r"|message (?:d['’]origine|original|initial)|mensaje original|messaggio originale"
    r"|oprindelig meddelelse|ursprungligt meddelande|wiadomość oryginalna)",
    re.IGNORECASE,
)
_REPLY_LINE: Final = re.compile(
    r"(?:please )?(?:reply|write|type your reply|antwoord|schrijf uw antwoord|antworten)"
    r"[^.]{0,40}(?:above this line|boven deze (?:lijn|regel)|oberhalb dieser (?:linie|zeile))",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(
    r"[ >]*\*{0,2}(?P<name>from|sent|to|cc|subject|date"
    r"|van|verzonden|verstuurd|aan|onderwerp|datum"
    r"|von|gesendet|an|betreff|de|envoyé(?: le)?|à|a|objet|date d['’]envoi"
    r"|enviado(?: el)?|para|asunto|da|inviato|oggetto|fra|sendt|til|emne|från|skickat|ämne)"
    r"(?: ?\*{1,2})? ?:",
    re.IGNORECASE,
)
_MARKS: Final = "-_*=#>| "  # what programs draw around such lines
_FROM: Final = frozenset({"from", "van", "von", "de", "da", "fra", "från"})
_WROTE: Final = re.compile(
    r"\b(?:wrote|writes|schreef|schrieb|geschreven|geschrieben|a écrit|écrivait|escribió"
    r"|ha scritto|escreveu|skrev|napisał\(?a?\)?|pisze)\b",
    re.IGNORECASE,
)
_OPENS: Final = re.compile(r"[>*_ ]*(?:on|op|am|le|el|il|em|den|dnia)\s", re.IGNORECASE)
_DATED: Final = re.compile(
    r"\b(?:wrote on|schreef op|schrieb am|a écrit le|escribió el|ha scritto il|skrev den)\b",
    re.IGNORECASE,
)
_OWN_WORDS: Final = re.compile(
    r"\b(?:i|we|ik|wij|ich|wir|je|j['’]ai|nous) (?:\w+ )?(?:wrote|schreven|schreef|schrieb|écrit)"
    r"|\b(?:schreef|schrieb) (?:ik|wij|we|ich)\b",
    re.IGNORECASE,
)
_PROOF: Final = re.compile(r"\d{1,2}[:.h]\d{2}|\b(?:19|20)\d\d\b|\d{1,2}[-./]\d{1,2}|@")
_GMAIL: Final = re.compile(r"\d{4}-\d\d-\d\d \d?\d:\d\d.{0,20}<[^<>\s]+@[^<>\s]+> ?:")


def reply_text(text: str, subject: str = "") -> str:
    """`text` without quoted history. Never empty unless `text` is; a forward stays whole.

    Answers written between quoted lines are kept, without the lines they answer.
    """
    if _FORWARDED.match(subject):
        return text.strip()
    lines = text.split("\n", _MOST_LINES)[:_MOST_LINES]
    # What is compared: blanks as single spaces, which also keeps every pattern linear.
    kept = _kept([" ".join(line[:_LONGEST_LINE].split()) for line in lines])
    if kept is None:
        return text.strip()
    reply = re.sub(r"\n{3,}", "\n\n", "\n".join(lines[at].rstrip() for at in kept)).strip()
    return reply if reply.strip("_-—=*>| \n") else text.strip()


def _kept(lines: Sequence[str]) -> list[int] | None:
    """Which lines are the reply's own; None where they turn out to introduce a forward."""
    kept: list[int] = []
    at = 0
    while at < len(lines):
        skipped = 1 if _is_quoted(lines[at]) else _attribution(lines, at)
        if not skipped:
            if _FORWARD_LINE.match(lines[at].lstrip(_MARKS)):
                return None
            if _ends_reply(lines, at):
                break
            kept.append(at)
        elif not _is_quoted(lines[at]) and not _quoted_next(lines, at + skipped):
            break  # nothing marks what follows as quoted, so all of it is
        at += skipped or 1
    # Outlook draws a rule of underscores between the reply and what it quotes.
    while kept and at < len(lines) and not lines[kept[-1]].strip("_-—=* "):
        kept.pop()
    return kept


def _ends_reply(lines: Sequence[str], at: int) -> bool:
    bare = lines[at].strip(_MARKS)
    ruled = lines[at].startswith(("--", "__", "**", "=="))
    if (ruled and _SEPARATOR.fullmatch(bare)) or _REPLY_LINE.match(bare):
        return True
    found = _HEADER.match(lines[at])
    if found is None or found["name"].lower() not in _FROM:
        return False
    # Outlook's block: From, then at least two of Sent, To, Subject within the next lines.
    following = (_HEADER.match(line) for line in lines[at + 1 : at + 9])
    return len({each["name"].lower() for each in following if each} - _FROM) >= 2


def _attribution(lines: Sequence[str], at: int) -> int:
    """How many lines, wrapped ones together, say `On … wrote:`; 0 where none does so."""
    if _GMAIL.fullmatch(lines[at]):
        return 1
    joined = ""
    for count, line in enumerate(_run(lines, at), start=1):
        joined = f"{joined} {line}".strip()
        if joined.endswith(":"):
            return count if _is_attribution(joined, lines, at + count) else 0
    return 0


def _run(lines: Sequence[str], at: int) -> Iterator[str]:
    # Attributions are wrapped over at most four lines. Only one that opens like one, with a date,
    # may go on: the customer's own last line must not be taken for its beginning.
    first = lines[at]
    if first:
        yield first
    if not _OPENS.match(first) or not any(character.isdigit() for character in first):
        return
    for line in lines[at + 1 : at + 4]:
        if not line or _OPENS.match(line) or _is_quoted(line):
            return
        yield line


def _is_attribution(joined: str, lines: Sequence[str], after: int) -> bool:
    if not (_WROTE.search(joined) and _PROOF.search(joined)) or _OWN_WORDS.search(joined):
        return False
    return bool(
        _OPENS.match(joined) or _DATED.search(joined) or "<" in joined or _quoted_next(lines, after)
    )


def _quoted_next(lines: Sequence[str], at: int) -> bool:
    return _is_quoted(next((line for line in lines[at : at + 4] if line), ""))


def _is_quoted(line: str) -> bool:
    return line.startswith((">", "|>"))
