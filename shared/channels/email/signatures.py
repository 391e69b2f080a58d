"""What stands under an answer and is no part of it: signatures, "Sent from my …", list footers.

Only what is marked as such: after the line `--` (RFC 3676, 4.3), or the fixed words of a program. A
greeting and a name are the customer's own words and stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_MOST_LINES: Final = 20  # of a signature after `--`; more is a text
_LONGEST: Final = 110

_DEVICE: Final = (
    r"(?:iphone|ipad|ipod|ios|mac\b|macbook|android|samsung|galaxy|huawei|xiaomi|redmi|oneplus"
    r"|oppo|nokia|htc|sony|xperia"
    r"|motorola|moto\b|pixel\b|lg\b|windows|blackberry|mobile|mobiel|mobil\b|handy|smartphone"
    r"|tablet|phone|telefoon|telefon"
    r"|téléphone|teléfono|cellulare|puhelim|outlook|hotmail|gmail|yahoo|aol\b|gmx|web\.de|t-online"
    r"|e?mail app|mail voor|mail for"
    r"|mail für|courrier|posta per|bluemail|spark|proton|fairphone|thunderbird|k-9|nine\b|airmail"
    r"|ziggo|kpn|verizon|at&t|t-mobile|orange)"
)
_SENT: Final = re.compile(
    r"[>*_ -]*(?:(?:this (?:message|mail|e-?mail) was )?(?:sent|send) (?:from|via|with|using|by)"
    r"|(?:dit bericht is )?(?:verzonden|verstuurd|gestuurd) (?:vanaf|vanuit|van|met|via|door)"
    r"|(?:diese (?:nachricht|e-?mail) wurde )?(?:gesendet|verschickt|versendet) (?:von|mit|über"
    r"|via)"
    r"|von (?:meinem|unterwegs)|(?:envoyé|expédié)e? (?:depuis|de|à partir|avec|via)|provenance :"
    r"|enviad[oa] (?:desde|do|de|a partir|com|con)|inviat[oa] (?:da|dal|con)|skickat (?:från|med)"
    r"|sendt (?:fra|med|via)"
    r"|wysłan[eoy] (?:z|za pomocą)|lähetetty|odesláno (?:z|ze)|elküldve|отправлено (?:с|из)"
    r"|trimis (?:de|din)"
    r"|(?:get|download|outlook|télécharge[rz]|obtene[rz]|descargar?|scarica|hanki|hämta|hent"
    r"|pobierz|laden sie|holen sie sich|obtenir)\b"
    r")(?=.{0,60}" + _DEVICE + r").*",
    re.IGNORECASE,
)  # fmt: skip
_MORE_WORDS: Final = re.compile(
    r", (?!.{0,12}(?:excuse|pardon|sorry|please|apolog|typo|brevity|so |dus |excus))|[.!?] \w"
    r"|\b(?:is|was|are|ist|war|est|komt|kwam)\b",
    re.IGNORECASE,
)
_WORTH_READING: Final = re.compile(r"this (?:message|mail|e-?mail) was|dit bericht is|wurde", re.I)
_DELIMITER: Final = re.compile(r"(?:--|—|–)\s*")
_LIST_FOOTER: Final = re.compile(r"mailing list|mailinglist|listinfo|unsubscribe", re.IGNORECASE)


def without_signature(lines: Sequence[str]) -> list[str]:
    """`lines` without what is marked as signature at their end: none where that is all."""
    kept = _cut_blank(list(lines))
    for _ in range(4):  # a delimiter above "Sent from my …" above a list's footer
        shorter = _cut_blank(_without_sent(_without_delimited(_without_footer(kept))))
        if len(shorter) == len(kept):
            break
        kept = shorter
    return kept


def _without_delimited(lines: list[str]) -> list[str]:
    for at in range(len(lines) - 1, max(-1, len(lines) - 2 - _MOST_LINES), -1):
        if _DELIMITER.fullmatch(lines[at].strip()) and lines[at].startswith(("--", "—", "–")):
            return lines[:at]
    return lines


def _without_sent(lines: list[str]) -> list[str]:
    return lines[:-1] if lines and is_sent_from(lines[-1]) else lines


def is_sent_from(line: str) -> bool:
    """Whether a program or a telephone wrote this line under the text."""
    line = " ".join(line[: 2 * _LONGEST].split())
    bare = re.sub(r"<[^<>]*>|\[[^\[\]]*\]|\(https?:[^()]*\)", "", line).strip(" *_-")
    if not bare or len(bare) > _LONGEST or not _SENT.fullmatch(bare):
        return False
    return not _MORE_WORDS.search(bare) or _WORTH_READING.match(bare) is not None


def _without_footer(lines: list[str]) -> list[str]:
    for at in range(len(lines) - 1, max(0, len(lines) - 8), -1):
        rule = lines[at].strip()
        if len(rule) >= 20 and not rule.strip("_-=*~"):
            below = "\n".join(lines[at + 1 :])
            return lines[:at] if _LIST_FOOTER.search(below) else lines
    return lines


def _cut_blank(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines.pop()
    return lines
