"""A mail's HTML, made safe to show to an agent.

Nothing in it runs, is fetched from elsewhere, is sent anywhere, or covers what stands around it:
scripts, forms, frames, styles and remote pictures go, of inline styles only what colours and spaces
the text stays. Pictures that came with the mail are named by the attachment they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote

import nh3

from shared.channels.email.files import File
from shared.channels.email.html import as_html, html_to_text

LONGEST: Final = 2_000_000  # characters of HTML that are shown, embedded pictures not counted
SCHEME: Final = "attachment:"  # and the attachment's sha256, in hex

_DATA_URL: Final = re.compile(r"data:[a-z]+/[^\"'\s>]*+", re.IGNORECASE)
_EMBEDDED: Final = re.compile(
    r"data:image/(?:png|jpe?g|gif|webp|bmp);base64,[A-Za-z0-9+/=\s]*+", re.I
)
_FEW_TAGS: Final = 500
_DEEPEST: Final = 1_000
_DEEP: Final = 100
_MOST_REOPENED: Final = 500_000
_LONG_TAG: Final = re.compile(r"<[^<>]{20000}")
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,20}+)")
_FORMATTING: Final = frozenset({
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
})  # fmt: skip
_UNCLOSED: Final = frozenset({
    "area", "base", "br", "col", "dd", "dt", "embed", "frame", "hr", "img", "input", "li", "link",
    "meta", "option", "p", "param", "source", "td", "th", "tr", "wbr",
})  # fmt: skip

_BLOCK: Final = frozenset({"align", "dir", "lang", "style", "title"})
_CELL: Final = _BLOCK | {"bgcolor", "colspan", "height", "nowrap", "rowspan", "valign", "width"}
_ATTRIBUTES: Final = {
    "*": set(_BLOCK),
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "table": set(_CELL | {"border", "cellpadding", "cellspacing"}),
    "tbody": set(_CELL), "thead": set(_CELL), "tfoot": set(_CELL), "tr": set(_CELL),
    "td": set(_CELL), "th": set(_CELL), "col": {"span", "width"}, "colgroup": {"span", "width"},
    "font": {"color", "face", "size"}, "ol": {"start", "type"}, "ul": {"type"}, "li": {"value"},
    "hr": {"size", "width", "color", "noshade"},
}  # fmt: skip
_TAGS: Final = {
    "a", "abbr", "acronym", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote",
    "br", "caption", "center", "cite", "code", "col", "colgroup", "dd", "del", "details", "dfn",
    "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4", "h5",
    "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "nav", "ol", "p", "pre",
    "q", "rp", "rt", "ruby", "s", "samp", "section", "small", "span", "strike", "strong", "sub",
    "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "time", "tr", "tt", "u", "ul",
    "var", "wbr",
}  # fmt: skip
_GONE: Final = {
    "applet", "canvas", "head", "iframe", "math", "noembed", "noframes", "object", "script",
    "select", "style", "svg", "template", "textarea", "title",
}  # fmt: skip
_STYLES: Final = {
    "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left",
    "border-radius", "border-right", "border-spacing", "border-style", "border-top", "border-width",
    "color", "direction", "font", "font-family", "font-size", "font-style", "font-weight",
    "line-height", "list-style-type", "max-width", "padding", "padding-bottom", "padding-left",
    "padding-right", "padding-top", "text-align", "text-decoration", "text-indent",
    "vertical-align", "white-space", "width", "word-break", "word-wrap",
}  # fmt: skip


def display_html(html: str, files: Sequence[File] = ()) -> str:
    """`html` as it may be shown. `cid:` addresses become `attachment:<sha256>`; pictures from
    elsewhere lose theirs and keep their text. HTML made to exhaust a browser is shown as text."""
    if not html:
        return ""
    if len(html) > LONGEST:
        html = _DATA_URL.sub("data:", html)[:LONGEST]
    if (html.count("<") > _FEW_TAGS and _exhausts(html)) or _LONG_TAG.search(html):
        return as_html(html_to_text(html))
    shown = {file.content_id: file for file in files if file.content_id and file.inline}
    ours = {cid: hashlib.sha256(file.content).hexdigest() for cid, file in shown.items()}
    return _cleaner(ours).clean(html)


def _exhausts(html: str) -> bool:
    """Whether a browser's way of mending it takes quadratic time: elements in each other thousands
    deep, or bold and the like left open hundreds of times, which each new block opens again."""
    depth, blocks, worst = 0, 0, 0
    for closing, name in _TAG.findall(html):
        name = name.lower()
        depth = max(0, depth + (-1 if closing else name not in _UNCLOSED))
        if depth > _DEEPEST:
            return True
        blocks += name not in _FORMATTING
        worst = max(worst, depth)
    return worst > _DEEP and worst * blocks > _MOST_REOPENED


def _cleaner(ours: Mapping[str, str]) -> nh3.Cleaner:
    def kept(tag: str, attribute: str, value: str) -> str | None:
        if attribute == "src":
            return _picture(value, ours)
        if attribute == "href" and value.lower().lstrip().startswith(("cid:", "data:", SCHEME)):
            return None
        return value

    return nh3.Cleaner(
        tags=_TAGS,
        clean_content_tags=_GONE,
        attributes=_ATTRIBUTES,
        attribute_filter=kept,
        url_schemes={"http", "https", "mailto", "tel", "sms", "cid", "data", "attachment"},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer nofollow",
        filter_style_properties=_STYLES,
    )


def _picture(source: str, ours: Mapping[str, str]) -> str | None:
    source = source.strip()
    if source[:4].lower() == "cid:":
        found = ours.get(source[4:]) or ours.get(unquote(source[4:]))
        return f"{SCHEME}{found}" if found else None
    return source if _EMBEDDED.fullmatch(source) else None
