"""Multiparts that were spoilt, attachments with odd names, limits."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from tests.contracts.channels.hard import Expected, Hard, mail, part, parts

BIN: Final = "application/octet-stream"
_CSV: Final[Expected] = ("a.csv", "text/csv", b"1;2")
_TEXT: Final = part("Hallo", "Content-Type: text/plain")
_FILE: Final = part("1;2", 'Content-Type: text/csv; name="a.csv"')


def multi(body: str, type: str = 'Content-Type: multipart/mixed; boundary="b"') -> bytes:
    return mail(body, type)


def named(*headers: bytes | str) -> bytes:
    return parts(_TEXT, part("x", *headers))


def _name(header: bytes | str, read: str, type: str = BIN) -> Hard:
    """An attachment whose Content-Disposition ends so."""
    line = header.encode() if isinstance(header, str) else header
    raw = named(f"Content-Type: {type}", b"Content-Disposition: attachment; " + line)
    return Hard(raw, files=[(read, type, b"x")])


def _pictures(markup: str, *pictures: bytes) -> bytes:
    return parts(part(markup, "Content-Type: text/html"), *pictures, type="related")


def _picture(cid: str, disposition: str = "inline", name: str = "a.png") -> bytes:
    return part(
        b64encode(b"PNG"), f'Content-Type: image/png; name="{name}"', f"Content-ID: {cid}",
        f"Content-Disposition: {disposition}", "Content-Transfer-Encoding: base64",
    )  # fmt: skip


_PNG: Final[Expected] = ("a.png", "image/png", b"PNG")
_INNER: Final = b"From: piet@example.com\r\nSubject: Oud: nieuws/1\r\nX-Odd:  twee  \r\n\r\nBinnen"

STRUCTURES: Final[dict[str, Hard]] = {
    "text before and behind the parts": Hard(
        multi("This is a multi-part message.\r\n--b\r\n\r\nHallo\r\n--b--\r\nnaschrift")
    ),
    "no closing delimiter": Hard(
        parts(_TEXT, _FILE, close=False), files=[("a.csv", "text/csv", b"1;2\r\n")]
    ),
    "a delimiter as the closing one": Hard(multi("--b\r\n\r\nHallo\r\n--b\r\n\r\n"), "Hallo"),
    "a closing delimiter before the last part": Hard(
        multi(
            "--b\r\n\r\nHallo\r\n--b--\r\n--b\r\n"
            'Content-Type: text/csv; name="a.csv"\r\n\r\n1;2\r\n--b--'
        ),
        files=[_CSV],
    ),
    "blanks behind the delimiters": Hard(multi("--b  \r\n\r\nHallo\r\n--b-- \t\r\n")),
    "blanks at the ends of the boundary": Hard(
        multi("--b\r\n\r\nHallo\r\n--b--", 'Content-Type: multipart/mixed; boundary=" b "')
    ),
    "blanks inside the boundary": Hard(
        multi("--a  b\r\n\r\nHallo\r\n--a  b--", 'Content-Type: multipart/mixed; boundary="a  b"')
    ),
    "single quotes around the boundary": Hard(
        multi("--b\r\n\r\nHallo\r\n--b--", "Content-Type: multipart/mixed; boundary='b'")
    ),
    "single quotes around the boundary, parts without headers": Hard(
        multi("--b\r\nHallo\r\n--b--", "Content-Type: multipart/mixed; boundary='b'")
    ),
    "a boundary without quotes": Hard(
        multi(
            "--=_x:1?(2)\r\n\r\nHallo\r\n--=_x:1?(2)--",
            "Content-Type: multipart/mixed; boundary==_x:1?(2)",
        )
    ),
    "a boundary whose quote does not close": Hard(
        multi("--b\r\n\r\nHallo\r\n--b--", 'Content-Type: multipart/mixed; boundary="b')
    ),
    "a boundary without a semicolon": Hard(
        multi("--b\r\n\r\nHallo\r\n--b--", 'Content-Type: multipart/mixed\r\n\tboundary="b"')
    ),
    "a boundary in utf-8": Hard(
        multi("--één\r\n\r\nHallo\r\n--één--", 'Content-Type: multipart/mixed; boundary="één"')
    ),
    "no boundary": Hard(
        multi(
            "--b\r\nContent-Type: text/plain\r\n\r\nHallo\r\n--b--", "Content-Type: multipart/mixed"
        )
    ),
    "another boundary": Hard(multi("--c\r\nContent-Type: text/plain\r\n\r\nHallo\r\n--c--")),
    "a boundary in another case": Hard(
        multi(
            "--ABC\r\nContent-Type: text/plain\r\n\r\nHallo\r\n--ABC--",
            'Content-Type: multipart/mixed; boundary="abc"',
        )
    ),
    "no delimiter at all": Hard(multi("Hallo\r\n-- \r\nJan"), "Hallo\n-- \nJan"),
    "no parts": Hard(multi("--b--"), ""),
    "all text before the parts": Hard(multi("Hallo\r\n--b\r\n\r\n\r\n--b--")),
    "a multipart without a subtype": Hard(
        multi("--b\r\n\r\nHallo\r\n--b--", "Content-Type: multipart; boundary=b")
    ),
    "a multipart that says html": Hard(
        multi("--b\r\n\r\nHallo\r\n--b--", 'Content-Type: text/html; boundary="b"')
    ),
    "a multipart that says nothing": Hard(
        mail("--b\r\nContent-Type: text/plain\r\n\r\nHallo\r\n--b--\r\n")
    ),
    "two content types": Hard(
        mail(
            "--b\r\n\r\nHallo\r\n--b--",
            "Content-Type: text/plain",
            "Content-Type: multipart/mixed; boundary=b",
        )
    ),
    "two content types, the first right": Hard(
        mail(
            "--b\r\n\r\nHallo\r\n--b--",
            "Content-Type: multipart/mixed; boundary=b",
            "Content-type: text/plain",
        )
    ),
    "a multipart in base64": Hard(
        mail(
            b64encode(b"--b\r\n\r\nHallo\r\n--b--"),
            "Content-Type: multipart/mixed; boundary=b",
            "Content-Transfer-Encoding: base64",
        )
    ),
    "an outer delimiter inside an inner part": Hard(
        multi(
            '--b\r\nContent-Type: multipart/mixed; boundary="i"\r\n\r\n--i\r\n\r\nHallo\r\n'
            '--b\r\nContent-Type: text/csv; name="a.csv"\r\n\r\n1;2\r\n--b--'
        ),
        files=[_CSV],
    ),
    "a boundary that begins another": Hard(
        multi(
            '--b\r\nContent-Type: multipart/mixed; boundary="bb"\r\n\r\n'
            "--bb\r\n\r\nHallo\r\n--bb--\r\n"
            '--b\r\nContent-Type: text/csv; name="a.csv"\r\n\r\n1;2\r\n--b--'
        ),
        files=[_CSV],
    ),
    "the same boundary inside": Hard(
        multi(
            '--b\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
            "--b\r\n\r\nHallo\r\n--b--\r\n--b--"
        )
    ),
    "a part without headers": Hard(
        multi("--b\r\nHallo\r\n--b\r\n\r\ndaar\r\n--b--"), "Hallo\n\ndaar"
    ),
    "an empty line before a part's headers": Hard(
        multi("--b\r\n\r\nContent-Type: text/html\r\n\r\n<p>Hallo\r\n--b--")
    ),
    "a folded header of a part that lost its indent": Hard(
        parts(_TEXT, part("1;2", 'Content-Type: text/csv;\r\nname="a.csv"')), files=[_CSV]
    ),
    "a digest": Hard(
        multi(
            "--b\r\n\r\nSubject: een\r\n\r\n1\r\n--b--",
            "Content-Type: multipart/digest; boundary=b",
        ),
        "",
        files=[("een.eml", "message/rfc822", b"Subject: een\r\n\r\n1")],
    ),
    "a mail in a mail": Hard(
        parts(_TEXT, part(_INNER, "Content-Type: message/rfc822")),
        files=[("Oud_ nieuws_1.eml", "message/rfc822", _INNER)],
    ),
    "a mail in a mail, in base64": Hard(
        parts(
            _TEXT,
            part(
                b64encode(_INNER),
                "Content-Type: message/rfc822",
                "Content-Transfer-Encoding: base64",
            ),
        ),
        files=[("Oud_ nieuws_1.eml", "message/rfc822", _INNER)],
    ),
    "nothing but a mail": Hard(
        mail(_INNER, "Content-Type: message/rfc822"),
        "",
        files=[("Oud_ nieuws_1.eml", "message/rfc822", _INNER)],
    ),
    "a piece of a mail": Hard(
        mail("stuk", 'Content-Type: message/partial; number=2; total=3; id="x@y"'),
        "",
        files=[("part-1.eml", "message/partial", b"stuk")],
    ),
    "a body elsewhere": Hard(
        parts(
            _TEXT,
            part(
                "Content-Type: text/plain\r\n\r\n",
                'Content-Type: message/external-body; access-type=URL; URL="http://x.example"',
            ),
        ),
        files=[("part-1.txt", "message/external-body", b"Content-Type: text/plain\r\n\r\n")],
    ),
    "signed": Hard(
        parts(
            _TEXT,
            part("sig", 'Content-Type: application/pgp-signature; name="signature.asc"'),
            type="signed",
        ),
        files=[("signature.asc", "application/pgp-signature", b"sig")],
    ),
    "s/mime, all of it": Hard(
        mail(
            b64encode(b"CMS"),
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
            "Content-Transfer-Encoding: base64",
        ),
        "",
        files=[("smime.p7m", "application/pkcs7-mime", b"CMS")],
    ),
    "pgp, all of it": Hard(
        parts(
            part("Version: 1", "Content-Type: application/pgp-encrypted"),
            part(
                "-----BEGIN PGP MESSAGE-----",
                'Content-Type: application/octet-stream; name="encrypted.asc"',
            ),
            type="encrypted",
        ),
        "",
        files=[
            ("part-1.pgp", "application/pgp-encrypted", b"Version: 1"),
            ("encrypted.asc", BIN, b"-----BEGIN PGP MESSAGE-----"),
        ],
    ),
    "tnef": Hard(
        parts(_TEXT, part(b'x\x9f>"', 'Content-Type: application/ms-tnef; name="winmail.dat"')),
        files=[("winmail.dat", "application/ms-tnef", b'x\x9f>"')],
    ),
    "a text that has a name": Hard(mail("Hallo", 'Content-Type: text/plain; name="bericht.txt"')),
    "only texts that have names": Hard(
        parts(part("Hallo", 'Content-Type: text/plain; name="a.txt"')),
        files=[("a.txt", "text/plain", b"Hallo")],
    ),
    "html with a name beside its text": Hard(
        parts(
            part("Hallo"),
            part("<p>Hallo", 'Content-Type: text/html; name="m.html"'),
            type="alternative",
        )
    ),
    "a text that is attached": Hard(
        parts(
            _TEXT, part("niet dit", "Content-Type: text/plain", "Content-Disposition: attachment")
        ),
        files=[("part-1.txt", "text/plain", b"niet dit")],
    ),
    "a content type of nobody": Hard(
        named("Content-Type: onzin; name=a.bin"), files=[("a.bin", BIN, b"x")]
    ),
    "a content type that is empty": Hard(mail("Hallo", "Content-Type:")),
    "a content type that is text": Hard(mail("Hallo", "Content-Type: text")),
    "a content type with a bracket": Hard(mail("Hallo", "Content-Type: text/plain>")),
    "a content type with blanks": Hard(
        mail("<p>Hallo", "Content-Type: text / HTML ; charset=utf-8")
    ),
    "a content type with a comment": Hard(mail("<p>Hallo", "Content-Type: (a) text/html (b)")),
}
NAMES: Final[dict[str, Hard]] = {
    "plain": _name('filename="a.pdf"', "a.pdf"),
    "not quoted, with blanks": _name("filename=mijn bon.pdf", "mijn bon.pdf"),
    "not quoted, with a semicolon": _name("filename=a;b.pdf", "a;b.pdf"),
    "not quoted, with brackets": _name("filename=bon_(1).pdf", "bon_(1).pdf"),
    "quotes inside quotes": _name('filename="mijn "eigen" bon.pdf"', "mijn _eigen_ bon.pdf"),
    "escaped quotes": _name('filename="mijn \\"eigen\\" bon.pdf"', "mijn _eigen_ bon.pdf"),
    "a quote that does not close": _name('filename="bon.pdf', "bon.pdf"),
    "rfc 2231": _name("filename*=UTF-8''f%C3%A9e%20%E2%82%AC.pdf", "fée €.pdf"),
    "rfc 2231 in quotes": _name("filename*=\"utf-8''f%C3%A9e.pdf\"", "fée.pdf"),
    "rfc 2231 without its star": _name("filename=\"utf-8''f%C3%A9e.pdf\"", "fée.pdf"),
    "rfc 2231 without a charset": _name("filename*=bon.pdf", "bon.pdf"),
    "rfc 2231 in latin1": _name("filename*=iso-8859-1'nl'f%E9e.pdf", "fée.pdf"),
    "rfc 2231 beside the plain one": _name(
        "filename=\"fee.pdf\"; filename*=UTF-8''f%C3%A9e.pdf", "fée.pdf"
    ),
    "rfc 2231 continued": _name("filename*0=bon; filename*1=_1; filename*2=.pdf", "bon_1.pdf"),
    "rfc 2231 continued out of order": _name("filename*1=_1.pdf; filename*0=bon", "bon_1.pdf"),
    "rfc 2231 cut inside a character": _name(
        "filename*0*=euc-kr''%C7%D1%B1; filename*1*=%B9.pdf", "한국.pdf"
    ),
    "rfc 2231 continued, some of it encoded": _name(
        "filename*0*=UTF-8''f%C3%A9; filename*1=\"e 1\"; filename*2*=%2Epdf", "fée 1.pdf"
    ),
    "rfc 2047": _name('filename="=?utf-8?Q?f=C3=A9e=2Epdf?="', "fée.pdf"),
    "rfc 2047 not quoted": _name("filename==?utf-8?B?ZsOpZS5wZGY=?=", "fée.pdf"),
    "rfc 2047 folded": _name('filename="=?utf-8?Q?f=C3=A9e?=\r\n =?utf-8?Q?=2Epdf?="', "fée.pdf"),
    "rfc 2047 continued": _name('filename*0="=?utf-8?Q?f=C3"; filename*1="=A9e.pdf?="', "fée.pdf"),
    "raw utf-8": _name('filename="fée €.pdf"', "fée €.pdf"),
    "raw latin1": _name('filename="fée.pdf"'.encode("latin-1"), "fée.pdf"),
    "raw iso-2022-jp": _name(
        b'filename="' + "請求書".encode("iso2022_jp") + b'.pdf"', "請求書.pdf"
    ),
    "followed by another, no semicolon": _name("filename=bon.pdf size=3", "bon.pdf"),
    "given twice": _name('filename="a.pdf"; filename="b.pdf"', "a.pdf"),
    "as a name": _name('name="a.pdf"', "a.pdf"),
    "a path": _name('filename="../../etc/passwd"', "passwd"),
    "a path of windows": _name('filename="C:\\\\Users\\\\jan\\\\bon.pdf"', "bon.pdf"),
    "a path, not escaped": _name('filename="C:\\Users\\bon.pdf"', "bon.pdf"),
    "a path that is encoded": _name("filename*=utf-8''..%2F..%2Fbon.pdf", "bon.pdf"),
    "nothing but a path": _name('filename="../.."', "part-1.bin"),
    "empty": _name('filename=""', "part-1.bin"),
    "nothing but dots": _name('filename="..."', "part-1.bin"),
    "controls": _name('filename="a\tb\x07.pdf"', "a b.pdf"),
    "a nul": _name(b'filename="a.exe\0.pdf"', "a.exe.pdf"),
    "turned around": _name("filename*=utf-8''bon%E2%80%AEfdp.exe", "bonfdp.exe"),
    "reserved by windows": _name('filename="con.txt"', "_con.txt"),
    "characters that windows refuses": _name('filename="a:b|c?.pdf"', "a_b_c_.pdf"),
    "very long": _name(f'filename="{"a" * 300}.pdf"', "a" * 146 + ".pdf"),
    "very long in bytes": _name(f'filename="{"語" * 140}.pdf"', "語" * 65 + ".pdf"),
    "only in the content type": Hard(
        named("Content-Type: application/pdf; name=bon.pdf"),
        files=[("bon.pdf", "application/pdf", b"x")],
    ),
    "only in the location": Hard(
        named("Content-Type: image/gif", "Content-Location: http://x.example/pics/logo.gif"),
        files=[("logo.gif", "image/gif", b"x")],
    ),
    "nowhere": Hard(named("Content-Type: image/jpeg"), files=[("part-1.jpg", "image/jpeg", b"x")]),
    "the same twice": Hard(
        parts(_TEXT, _FILE, _FILE), files=[_CSV, ("a (2).csv", "text/csv", b"1;2")]
    ),
    "without a disposition": Hard(
        named("Content-Type: application/pdf", 'Content-Disposition: ; filename="bon.pdf"'),
        files=[("bon.pdf", "application/pdf", b"x")],
    ),
}
PICTURES: Final[dict[str, Hard]] = {
    "shown": Hard(
        _pictures('Hallo<img src="cid:p1@x">', _picture("<p1@x>")), files=[_PNG], inline=["a.png"]
    ),
    "shown, but attached": Hard(
        _pictures("Hallo<img src='CID:p1'>", _picture("<p1>", "attachment")),
        files=[_PNG],
        inline=["a.png"],
    ),
    "not shown, but inline": Hard(_pictures("Hallo", _picture("<p1>")), files=[_PNG]),
    "its address encoded": Hard(
        _pictures('Hallo<img src="cid:p%401">', _picture("<p@1>")), files=[_PNG], inline=["a.png"]
    ),
    "its id without brackets": Hard(
        _pictures('Hallo<img src="cid:p1">', _picture("p1")), files=[_PNG], inline=["a.png"]
    ),
    "as a background": Hard(
        _pictures('<td style="background:url(cid:p1)">Hallo</td>', _picture("<p1>")),
        files=[_PNG],
        inline=["a.png"],
    ),
    "twice the same id": Hard(
        _pictures('Hallo<img src="cid:p1">', _picture("<p1>"), _picture("<p1>", name="b.png")),
        files=[_PNG, ("b.png", "image/png", b"PNG")],
        inline=["a.png", "b.png"],
    ),
}
_DEEP: Final = "".join(
    f"--x{n}\r\nContent-Type: multipart/mixed; boundary=x{n + 1}\r\n\r\n" for n in range(30)
)
LIMITS: Final[dict[str, Hard]] = {
    "too many parts": Hard(
        parts(_TEXT, *[part(str(n), "Content-Type: application/x-n") for n in range(150)]),
        files=[(f"part-{n + 1}.bin", "application/x-n", str(n).encode()) for n in range(98)],
        beyond=("parts",),
    ),
    "too deep": Hard(
        multi(
            "--b\r\n\r\nHallo\r\n--b\r\nContent-Type: multipart/mixed; boundary=x0\r\n\r\n"
            f"{_DEEP}\r\n"
        ),
        files=[("part-1.bin", BIN, _DEEP.partition("boundary=x19\r\n\r\n")[2].encode() + b"\r\n")],
        beyond=("depth",),
    ),
}
