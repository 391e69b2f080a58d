"""Broken, missing and oddly written headers."""

from __future__ import annotations

from typing import Final

from tests.contracts.channels.hard import Hard, mail


def subject(raw: bytes | str) -> bytes:
    return mail(b"Hallo", b"Subject: " + (raw.encode() if isinstance(raw, str) else raw))


def author(raw: bytes | str) -> bytes:
    return mail(b"Hallo", b"From: " + (raw.encode() if isinstance(raw, str) else raw))


def _anonymous(raw: bytes | str) -> Hard:
    return Hard(author(raw), sender="", name="")


def _by(raw: bytes | str, sender: str = "jan@example.net", name: str = "Jan Jansen") -> Hard:
    return Hard(author(raw), sender=sender, name=name)


def _about(raw: bytes | str, read: str) -> Hard:
    return Hard(subject(raw), subject=read)


WORDS: Final[dict[str, Hard]] = {
    "a word cut inside a character": _about("=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=n", "én"),
    "a word cut inside a group of four": _about("=?utf-8?B?w?= =?utf-8?B?6luZQ==?=", "éne"),
    "a word cut in an emoji": _about("=?UTF-8?Q?=F0=9F=93?=\r\n =?utf-8?q?=A6?=", "📦"),
    "words of two encodings": _about("=?utf-8?Q?=E2=82?= =?utf-8?B?rA==?=", "€"),
    "words of two charsets": _about("=?utf-8?q?a=C3=A9?= =?iso-8859-1?q?=E9b?=", "aééb"),
    "words with text between": _about("Re: =?utf-8?Q?caf=C3=A9?=: =?utf-8?q?x?=", "Re: café: x"),
    "words without a blank between": _about("=?utf-8?Q?=C3=A9?==?utf-8?Q?=C3=A9?=", "éé"),
    "a word inside another": _about("een=?utf-8?Q?=C3=A9?=n", "eenén"),
    "a word in lower case": _about("=?UTF-8?q?caf=c3=a9?=", "café"),
    "a word with blanks": _about("=?utf-8?Q?een twee drie?=", "een twee drie"),
    "a word with a question mark": _about("=?utf-8?Q?Waar? =C3=A9?=", "Waar? é"),
    "a word with a language": _about("=?utf-8*nl?Q?caf=C3=A9?=", "café"),
    "a word with a blank before its letter": _about("=?utf-8? Q?caf=C3=A9?=", "café"),
    "a word that does not end": _about("=?utf-8?Q?caf=C3=A9", "café"),
    "a word folded inside": _about("=?utf-8?Q?caf=\r\n =C3=A9?=", "café"),
    "a word that is empty": _about("=?utf-8?B??= Vraag", "Vraag"),
    "a word without padding": _about("=?utf-8?B?Y2Fmw6k?=", "café"),
    "a word padded in the middle": _about("=?utf-8?B?w6k=w6k=?=", "éé"),
    "a word encoded twice": _about("=?utf-8?Q?=3D=3Futf-8=3FQ=3Fcaf=3DC3=3DA9=3F=3D?=", "café"),
    "a word of an unknown charset": _about("=?none?B?Y2Fmw6k=?=", "café"),
    "a word of the wrong charset": _about("=?us-ascii?Q?caf=C3=A9?=", "café"),
    "a word of an unknown encoding": _about("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
    "a word with line ends": _about("=?utf-8?Q?a=0D=0ABcc:_x?=", "a Bcc: x"),
    "a word with a nul": _about("=?utf-8?Q?a=00b?=", "ab"),
    "a word in iso-2022-jp": _about("=?iso-2022-jp?B?GyRCPEFMZBsoQg==?=", "質問"),
    "a word in gb2312": _about("=?gb2312?B?086yyZjl?=", "游采樺"),
    "a word in quotes": _about('"=?utf-8?Q?caf=C3=A9?="', '"café"'),
    "raw utf-8": _about("café 📦", "café 📦"),
    "raw latin1": _about("café über".encode("latin-1"), "café über"),
    "raw latin1 beside a word": _about(b"caf\xe9 =?utf-8?Q?=C3=A9?=", "café é"),
    "raw iso-2022-jp": _about("質問".encode("iso2022_jp"), "質問"),
    "raw shift_jis": _about("荷物はどこにありますか".encode("cp932"), "荷物はどこにありますか"),
    "tabs and runs of blanks": _about("een \t  twee\r\n\t drie", "een twee drie"),
    "controls": _about(b"a\x01b\x1b[31mc", "ab[31mc"),
    "empty subject": _about("", ""),
}
AUTHORS: Final[dict[str, Hard]] = {
    "a name in raw utf-8": _by("Zoë Çelik <zoe@example.com>", "zoe@example.com", "Zoë Çelik"),
    "a name with a comma": _by('"Jansen, Jan" <jan@example.net>', name="Jansen, Jan"),
    "a name with a comma, encoded": _by(
        "=?utf-8?Q?Jansen=2C_Ren=C3=A9?= <jan@example.net>", name="Jansen, René"
    ),
    "a name with quotes in it": _by(
        '"Jan \\"J\\" Jansen" <jan@example.net>', name='Jan "J" Jansen'
    ),
    "a name in single quotes": _by("'Jan Jansen' <jan@example.net>"),
    "a name in a comment": _by("jan@example.net (Jan Jansen)"),
    "a name in an encoded comment": _by("jan@example.net (=?utf-8?q?Ren=C3=A9?=)", name="René"),
    "a name with a colon": _by("Re:Store <jan@example.net>", name="Re:Store"),
    "a name with brackets": _by("Jan [verkoop] <jan@example.net>", name="Jan [verkoop]"),
    "a name that looks like an address": _by(
        "bank@bank.example <thief@evil.example>", "thief@evil.example", "bank@bank.example"
    ),
    "a quoted name that looks like an address": _by(
        '"<bank@bank.example>" <thief@evil.example>', "thief@evil.example", "<bank@bank.example>"
    ),
    "an encoded name that looks like an address": _by(
        "=?utf-8?Q?bank=40bank.example?= <thief@evil.example>",
        "thief@evil.example",
        "bank@bank.example",
    ),
    "no brackets": _by("Jan Jansen jan@example.net"),
    "no closing bracket": _by("Jan Jansen <jan@example.net"),
    "no opening bracket": _by("Jan Jansen jan@example.net>"),
    "two pairs of brackets": _by("Jan Jansen <<jan@example.net>>"),
    "no closing quote": _by('"Jan Jansen <jan@example.net>'),
    "no closing comment": _by("Jan Jansen <jan@example.net> (thuis", name="Jan Jansen"),
    "a comment inside": _by("Jan Jansen <jan(thuis)@example.net>"),
    "a route": _by("Jan Jansen <@relay.example,@b.example:jan@example.net>", name="Jan Jansen"),
    "blanks around the dots": _by("jan @ example . net", name=""),
    "a link": _by("Jan Jansen <mailto:jan@example.net>"),
    "an address in single quotes": _by("Jan Jansen <'jan@example.net'>"),
    "an address in capitals": _by("JAN@EXAMPLE.NET", name=""),
    "a dot at the end": _by("jan@example.net.", name=""),
    "two dots": _by("jan..jansen@example.net", "jan..jansen@example.net", ""),
    "a quoted local part": _by('"jan jansen"@example.net', '"jan jansen"@example.net', ""),
    "quotes that change nothing": _by('"jan"@example.net', name=""),
    "an address in utf-8": _by("jürgen@köln.example", "jürgen@köln.example", ""),
    "an address literal": _by("jan@[192.0.2.1]", "jan@[192.0.2.1]", ""),
    "an encoded word as the name, no brackets": _by(
        "=?utf-8?q?Ren=C3=A9?= jan@example.net", name="René"
    ),
    "all of it one encoded word": _by("=?utf-8?q?Jan_Jansen_=3Cjan=40example=2Enet=3E?="),
    "an address made by encoding": _anonymous("=?utf-8?q?=40evil.example?=@example.net"),
    "a bare address, encoded": _anonymous("=?utf-8?q?jan=40example.net?="),
    "two at signs": _anonymous("jan@evil.example@example.net"),
    "no address": _anonymous("Jan Jansen"),
    "empty brackets": _anonymous("MAILER DAEMON <>"),
    "no author": Hard(b"Subject: Vraag\r\n\r\nHallo", sender="", name=""),
    "an undisclosed author": _anonymous("undisclosed-recipients:;"),
    "a group of one": _by("Verkoop: Jan Jansen <jan@example.net>;"),
    "two authors": _by("Jan Jansen <jan@example.net>, Piet <piet@example.net>"),
    "two authors without a comma": _by("Jan Jansen <jan@example.net> Piet <piet@example.net>"),
    "only a sender": Hard(b"Sender: Jan Jansen <jan@example.net>\r\nSubject: Vraag\r\n\r\nHallo"),
    "an empty author and a sender": Hard(
        mail(b"Hallo", "From: <>", "Sender: Jan Jansen <jan@example.net>")
    ),
    "brackets by the thousand": _anonymous("(" * 30_000),
    "quotes by the thousand": _anonymous('"\\' * 30_000),
}
BLOCKS: Final[dict[str, Hard]] = {
    "lines ended by cr": Hard(mail(ends=b"\r")),
    "lines ended by lf": Hard(mail(ends=b"\n")),
    "lines ended by cr cr lf": Hard(mail(ends=b"\r\r\n")),
    "headers ended by cr, text by lf": Hard(
        b"From: Jan Jansen <jan@example.net>\rSubject: Vraag\r\rHallo\ndaar\n", "Hallo\ndaar"
    ),
    "headers ended by cr, text by lf, a field in it": Hard(
        b"From: Jan Jansen <jan@example.net>\rSubject: Vraag\r\rHallo\nFrom: Piet\n",
        "Hallo\nFrom: Piet",
    ),
    "headers ended by lf, text by crlf": Hard(
        b"From: Jan Jansen <jan@example.net>\nSubject: Vraag\n\nHallo\r\ndaar\r\n", "Hallo\ndaar"
    ),
    "one cr in the text": Hard(mail(b"Hallo\rdaar"), "Hallo\ndaar"),
    "a mark in front": Hard(mail(start=b"\xef\xbb\xbf")),
    "empty lines in front": Hard(mail(start=b"\r\n\r\n")),
    "a blank in front": Hard(mail(start=b" ")),
    "a mail folder's line in front": Hard(
        mail(start=b"From jan@example.net Thu Oct  1 10:00:00\r\n")
    ),
    "saved as utf-16": Hard(mail().decode().encode("utf-16")),
    "a blank before the colon": Hard(
        b"From : Jan Jansen <jan@example.net>\r\nSubject\t: Vraag\r\n\r\nHallo"
    ),
    "no blank after the colon": Hard(
        b"From:Jan Jansen <jan@example.net>\r\nSubject:Vraag\r\n\r\nHallo"
    ),
    "names in capitals": Hard(b"FROM: Jan Jansen <jan@example.net>\r\nSUBJECT: Vraag\r\n\r\nHallo"),
    "no line between headers and text": Hard(
        b"From: Jan Jansen <jan@example.net>\r\nSubject: Vraag\r\nHallo daar\r\nen verder",
        "Hallo daar\nen verder",
    ),
    "blanks in the line between": Hard(
        b"From: Jan Jansen <jan@example.net>\r\nSubject: Vraag\r\n \r\n\r\nHallo"
    ),
    "a folded line that lost its indent": Hard(
        mail(b"Hallo", b"Subject: een heel\r\nlang onderwerp", b"To: x@example.org"),
        subject="een heel lang onderwerp",
    ),
    "no text": Hard(mail(b""), ""),
    "no line after the headers": Hard(b"From: Jan Jansen <jan@example.net>\r\nSubject: Vraag", ""),
    "no headers": Hard(b"\r\nHallo", sender="", name="", subject=""),
    "no headers, but a colon": Hard(
        b"Vraag: waar blijft het?\r\n\r\nMet twee alinea's.",
        "Vraag: waar blijft het?\n\nMet twee alinea's.",
        sender="",
        name="",
        subject="",
    ),
    "two subjects": Hard(mail(b"Hallo", "Subject: Vraag", "Subject: Anders")),
    "a date of nobody": Hard(mail(b"Hallo", "Date: gisteren")),
    "a date beyond the calendar": Hard(mail(b"Hallo", "Date: Thu, 1 Oct 99999 10:00:00 +9999")),
    "a header too long": Hard(mail(b"Hallo", "X-Long: " + "x" * 70_000), beyond=("headers",)),
    "headers too long": Hard(
        mail(b"Hallo", *[f"X-Many-{n}: {'x' * 900}" for n in range(400)]), beyond=("headers",)
    ),
    "too many recipients": Hard(
        mail(b"Hallo", "To: " + ", ".join(f"a{n}@example.org" for n in range(1200))),
        beyond=("recipients",),
    ),
}
