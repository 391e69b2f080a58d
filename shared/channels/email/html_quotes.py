"""The containers in which mail programs put what they quote, whatever language they speak.

Where the words around a quotation tell nothing, its HTML does: Outlook, Gmail, Yahoo, Thunderbird
and others mark the place.
"""

from __future__ import annotations

import re
from typing import Final

from shared.channels.email.html import html_to_text
from shared.channels.email.quotes import forwards, reply_text
from shared.channels.email.signatures import without_signature

_LOOKED_AT: Final = 300_000
# All that follows these is history.
_TO_THE_END: Final = re.compile(
    r"(?:id|class)\s*=\s*[\"']?[^\"'<>]{0,80}(?:divRplyFwdMsg|appendonsend|OLK_SRC_BODY_SECTION"
    r"|mail-editor-reference-message-container|yahoo_quoted|yahooMobileNoReplyTo|zmail_extra)"
    r"|style\s*=\s*[\"']?border:none;\s*border-top:solid #(?:B5C4DF|E1E1E1) 1\.0pt",
    re.IGNORECASE,
)
# Below these a person may go on.
_CITED: Final = re.compile(
    r"class\s*=\s*[\"']?[^\"'<>]{0,80}(?:gmail_attr|gmail_quote|moz-cite-prefix|protonmail_quote"
    r"|tutanota_quote|WordSection1_quote)|<blockquote[^<>]{0,200}type\s*=\s*[\"']?cite",
    re.IGNORECASE,
)
_ATTRIBUTION: Final = 3  # lines at most that introduce a quotation


def reply_view(text: str, subject: str, html: str) -> str:
    """`reply_text`, with the help of the mail's HTML where that shows more of it to be history."""
    view = reply_text(text, subject)
    for pattern, most in ((_TO_THE_END, None), (_CITED, _ATTRIBUTION)):
        found = pattern.search(html[:_LOOKED_AT])
        if found is None:
            continue
        above = html_to_text(html[: html.rfind("<", 0, found.start() + 1)])
        if (shorter := _cut(view, above, most)) is not None:
            return shorter
    return view


def _cut(view: str, above: str, most: int | None) -> str | None:
    """`view` up to where `above` ends; None where it does not begin so, or where what follows are
    more than `most` lines, or a forward."""
    words = above.split()
    lines, used = view.split("\n"), 0
    for at, line in enumerate(lines):
        if used == len(words):
            rest = [each for each in lines[at:] if each.strip()]
            if not rest or (most is not None and len(rest) > most) or any(map(forwards, rest)):
                return None
            return "\n".join(without_signature(lines[:at])).strip() or None
        said = line.split()
        if said != words[used : used + len(said)]:
            return None
        used += len(said)
    return None
