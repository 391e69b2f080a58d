"""The HTML of a message as a page that may be shown: cleaned by the one rule there is for it
(`display_html`), its own pictures shown by links of ours.

A picture's name, `cid:…` as its mailer wrote it or `attachment:<sha256>` as the door did, has to
come through the cleaning, which lets no address pass: so it goes through as an embedded picture
that stands for a number.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from shared.channels.email.display import display_html

_NAMED: Final = re.compile(r"""(?<=["'\s=])(cid|attachment):([^"'\s<>]{1,1000})""", re.IGNORECASE)
_STANDS_FOR: Final = re.compile(r"data:image/gif;base64,([A-Za-z0-9+/]{12,24}={0,2})")
_MARK: Final = "picture "
_PAGE: Final = """<!doctype html>
<html><head><meta charset="utf-8"><base target="_blank"></head><body>
{}
</body></html>
"""


def cleaned(html: str, pictures: Mapping[str, str]) -> str:
    """A whole page. `pictures`: the address of each that came along, by content id and by
    sha256."""
    links = list(dict.fromkeys(pictures.values()))

    def hide(match: re.Match[str]) -> str:
        link = pictures.get(match[2]) or pictures.get(unquote(match[2]))
        return match[0] if link is None else _standing_for(links.index(link))

    def show(match: re.Match[str]) -> str:
        number = _number(match[1])
        return links[number] if number is not None and number < len(links) else match[0]

    return _PAGE.format(_STANDS_FOR.sub(show, display_html(_NAMED.sub(hide, html))))


def _standing_for(number: int) -> str:
    return "data:image/gif;base64," + base64.b64encode(f"{_MARK}{number}".encode()).decode()


def _number(written: str) -> int | None:
    try:
        said = base64.b64decode(written, validate=True).decode("ascii")
    except ValueError:
        return None
    number = said.removeprefix(_MARK)
    return int(number) if said != number and number.isdigit() else None
