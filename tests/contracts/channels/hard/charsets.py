"""Wrong, unknown and missing charsets."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from tests.contracts.channels.hard import Hard, mail

CYRILLIC: Final = "Здравствуйте, где моя посылка? Она должна была прийти вчера вечером."
GREEK: Final = "Καλημέρα, πού είναι το δέμα μου; Έπρεπε να έρθει χθες το απόγευμα."
JAPANESE: Final = "こんにちは、私の荷物はどこですか。昨日届くはずでした。"
CHINESE: Final = "您好，我的包裹在哪里？昨天应该到了，但是没有收到。请尽快回复。"
KOREAN: Final = "안녕하세요, 제 소포가 어디에 있나요? 어제 도착했어야 했습니다."
HEBREW: Final = "שלום, איפה החבילה שלי? היא הייתה אמורה להגיע אתמול."


def said(content: bytes, charset: str = "", encoding: str = "8bit") -> bytes:
    """A mail with this content, of this charset, as it says."""
    declared = f"; charset={charset}" if charset else ""
    return mail(
        content, f"Content-Type: text/plain{declared}", f"Content-Transfer-Encoding: {encoding}"
    )


CHARSETS: Final[dict[str, Hard]] = {
    "x-gbk": Hard(said(CHINESE.encode("gbk"), "x-gbk"), CHINESE),
    "gb2312 with characters of gbk": Hard(said("镕基".encode("gbk"), "gb2312"), "镕基"),
    "hz": Hard(said("中文".encode("hz"), "hz-gb-2312"), "中文"),
    "cp-850": Hard(said("één".encode("cp850"), "cp-850"), "één"),
    "ibm437": Hard(said("één".encode("cp437"), "IBM437"), "één"),
    "iso-8859-8-i": Hard(said(HEBREW.encode("iso8859-8"), "iso-8859-8-i"), HEBREW),
    "visual hebrew": Hard(said("שלום".encode("iso8859-8"), "visual"), "שלום"),
    "utf-8mb4": Hard(said("één 📦".encode(), "utf-8mb4"), "één 📦"),
    "utf8 without its hyphen": Hard(said("één".encode(), "UTF8"), "één"),
    "iso-utf-8": Hard(said("één".encode(), "iso-UTF-8"), "één"),
    "unicode-1-1-utf-7": Hard(said(b"Gr+APwA3w-e", "unicode-1-1-utf-7"), "Grüße"),
    "an escape in its name": Hard(
        said(JAPANESE.encode("iso2022_jp"), "_iso-2022-jp$ESC"), JAPANESE
    ),
    "characters of vendors in iso-2022-jp": Hard(
        said(b"\x1b$B-!F|K\\\x1b(B ok", "iso-2022-jp"), "①日本 ok"
    ),
    "iso-2022-jp without a charset": Hard(said(JAPANESE.encode("iso2022_jp")), JAPANESE),
    "shift_jis": Hard(said("①日本".encode("cp932"), "shift_jis"), "①日本"),
    "euc-jp as eucjp": Hard(said("日本語".encode("euc_jp"), "eucjp"), "日本語"),
    "ks_c_5601-1987": Hard(said(KOREAN.encode("cp949"), "ks_c_5601-1987"), KOREAN),
    "big5 with hkscs": Hard(said("香港嘅".encode("big5hkscs"), "big5"), "香港嘅"),
    "windows-31j": Hard(said("㈱テスト".encode("cp932"), "Windows-31J"), "㈱テスト"),
    "koi8": Hard(said(CYRILLIC.encode("koi8_r"), "koi8"), CYRILLIC),
    "win-1257": Hard(said("Ačiū už žąsį".encode("cp1257"), "win-1257"), "Ačiū už žąsį"),
    "tis-620": Hard(said("สวัสดี".encode("cp874"), "tis-620"), "สวัสดี"),
    "macintosh": Hard(said("één naïef".encode("mac_roman"), "x-mac-roman"), "één naïef"),
    "latin1 with quotes of windows": Hard(
        said("“één” – 5 €".encode("cp1252"), "iso-8859-1"), "“één” – 5 €"
    ),
    "ascii with quotes of windows": Hard(
        said("“Hallo”".encode("cp1252"), "us-ascii"), "“Hallo”", guessed=True
    ),
    "ascii that is utf-8": Hard(said("één".encode(), "us-ascii"), "één", guessed=True),
    "latin1 that is utf-8": Hard(said("één café".encode(), "iso-8859-1"), "één café", guessed=True),
    "windows-1251 that is utf-8": Hard(
        said(CYRILLIC.encode(), "windows-1251"), CYRILLIC, guessed=True
    ),
    "koi8-r that is utf-8": Hard(said(CYRILLIC.encode(), "koi8-r"), CYRILLIC, guessed=True),
    "gb2312 that is utf-8": Hard(said(CHINESE.encode(), "gb2312"), CHINESE, guessed=True),
    "utf-8 that is latin1": Hard(
        said("Köln grüßt".encode("latin-1"), "utf-8"), "Köln grüßt", guessed=True
    ),
    "utf-16 that is ascii": Hard(said(b"Hallo", "utf-16"), "Hallo", guessed=True),
    "utf-16 without a mark": Hard(
        said(b64encode("één".encode("utf-16-le")), "utf-16le", "base64"), "één"
    ),
    "utf-16 with a mark, undeclared": Hard(
        said(b64encode("één".encode("utf-16")), "", "base64"), "één", guessed=True
    ),
    "utf-8 with a mark": Hard(said(b"\xef\xbb\xbfHallo", "utf-8"), "Hallo"),
    "surrogates as utf-8": Hard(
        said(b"ok \xed\xa0\xbd\xed\xb8\x80", "utf-8"), "ok 😀", guessed=True
    ),
    "half a surrogate": Hard(said(b"ok \xed\xa0\xbd ok", "utf-8"), "ok � ok", guessed=True),
    "cut inside its last character": Hard(
        said(b"caf\xc3\xa9 \xe2\x82", "utf-8"), "café", guessed=True
    ),
    "one paragraph of another charset": Hard(
        said("één ".encode() + "twéé".encode("latin-1"), "utf-8"), "één twéé", guessed=True
    ),
    "unknown charset, utf-8": Hard(said("één".encode(), "x-klingon"), "één", guessed=True),
    "unknown charset, windows-1252": Hard(
        said("één".encode("cp1252"), "unknown-8bit"), "één", guessed=True
    ),
    "a codec that is no charset": Hard(said("één".encode(), "punycode"), "één", guessed=True),
    "another codec that is no charset": Hard(said(b"Hallo", "rot13"), "Hallo"),
    "charset is a mess": Hard(said("één".encode(), '"; utf-8; x='), "één"),
    "charset in the wrong quotes": Hard(said("één".encode("latin-1"), "'iso-8859-1'"), "één"),
    "charset still quoted-printable": Hard(said("één".encode(), '3D"utf-8"'), "één"),
    "charset without its name": Hard(
        mail("één".encode("latin-1"), "Content-Type: text/plain; iso-8859-1"), "één"
    ),
    "no charset, cyrillic": Hard(said(CYRILLIC.encode("cp1251")), CYRILLIC, guessed=True),
    "no charset, koi8": Hard(said(CYRILLIC.encode("koi8_r")), CYRILLIC, guessed=True),
    "no charset, greek": Hard(said(GREEK.encode("cp1253")), GREEK, guessed=True),
    "no charset, japanese": Hard(said(JAPANESE.encode("cp932")), JAPANESE, guessed=True),
    "no charset, chinese": Hard(said(CHINESE.encode("gb18030")), CHINESE, guessed=True),
    "no charset, korean": Hard(said(KOREAN.encode("cp949")), KOREAN, guessed=True),
    "no charset, one accent": Hard(
        said(b"Het caf\xe9 is dicht."), "Het café is dicht.", guessed=True
    ),
    "bytes that windows-1252 has not": Hard(said(b"a\x81b \x9d", "iso-8859-1"), "ab", guessed=True),
    "nul and controls": Hard(said(b"Ha\0l\x07l\x1bo\x7f", "utf-8"), "Hallo"),
    "html says its charset itself": Hard(
        mail(
            b'<html><head><meta http-equiv="Content-Type" '
            b'content="text/html; charset=windows-1251">'
            b"</head><body>" + "Привет".encode("cp1251") + b"</body></html>",
            "Content-Type: text/html",
        ),
        "Привет",
    ),
    "html says its charset in short": Hard(
        mail(b'<meta charset="koi8-r">' + "Привет".encode("koi8_r"), "Content-Type: text/html"),
        "Привет",
    ),
}
