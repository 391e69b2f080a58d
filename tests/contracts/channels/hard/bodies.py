"""Contents that are encoded wrongly, texts with soft line ends, HTML."""

from __future__ import annotations

import binascii
from base64 import b64encode
from typing import Final

from tests.contracts.channels.hard import Hard, mail, part, parts

TEXT: Final = "Mijn pakket is gisteren niet bezorgd, terwijl ik de hele dag thuis was. Één vraag."


def encoded(content: bytes | str, encoding: str, type: str = "text/plain; charset=utf-8") -> bytes:
    return mail(content, f"Content-Type: {type}", f"Content-Transfer-Encoding: {encoding}")


def html(markup: str) -> bytes:
    return mail(markup, "Content-Type: text/html; charset=utf-8")


def flowed(text: str, more: str = "") -> bytes:
    return mail(text, f"Content-Type: text/plain; charset=utf-8; format=flowed{more}")


def both(plain: str, markup: str) -> bytes:
    return parts(
        part(plain, "Content-Type: text/plain; charset=utf-8"),
        part(markup, "Content-Type: text/html; charset=utf-8"),
        type="alternative",
    )


def uu(content: bytes, name: str = "bon.pdf") -> str:
    lines = [binascii.b2a_uu(content[at : at + 45]).decode() for at in range(0, len(content), 45)]
    return f"begin 644 {name}\n{''.join(lines)}`\nend\n"


_B64: Final = b64encode(TEXT.encode())
_PDF: Final = b"%PDF-1.4 bon " * 9

ENCODINGS: Final[dict[str, Hard]] = {
    "base64 in one line": Hard(encoded(_B64, "base64"), TEXT),
    "base64 without padding": Hard(encoded(_B64.rstrip(b"="), "BASE64"), TEXT),
    "base64 with noise": Hard(
        encoded(_B64[:10] + b"\0*!" + _B64[10:40] + b"\r\n~\r\n" + _B64[40:], "base64"), TEXT
    ),
    "base64 with blanks in it": Hard(encoded(b" ".join((_B64[:30], _B64[30:])), "base64"), TEXT),
    "base64 with a footer in plain text": Hard(
        encoded(
            _B64 + b"\r\n\r\n-- \r\nThis list is run by the volunteers of the club\r\n", "base64"
        ),
        TEXT,
    ),
    "base64 of two pieces": Hard(
        encoded(b64encode("Één".encode()) + b"\r\n" + b64encode(b" twee"), "base64"), "Één twee"
    ),
    "base64 for addresses": Hard(
        encoded(b64encode("¿¿¿???>>>ÿÿÿ".encode(), b"-_"), "base64"), "¿¿¿???>>>ÿÿÿ"
    ),
    "base64 that is plain text": Hard(
        encoded("Dit is gewone tekst, niets meer.", "base64"), "Dit is gewone tekst, niets meer."
    ),
    "base64 that is plain text without blanks": Hard(
        encoded("Hallo,(daar)?!:\r\n*Ja!*,<nee>;", "base64"), "Hallo,(daar)?!:\n*Ja!*,<nee>;"
    ),
    "base64 with a comment": Hard(encoded(_B64, "base64 (of Jan)"), TEXT),
    "base64 in quotes": Hard(encoded(_B64, '"base64";'), TEXT),
    "quoted-printable": Hard(encoded("=C3=89=C3=A9n=20vraag=2E", "quoted-printable"), "Één vraag."),
    "quoted-printable in lower case": Hard(encoded("=c3=89=c3=a9n", "Quoted-Printable"), "Één"),
    "a soft break inside a character": Hard(
        encoded("=C3=\r\n=89=C3=A9n", "quoted-printable"), "Één"
    ),
    "a soft break with blanks": Hard(encoded("Hal=  \t\r\nlo", "quoted-printable"), "Hallo"),
    "a soft break at the end": Hard(encoded("Hallo=", "quoted-printable"), "Hallo"),
    "an escape that is none": Hard(encoded("a=ZZ b=", "quoted-printable"), "a=ZZ b"),
    "an equals sign nobody escaped": Hard(
        encoded("https://x.example/?a=http&b=é", "quoted-printable"),
        "https://x.example/?a=http&b=é",
    ),
    "line ends escaped": Hard(encoded("een=0D=0Atwee", "quoted-printable"), "een\ntwee"),
    "quoted_printable": Hard(encoded("=C3=A9", "quoted_printable"), "é"),
    "an encoding of nobody": Hard(encoded("Hallo", "base9000")),
    "an encoding that is a charset": Hard(encoded("één", "utf-8"), "één"),
    "an encoding of 8 bits": Hard(encoded("één", "8bits"), "één"),
    "uuencode in the text": Hard(
        mail(f"Zie bijlage.\n\n{uu(_PDF)}\nGroet"),
        "Zie bijlage.\n\n\nGroet",
        files=[("bon.pdf", "application/octet-stream", _PDF)],
    ),
    "uuencode with a name that climbs": Hard(
        mail(f"Zie bijlage.\n{uu(_PDF, '../../etc/passwd')}"),
        "Zie bijlage.",
        files=[("passwd", "application/octet-stream", _PDF)],
    ),
    "uuencode that does not end": Hard(mail("begin 644 a.txt\n#86)C"), "begin 644 a.txt\n#86)C"),
    "a sentence that begins": Hard(
        mail("begin 644 dingen\nof niet\nend"), "begin 644 dingen\nof niet\nend"
    ),
    "x-uuencode": Hard(
        parts(
            part("Zie bijlage."),
            part(
                uu(_PDF),
                'Content-Type: application/pdf; name="bon.pdf"',
                "Content-Transfer-Encoding: x-uuencode",
            ),
        ),
        "Zie bijlage.",
        files=[("bon.pdf", "application/pdf", _PDF)],
    ),
    "yenc is left alone": Hard(
        mail("=ybegin line=128 size=3 name=a.bin\nabc\n=yend size=3"),
        "=ybegin line=128 size=3 name=a.bin\nabc\n=yend size=3",
    ),
}
FLOWED: Final[dict[str, Hard]] = {
    "soft breaks": Hard(
        flowed("Deze regel \r\nloopt door \r\nen nog."), "Deze regel loopt door en nog."
    ),
    "soft breaks, blank deleted": Hard(flowed("Deze \r\nregel", "; DelSp=Yes"), "Dezeregel"),
    "soft breaks in a quotation": Hard(
        flowed("> een \r\n> twee\r\nmijn \r\nantwoord"), "> een twee\nmijn antwoord"
    ),
    "soft break before a deeper quotation": Hard(flowed("> een \r\n>> twee"), "> een\n>> twee"),
    "a signature is no paragraph": Hard(flowed("Groet \r\n-- \r\nJan"), "Groet\n-- \nJan"),
    "stuffed blanks": Hard(flowed(" > geen citaat\r\n From here"), "> geen citaat\nFrom here"),
    "flowed by a soft break of quoted-printable": Hard(
        mail(
            "Foo =\r\n\r\nBar",
            "Content-Type: text/plain; format=flowed; delsp=yes",
            "Content-Transfer-Encoding: quoted-printable",
        ),
        "FooBar",
    ),
    "not flowed": Hard(
        mail("Regel \r\ntwee", "Content-Type: text/plain; format=fixed"), "Regel \ntwee"
    ),
}
HTML: Final[dict[str, Hard]] = {
    "blocks and breaks": Hard(
        html("<p>een</p><div>twee<br>drie</div>vier"), "een\n\ntwee\ndrie\nvier"
    ),
    "lists": Hard(
        html("<ul><li>a<li>b</ul><ol start=3><li>c</li><li>d</li></ol>"), "- a\n- b\n\n3. c\n4. d"
    ),
    "a table": Hard(
        html(
            "<table><tr><th>Artikel</th><th>Aantal</th></tr><tr><td>Doos</td><td>2</td></tr></table>"
        ),
        "Artikel Aantal\nDoos 2",
    ),
    "links": Hard(
        html(
            '<a href="https://x.example/a?b=1&amp;copy=2">hier</a> <a href="https://x.example">x.example</a>'
        ),
        "hier <https://x.example/a?b=1&copy=2> x.example",
    ),
    "a link to a script": Hard(html('<a href="javascript:alert(1)">hier</a>'), "hier"),
    "a link around a picture": Hard(
        html('<a href="https://x.example/"><img src="a.png" alt="Kijk"></a>'),
        "[Kijk] <https://x.example/>",
    ),
    "references": Hard(
        html("&eacute;&#233;&#xe9; &euro;5 &lt;b&gt; &amp;amp; &nbsp;x&copy"),
        "ééé €5 <b> &amp; \xa0x©",
    ),
    "references that are none": Hard(html("a&b; &#99999999; &onzin; &#x80;"), "a&b; � &onzin; €"),
    "scripts and styles": Hard(
        html("<style>p{}</style><script>if(a<b)alert('</p>')</script>Hallo<SCRIPT SRC=x></SCRIPT>")
    ),
    "a style that does not close": Hard(html("<style>p{} <p>Hallo"), "p{} Hallo"),
    "a title that does not close": Hard(html("<title>x<body>Hallo"), "x Hallo"),
    "a head that does not close": Hard(html("<head><meta x><p>Hallo")),
    "a preheader": Hard(
        html('<div style="display:none;max-height:0">Bekijk snel&zwnj;&nbsp;&zwnj;</div><p>Hallo')
    ),
    "a preheader without display": Hard(
        html('<div style="max-height:0px;overflow:hidden;opacity:0">Snel</div><p>Hallo')
    ),
    "filler behind a preheader": Hard(
        html("Hallo" + "&#847;&zwnj;&nbsp;&#8199;&shy;" * 30), "Hallo"
    ),
    "all of it hidden": Hard(html('<div style="display:none">Hallo</div>')),
    "a body that is hidden": Hard(html('<body style="visibility:hidden">Hallo</body>')),
    "comments and conditions": Hard(
        html(
            "<!--[if mso]><p>oud</p><![endif]--><!--[if !mso]><!-->Hallo"
            "<!--<![endif]--><![if x]> x<![endif]>"
        ),
        "Hallo x",
    ),
    "a comment that does not close": Hard(
        html("Hallo <!-- hier" + " en verder" * 40), "Hallo <!-- hier" + " en verder" * 40
    ),
    "a tag that does not close": Hard(html("Hallo <a href="), "Hallo"),
    "a quote that does not close": Hard(html('<p class="x>Hallo</p><p>daar</p>'), "Hallo\n\ndaar"),
    "an address in brackets": Hard(
        html("Jan <jan@example.net> en <https://x.example/a>"),
        "Jan <jan@example.net> en <https://x.example/a>",
    ),
    "less than": Hard(html("1 < 2 en 3 > 2 <3"), "1 < 2 en 3 > 2 <3"),
    "tags of word": Hard(html("<o:p>Hallo</o:p><?xml:namespace prefix=o /> daar"), "Hallo daar"),
    "quotations": Hard(
        html("nieuw<blockquote>oud<blockquote>ouder</blockquote></blockquote>"),
        "nieuw\n\n> oud\n>\n> > ouder",
    ),
    "text as it stands": Hard(html("<pre>a\n  b</pre>"), "a\n  b"),
    "closed in the wrong order": Hard(
        html("<b><i>Hallo</b></i> <p>daar</div></p>"), "Hallo\n\ndaar"
    ),
    "a frame": Hard(
        html("<iframe src=x>oud</iframe>Hallo<object>oud</object><svg><text>x</text></svg>")
    ),
    "a form": Hard(
        html("<form><label>Naam</label> <select><option>a</select><button>Stuur</button>"),
        "Naam Stuur",
    ),
    "plain text that is html": Hard(mail("<!DOCTYPE html>\n<html><p>Hallo</p></html>")),
    "xhtml": Hard(mail("<html><p>Hallo</p></html>", "Content-Type: application/xhtml+xml")),
    "5,000 levels": Hard(html("<div>" * 5_000 + "Hallo")),
    "60,000 tags": Hard(html("Hallo" + "<b></b>" * 60_000), beyond=("html",)),
    "more than is looked at": Hard(html("Hallo<p>" + "<i></i>" * 80_000), beyond=("html",)),
    "a picture of a megabyte": Hard(
        html(f'<img src="data:image/png;base64,{"A" * 1_000_000}">Hallo')
    ),
}
CHOICES: Final[dict[str, Hard]] = {
    "both say the same": Hard(both("Hallo daar", "<p>Hallo <b>daar</b></p>"), "Hallo daar"),
    "plain is empty": Hard(both(" \r\n", "<p>Hallo daar"), "Hallo daar"),
    "plain is a stub": Hard(both("Zie HTML.", f"<p>{TEXT}"), TEXT),
    "plain says to look elsewhere": Hard(
        both("Your e-mail program does not support HTML messages.", "<p>Hallo, waar blijft het?"),
        "Hallo, waar blijft het?",
    ),
    "plain is short, the addresses are long": Hard(
        both("Bel mij", f'<p>Bel mij<p><a href="https://x.example/{"a" * 300}">Wij</a>'), "Bel mij"
    ),
    "plain speaks of html": Hard(
        both("Uw HTML is kapot op de pagina", "<p>Uw HTML is kapot op de pagina"),
        "Uw HTML is kapot op de pagina",
    ),
    "html before plain": Hard(
        parts(
            part("<p>Rijk en mooi", "Content-Type: text/html"),
            part("Kaal en mooi"),
            type="alternative",
        ),
        "Kaal en mooi",
    ),
    "enriched": Hard(
        mail("<bold>Hallo</bold> <<daar", "Content-Type: text/enriched"), "Hallo <daar"
    ),
    "only another form of html": Hard(
        parts(
            part("Hallo"),
            part("<html amp4email>", "Content-Type: text/x-amp-html"),
            type="alternative",
        )
    ),
    "html and text one behind the other": Hard(
        parts(part("<p>Hallo", "Content-Type: text/html"), part("van de lijst")),
        "Hallo\n\nvan de lijst",
    ),
}
