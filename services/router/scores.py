"""What a customer answers to a survey: a score, or that they want no such questions. Pure.

It is read strictly, because what is read as a score is answered by nobody: a number alone on its
line, at most with the scale (`4/5`, `4 van 5`), a word for it (`5 stars`, `een 4`), and a comment
that is set apart. Numbers in a sentence, or in a list, are a message like any other.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

_LONGEST_COMMENT: Final = 2000
_LONGEST_LINE: Final = 500

# What is not seen: joiners, marks of direction, the frame of a keycap.
_UNSEEN: Final = re.compile(
    "[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufe0f\ufeff\u20e3]"
)
_WIDE: Final = str.maketrans("／，：；！。．　\u00a0\u202f\u2007،؛", "/,:;!..    ,;")
_SIGNATURE: Final = re.compile(r"^--[ \t]*$", re.MULTILINE)
_STARS: Final = re.compile(r"((?:[★⭐🌟]\s*)+)(?:☆\s*)*")
_SMILEY: Final = re.compile(r"\s*[:;]-?[()D]+$")
_SCORE: Final = re.compile(
    r"(?:(?:an?|een|eine?n?|une?)\s+|(?:score|rating|grade|cijfer|note|bewertung)\s*[:=]?\s*)?"
    r"(?P<score>0|[1-9]\d{0,2})"
    r"(?:(?:\s*/\s*|\s+(?:out\s+of|of|van\s+de|van|uit|op|von|aus|sur)\s+)(?P<of>\d{1,3}))?"
    r"(?:\s*(?:stars?|ster|sterren|sterne?|[ée]toiles?|points?|punt|punten|punkte?))?"
    r"[.!]*(?:(?:[,;:!]\s+|\s+[-–—]\s+)(?P<comment>(?!\d)\S.*))?",
    re.IGNORECASE,
)
# `1. the box is wet, 2: it came late`: numbers that count, not one that judges.
_LISTED: Final = re.compile(r"(?:^|[\s,;])\d{1,3}\s*[.):]\s")
_NUMBERED: Final = re.compile(r"\s*\d{1,3}\s*(?:$|[-.):,;/]+\s)")
_STOPS: Final = frozenset((
    "stop", "stopp", "afmelden", "uitschrijven", "abmelden", "arrêt", "arret", "arrêter",
    "désabonner", "desabonner", "unsubscribe", "opt out", "opt-out", "optout",
))  # fmt: skip


class Score(NamedTuple):
    value: int
    comment: str = ""


def score_in(text: str, low: int, high: int) -> Score | None:
    """The score that this text is, from `low` to `high`; None for any other text."""
    first, _, rest = _signed_off(text).partition("\n")
    line = _plain(first)
    if not line or len(line) > _LONGEST_LINE:
        return None
    found = _stars(line, high) or _written(line, high)
    if found is None or not low <= found.value <= high:
        return None
    if any(map(_NUMBERED.match, _plain(rest).splitlines())):
        return None
    comment = "\n".join(filter(None, (found.comment, rest.strip())))
    return Score(found.value, comment[:_LONGEST_COMMENT])


def is_stop(text: str) -> bool:
    """Whether it says no more than that they want no such questions."""
    words = unicodedata.normalize("NFKC", _UNSEEN.sub("", _signed_off(text)))
    return words.strip(" \t\n.!*\"'“”„«»").casefold() in _STOPS


def _signed_off(text: str) -> str:
    """Without what a mail program puts under it."""
    return "\n".join(_SIGNATURE.split(text)[0].strip().splitlines())


def _plain(text: str) -> str:
    """With the digits and marks of our keyboard, whatever theirs has."""
    return "".join(map(_digit, _UNSEEN.sub("", text).translate(_WIDE)))


def _digit(character: str) -> str:
    other = character.isdecimal() and not character.isascii()
    return str(unicodedata.decimal(character)) if other else character


def _stars(line: str, high: int) -> Score | None:
    """Drawn: `★★★★☆`. One alone is no more than a picture, unless the others are drawn too."""
    drawn = _STARS.fullmatch(line.strip())
    if drawn is None:
        return None
    full, shown = _count(drawn[1]), _count(drawn[0])
    return Score(full) if shown == high or (full == shown and full > 1) else None


def _count(stars: str) -> int:
    return len(re.sub(r"\s", "", stars))


def _written(line: str, high: int) -> Score | None:
    match = _SCORE.fullmatch(line.strip()) or _SCORE.fullmatch(_undecorated(line))
    if match is None or (match["of"] and int(match["of"]) != high):
        return None
    comment = match["comment"] or ""
    return None if _LISTED.search(comment) else Score(int(match["score"]), comment.strip())


def _undecorated(line: str) -> str:
    """Without the faces and hearts at its end."""
    line = _SMILEY.sub("", line)
    while line and (line[-1].isspace() or unicodedata.category(line[-1]) in ("So", "Sk")):
        line = line[:-1]
    return line.strip()
