"""What is left of a mail's HTML when an agent sees it."""

from __future__ import annotations

import hashlib
from typing import Final

import pytest

from shared.channels.email.display import display_html
from shared.channels.email.files import File

PICTURE: Final = File("a.png", "image/png", b"PNG", "p@1", inline=True)
SHOWN: Final = f'<img src="attachment:{hashlib.sha256(b"PNG").hexdigest()}">'
LINK: Final = 'target="_blank" rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>Hallo <b>daar</b>", "<p>Hallo <b>daar</b></p>"),
        # pictures
        ('<img src="cid:p@1">', SHOWN),
        ('<img src="CID:p%401">', SHOWN),
        ('<img src="cid:other" alt="weg">', '<img alt="weg">'),
        ('<img src="https://x.example/pixel.gif" srcset="https://x.example/2">', "<img>"),
        ('<img src="//x.example/a.gif">', "<img>"),
        ('<img src="data:image/png;base64,AAAA">', '<img src="data:image/png;base64,AAAA">'),
        ('<img src="data:image/svg+xml;base64,AAAA">', "<img>"),
        ('<img src="attachment:0000">', "<img>"),
        ('<td background="https://x.example/a.gif">x</td>', "x"),
        ('<p style="background:url(https://x.example/a)">x</p>', '<p style="">x</p>'),
        ('<video poster="https://x.example/a"></video>x', "x"),
        ('<link rel=stylesheet href="https://x.example/a">x', "x"),
        # what runs
        ("<script>alert(1)</script>x", "x"),
        ('<p onclick="alert(1)">x</p>', "<p>x</p>"),
        ('<a href="https://x.example">x</a>', f'<a href="https://x.example" {LINK}>x</a>'),
        ('<svg onload="alert(1)"><a>x</a></svg>y', "y"),
        ("<math><mtext><img src=x onerror=alert(1)></mtext></math>y", "y"),
        ("<iframe srcdoc='<script>alert(1)</script>'></iframe>y", "y"),
        ("<!--><img src=x onerror=alert(1)>-->", "<img>--&gt;"),
        # what is sent, or covers the page
        ('<form action="https://x.example"><input name=a>Naam</form>', "Naam"),
        ('<div style="position:fixed;top:0;color:red">x</div>', '<div style="color:red">x</div>'),
        ('<div id="a" class="b">x</div>', "<div>x</div>"),
        ("<style>body{display:none}</style>x", "x"),
        ('<meta http-equiv="refresh" content="0;url=https://x.example"><base href="/">x', "x"),
        ("", ""),
    ],
)
def test_what_is_shown(html: str, shown: str) -> None:
    assert display_html(html, [PICTURE]) == shown


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "data:text/html,x", "cid:p@1", "vbscript:x"]
)
def test_a_link_leads_to_no_script(target: str) -> None:
    assert "href" not in display_html(f'<a href="{target}">x</a>', [PICTURE])


def test_a_picture_that_nobody_shows_is_not_named() -> None:
    hidden = File("a.png", "image/png", b"PNG", "p@1", inline=False)
    assert display_html('<img src="cid:p@1">', [hidden]) == "<img>"


@pytest.mark.parametrize(
    "html",
    ["<div>" * 30_000 + "Hallo", "".join(f"<b id={n}>" for n in range(900)) + "<p>Hallo" * 900,
     "<p " + "a=1 " * 20_000 + ">Hallo"],
    ids=["deep", "reopened", "long"],
)  # fmt: skip
def test_what_would_exhaust_a_browser_is_shown_as_text(html: str) -> None:
    shown = display_html(html)
    assert shown.startswith("<p>")
    assert "Hallo" in shown
    assert len(shown) < 20_000
