"""Plain text as mailers write it: which part to read, and soft line breaks undone."""

from __future__ import annotations

import re
from typing import Final

_ADDRESS: Final = re.compile(r"<(?:https?://|mailto:|tel:)[^<>]*>|https?://\S+")
# "Your program cannot show this message": all the text that some mailers put beside their HTML.
_STUB: Final = re.compile(
    r"\bhtml\b|view (?:this|the) (?:e-?mail|message)|(?:lees|bekijk) (?:deze|dit)"
    r"|plain[- ]text version|im browser|dans (?:un|votre) navigateur",
    re.IGNORECASE,
)
_LONGEST_STUB: Final = 400  # characters


def choose(plain: str, rendered: str) -> str:
    """The readable text of a mail that comes in both forms; `rendered` is its HTML as text.

    A plain part that is empty, below a fifth of the other (addresses of links not counted), or that
    only says that the message is elsewhere, is a stub.
    """
    said = plain.strip()
    if not said or len(said) < 0.2 * len(_ADDRESS.sub("", rendered)):
        return rendered
    return rendered if _is_stub(said, rendered) else plain


def _is_stub(plain: str, rendered: str) -> bool:
    if len(plain) > _LONGEST_STUB or _STUB.search(plain) is None:
        return False
    words = set(re.findall(r"\w{4,}", plain.lower()))
    shared = words & set(re.findall(r"\w{4,}", rendered.lower()))
    return bool(rendered.strip()) and len(shared) * 3 < len(words)


def unflowed(text: str, delete_space: bool = False) -> str:
    """`format=flowed` (RFC 3676) undone: soft line breaks joined, one line a paragraph."""
    lines: list[list[str]] = []
    depth, open_line = 0, False
    for line in text.split("\n"):
        bare = line.lstrip(">")
        quotes = len(line) - len(bare)
        content = bare.removeprefix(" ")
        if open_line and quotes == depth and content != "-- ":
            if delete_space:
                lines[-1][-1] = lines[-1][-1][:-1]
        else:
            lines.append([">" * quotes + " "] if quotes else [])
        lines[-1].append(content)
        depth, open_line = quotes, content.endswith(" ") and content != "-- "
    joined = ("".join(pieces) for pieces in lines)
    return "\n".join(line.rstrip() if line != "-- " else line for line in joined)


def unmarked(text: str) -> str:
    """`text/enriched` (RFC 1896) and `text/richtext` without their commands."""
    text = re.sub(r"(?i)<param>[^<]{0,2000}</param>", "", text)
    text = re.sub(r"(?i)<nl>", "\n", text)
    return re.sub(r"<(/?[A-Za-z-]{1,60}|)>", "", text.replace("<<", "\0")).replace("\0", "<")
