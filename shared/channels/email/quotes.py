"""The reply in a mail without the history quoted under it: a view for people and routing rules.

The full text is always kept beside it. Every line is looked at a bounded number of times, each
pattern is linear, and where a rule would leave nothing the whole text stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from shared.channels.email import quote_markers as markers
from shared.channels.email.signatures import is_sent_from, without_signature

_MOST_LINES: Final = 10_000
_LONGEST_LINE: Final = 250  # characters of a line that are compared with patterns
_MARKS: Final = "-_*=#>|~ "  # what programs draw around such lines
_WRAPPED_AT: Final = 68  # a quoted line at least so long may have lost its end to the next line


def reply_text(text: str, subject: str = "") -> str:
    """`text` without quoted history and signature. Never empty unless `text` is; a forward stays
    whole.

    Answers written between or under quoted lines are kept, without the lines they answer.
    """
    if markers.FORWARDED.match(subject):
        return text.strip()
    lines = text.split("\n", _MOST_LINES)[:_MOST_LINES]
    # What is compared: blanks as single spaces, which also keeps every pattern linear.
    own = _own([" ".join(line[:_LONGEST_LINE].split()) for line in lines], lines)
    if own is None:
        return text.strip()
    kept = without_signature(own)
    reply = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in kept)).strip()
    return reply if reply.strip("_-—=*>| \n") else text.strip()


def _own(lines: Sequence[str], whole: Sequence[str]) -> list[str] | None:
    """The reply's own lines; None where they turn out to introduce a forward."""
    kept: list[str] = []
    introduced = False
    at = 0
    while at < len(lines):
        before = _before_shared(lines, at)
        quoted = _is_quoted(lines, at)
        skipped = 1 if quoted or before is not None else _attribution(lines, at)
        if (not skipped or (quoted and not introduced)) and forwards(lines[at]):
            return None
        if not skipped:
            if _ends_reply(lines, at):
                return _without_rule(kept)
            kept.append(whole[at])
        elif not quoted:
            introduced = True
            kept = _without_sent_from([*kept, before] if before is not None else kept)
            if not _quoted_next(lines, at + skipped):
                return _without_rule(kept)  # nothing marks what follows as quoted: all of it is
        at += skipped or 1
    return kept


def forwards(line: str) -> bool:
    """Whether the line says that a forwarded mail follows."""
    return markers.FORWARD_LINE.match(line.lstrip(_MARKS)) is not None


def _without_rule(kept: list[str]) -> list[str]:
    # Outlook draws a rule of underscores between the reply and what it quotes.
    while kept and not kept[-1].strip("_-—=* "):
        kept.pop()
    return kept


def _without_sent_from(kept: list[str]) -> list[str]:
    # Above the quotation it ends the answer, though text may follow below.
    last = next((at for at in reversed(range(len(kept))) if kept[at].strip()), -1)
    signed = last > 0 and is_sent_from(kept[last]) and any(line.strip() for line in kept[:last])
    return [*kept[:last], ""] if signed else kept


def _ends_reply(lines: Sequence[str], at: int) -> bool:
    bare = lines[at].strip(_MARKS)
    ruled = lines[at].startswith(("--", "__", "**", "==", "> --", ">--"))
    if markers.PROCESSED.match(bare):
        return True
    if (ruled and markers.SEPARATOR.fullmatch(bare)) or markers.REPLY_LINE.match(bare):
        return True
    if (
        lines[at].startswith("--")
        and markers.OPENS.match(bare)
        and markers.WROTE.search(bare[-20:])
    ):
        return markers.PROOF.search(bare) is not None  # ---- On … wrote ----
    return _is_header_block(lines, at)


def _is_header_block(lines: Sequence[str], at: int) -> bool:
    """Outlook's block: From, then others of Sent, To, Subject within the next lines."""
    if ":" not in lines[at] and "：" not in lines[at]:
        return False
    first = markers.HEADER.fullmatch(lines[at])
    name = first["name"].lower() if first else ""
    if first is None or name not in markers.FROM | markers.DATE or not first["value"].strip():
        return False
    block = [first, *filter(None, map(markers.HEADER.fullmatch, lines[at + 1 : at + 9]))]
    names = {found["name"].lower() for found in block}
    mailed = any("@" in found["value"] for found in block)
    if name in markers.FROM:
        return len(names) >= 3 and (mailed or bool(names & markers.SURE))
    timed = re.search(r"\d{1,2}:\d{2}", first["value"]) is not None
    return timed and mailed and len(names) >= 2


def _before_shared(lines: Sequence[str], at: int) -> str | None:
    """What stands before `On … wrote:` on the same line, where it introduces a quotation."""
    if not lines[at].endswith("wrote:") or markers.OPENS.match(lines[at]):
        return None
    if not _quoted_next(lines, at + 1):
        return None
    found = markers.SHARED.fullmatch(lines[at])
    return found["own"].rstrip("- ") if found else None


def _attribution(lines: Sequence[str], at: int) -> int:
    """How many lines, wrapped ones together, say `On … wrote:`; 0 where none does so."""
    joined = ""
    for count, line in enumerate(_run(lines, at), start=1):
        joined = (joined + line if joined.endswith("<") else f"{joined} {line}").strip()
        if joined.endswith((":", "：")) or markers.UNENDED.fullmatch(joined):
            return count if _is_attribution(joined, lines, at + count) else 0
    return 0


def _run(lines: Sequence[str], at: int) -> Iterator[str]:
    # Attributions are wrapped over at most four lines. Only one that opens like one, with a date,
    # may go on: the customer's own last line must not be taken for its beginning.
    first = lines[at]
    if first:
        yield first
    opens = markers.OPENS.match(first) and any(character.isdigit() for character in first)
    if not opens and not (markers.ADDRESS.search(first) and markers.WROTE.search(first)):
        return
    for line in lines[at + 1 : at + 4]:
        if not line or markers.BEGINS.match(line) or line.startswith((">", "|>")):
            return
        yield line


def _is_attribution(joined: str, lines: Sequence[str], after: int) -> bool:
    quoted = _quoted_next(lines, after)
    if markers.DATE_AND_SENDER.fullmatch(joined):
        return quoted or joined.endswith((":", "："))
    if not markers.PROOF.search(joined) or markers.OWN_WORDS.search(joined):
        return False
    if not quoted and markers.YOUR_WORDS.search(joined):
        return False
    opens = markers.OPENS.match(joined) is not None
    addressed = markers.ADDRESS.search(joined) is not None
    if markers.WROTE.search(joined):
        return bool(opens or addressed or quoted or markers.DATED.search(joined))
    if markers.SENT.search(joined):
        return opens and addressed
    # In any language: a date, an address in brackets and a colon; or above a quotation less.
    if markers.TIMED.search(joined) and addressed and opens:
        return True
    return quoted and addressed and any(character.isdigit() for character in joined)


def _quoted_next(lines: Sequence[str], at: int) -> bool:
    return next((line for line in lines[at : at + 4] if line), "").startswith((">", "|>"))


def _is_quoted(lines: Sequence[str], at: int) -> bool:
    line = lines[at]
    if line.startswith((">", "|>")):
        alone = not _quoted_next(lines, at + 1)
        return not (alone and (line.endswith("<<<") or line.startswith(">From ")))
    if not line or not at or not lines[at - 1].startswith(">"):
        return False
    # What a program wrapped out of the quotation: between quoted lines, the end of a link or of a
    # line that was too long.
    if not _quoted_next(lines, at + 1):
        return False
    above = lines[at - 1]
    unclosed = "http" in above and above.rfind("(") > above.rfind(")")
    unclosed = unclosed or above.rfind("<http") > above.rfind(">")
    link = re.fullmatch(r"[(<]?https?://\S+[)>]?(?: >.*)?", line) is not None
    return unclosed or link or (len(above) >= _WRAPPED_AT and line[:1].islower())
