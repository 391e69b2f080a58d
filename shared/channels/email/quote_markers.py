"""What mail programs write between an answer and the mail that it quotes, by language.

Tables for `quotes.py`. Every pattern is compared with one line of at most 250 characters, with its
blanks as single spaces, and is linear in it.
"""

from __future__ import annotations

import re
from typing import Final


def _any(*words: str) -> str:
    return "|".join(f"(?:{word})" for word in words)


FORWARDED: Final = re.compile(
    r"\s*(?:fwd?|fw|wg|tr|doorst|doorgestuurd|weitergeleitet|transféré|i|rv|vs|pd|enc|encaminhada"
    r"|vb|vl|továbbítás)\s*:",
    re.IGNORECASE,
)
FORWARD_LINE: Final = re.compile(
    "(?:"
    + _any(
        r"(?:begin |start of )?forwarded (?:message|by|mail)", r"(?:begin )?doorgestuurd bericht",
        r"anfang der weitergeleiteten", r"weitergeleitete (?:nachricht|e-?mail)",
        r"(?:début du )?message (?:transféré|réexpédié)", r"mensaje reenviado",
        r"inicio del mensaje reenviado",
        r"(?:inizio )?messaggio inoltrato", r"mensagem (?:encaminhada|reencaminhada)",
        r"wiadomość przekazana",
        r"(?:początek )?przekazan(?:a|ej) wiadomoś", r"vidarebefordrat (?:brev|meddelande)",
        r"videresendt (?:besked|meddelelse|melding)",
        r"(?:välitetty|edelleenlähetetty) viesti", r"přeposlaná zpráva",
        r"továbbított (?:üzenet|levél)",
        r"пересылаемое сообщение", r"转发(?:的)?邮件", r"転送(?:された)?メッセージ",
    )
    + r")(?!\w)",
    re.IGNORECASE,
)  # fmt: skip
SEPARATOR: Final = re.compile(
    _any(
        r"original (?:message|appointment|mail|e-?mail)", r"reply message", r"reply above",
        r"(?:end of )?(?:message|mail) (?:you|d['’])? ?(?:sent|origine)", r"message history",
        r"oorspronkelijke? (?:bericht|mail|e-mail)", r"origineel bericht",
        r"ursprüngliche (?:nachricht|mail|e-mail|message)",
        r"original-?(?:nachricht|mail)", r"antwort nachricht",
        r"message (?:d['’]origine|original|initial|précédent)",
        r"mensaje original", r"messaggio originale", r"mensagem original",
        r"oprindelig (?:meddelelse|besked|mail)",
        r"opprinnelig (?:melding|e-?post)", r"ursprungligt? meddelande", r"originalmeddelande",
        r"alkuperäinen viesti",
        r"(?:wiadomość oryginalna|oryginalna wiadomość)", r"původní (?:zpráva|e-?mail)",
        r"pôvodná správa", r"eredeti (?:üzenet|levél)",
        r"mesaj(?:ul)? (?:original|iniţial)", r"(?:исходное|оригинальное) сообщение",
        r"orijinal mesaj", r"özgün ileti",
        r"原始邮件|邮件原件", r"元のメッセージ", r"원본 메시지",
    )
    + r"[ :]*",
    re.IGNORECASE,
)  # fmt: skip
PROCESSED: Final = re.compile(r"original(?: message|nachricht) processed by ", re.IGNORECASE)
REPLY_LINE: Final = re.compile(
    r"(?:please )?(?:reply|write|type your reply|respond|antwoord|typ|schrijf uw antwoord"
    r"|antworten|bitte antworten|répondez|veuillez répondre)"
    r"[^.]{0,60}(?:above this line|boven deze (?:lijn|regel)|oberhalb dieser (?:linie|zeile)"
    r"|au-dessus de cette ligne)",
    re.IGNORECASE,
)

_FROM_WORDS: Final = (
    "from", "van", "von", "de", "da", "fra", "från", "od", "lähettäjä", "feladó", "от", "kimden",
    "发件人", "寄件者", "差出人", "de la", "από", "보낸 사람", "exp", "expéditeur", "afzender",
    "absender",
    "remitente",
    "mittente", "avsändare", "afsender", "avsender", "odesílatel", "отправитель",
)  # fmt: skip
_SENT_WORDS: Final = (
    "sent", "verzonden", "verstuurd", "gesendet", "envoyé", "envoyé le", "envoyé par",
    "date d'envoi", "date d’envoi",
    "enviado", "enviado el", "enviada", "enviada em", "enviado em", "inviato", "inviato il",
    "sendt", "skickat", "wysłano",
    "wysłane", "lähetetty", "odesláno", "odoslané", "küldve", "elküldve", "отправлено",
    "gönderilme", "gönderildi", "gönderme tarihi",
    "发送时间", "寄件日期", "送信日時", "trimis", "στάλθηκε", "보낸 날짜",
    "received", "verzonden op", "sent on",
)  # fmt: skip
_SUBJECT_WORDS: Final = (
    "subject", "onderwerp", "betreff", "objet", "sujet", "asunto", "assunto", "oggetto", "emne",
    "ämne",
    "temat", "aihe", "předmět", "predmet", "tárgy", "тема", "konu", "主题", "主旨",
    "件名", "subiect",
    "θέμα", "제목", "re",
)  # fmt: skip
_OTHER_WORDS: Final = (
    "to", "cc", "bcc", "date", "reply-to", "aan", "datum", "kopie", "an", "à", "a", "pour", "copie",
    "para", "fecha", "data",
    "til", "till", "kopi", "kopia", "do", "dw", "vastaanottaja", "päivä", "päiväys", "kopio",
    "komu", "címzett", "másolat",
    "dátum", "кому", "дата", "копия", "kime", "tarih", "收件人", "收件者",
    "抄送", "日期", "宛先", "către",
    "προς", "ημερομηνία",
    "받는 사람", "dato", "importance", "belang", "urgentie", "prioriteit",
    "priority", "attachments",
    "bijlagen", "bijlage",
)  # fmt: skip
FROM: Final = frozenset(_FROM_WORDS)
DATE: Final = frozenset(("date", "datum", "fecha", "data", "dato", "дата", "日期", *_SENT_WORDS))
# Nobody who lists where from and where to writes these as well.
SURE: Final = frozenset((*_SENT_WORDS, *_SUBJECT_WORDS))
HEADER: Final = re.compile(
    r"[ >|]*\*{0,2}(?P<name>"
    + "|".join(
        sorted(
            map(re.escape, {*_FROM_WORDS, *_SENT_WORDS, *_SUBJECT_WORDS, *_OTHER_WORDS}),
            key=len,
            reverse=True,
        )
    )
    + r") ?\*{0,2} ?[:：]\*{0,2}(?P<value>.*)",
    re.IGNORECASE,
)

WROTE: Final = re.compile(
    r"(?<!\w)(?:"
    + _any(
        r"wrote", r"writes", r"schreef", r"geschreven", r"schrieb(?:en)?", r"geschrieben",
        r"a écrit", r"écrivait", r"a ecrit",
        r"escribió", r"escribiste", r"ha scritto", r"scrive", r"escreveu", r"skrev(?: følgende)?",
        r"skrivit", r"napisał(?:\(a\)|a)?",
        r"pisze", r"kirjoitti", r"napsala?", r"napísal\(?a?\)?", r"ezt írta", r"írta", r"a scris",
        r"пишет", r"написала?(?:\(а\))?", r"написал\(а\)", r"yazdı",
        r"έγραψε", r"je napisa[ol]\w*",
    )
    + r")(?!\w)|写道|寫道|のメール|님이 작성",
    re.IGNORECASE,
)  # fmt: skip
# Used where people's own words do not: "On Monday … sent:" needs what it quotes below it.
SENT: Final = re.compile(r"\b(?:sent|said|stuurde|zei|sendte)\b ?:?$", re.IGNORECASE)
_DAYS: Final = (
    r"mon|tue|wed|thu|fri|sat|sun|ma|di|wo|do|vr|za|zo|mo|mi|fr|sa|so|lun|mar|mer|mié|jeu|jue|ven"
    r"|vie|sam|sáb|dim|dom|gio|sab"
    r"|man|tir|ons|tor|fre|lør|søn|mån|tis|lör|sön|pon|wt|śr|czw|pt|sob|niedz|ke|to|pe|la|su|po|út"
    r"|st|čt|pá|so|ne|пн|вт|ср|чт|пт|сб|вс"
)
OPENS: Final = re.compile(
    r"[>*_ -]*(?:(?:on|op|am|le|el|il|em|den|dnia|w dniu|på|em|dne|la|la data|în|på|a|il giorno"
    r"|în data de)\s"
    rf"|(?:{_DAYS})[a-zéèáíóúäöå]*[.,]? \d|\d{{4}}[-/.年] ?\d|\d{{1,2}}[./-] ?\d{{1,2}}[./-]"
    r"|\d{1,2}\.? \w{3,12}\.? \d{4})",
    re.IGNORECASE,
)
BEGINS: Final = re.compile(r"[>*_ -]*(?:on|op|am|le|el|il|em|den|dnia|w dniu|på)\s", re.IGNORECASE)
DATED: Final = re.compile(
    r"\b(?:wrote on|schreef op|schrieb am|a écrit le|escribió el|ha scritto il|skrev den"
    r"|napisał\(a\) dnia|kirjoitti \d)\b",
    re.IGNORECASE,
)
OWN_WORDS: Final = re.compile(
    r"\b(?:i|we|ik|wij|ich|wir|je|j['’]ai|nous|yo|io|eu|jag|jeg) (?:\w+ )?"
    r"(?:wrote|schreven|schreef|schrieb|écrit|escribí|scritto|escrevi|skrev|sent|said)"
    r"|\b(?:schreef|schrieb) (?:ik|wij|we|ich)\b",
    re.IGNORECASE,
)
# Some programs name a person so too, but above a quotation.
YOUR_WORDS: Final = re.compile(
    r"\byou (?:wrote|said|sent)\b|\b(?:schreef|schreven) (?:u|je|jij|jullie)\b|\bu schreef\b"
    r"|\bschrieben sie\b|\b(?:vous avez|tu as) écrit\b",
    re.IGNORECASE,
)
PROOF: Final = re.compile(r"\d{1,2}[:.h]\d{2}|\b(?:19|20)\d\d\b|\d{1,2}[-./]\d{1,2}|@|\d年")
DATE_AND_SENDER: Final = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{4}年\d{1,2}月\d{1,2}日)"
    r".{0,120}<[^<>\s]+@[^<>\s]+> ?[:：]?"
)
UNENDED: Final = re.compile(
    DATE_AND_SENDER.pattern + r"|on .{6,150}[<(][^<>()\s]+@[^<>()\s]+[>)] wrote", re.IGNORECASE
)
TIMED: Final = re.compile(r"\d{1,2}[:.h]\d{2}")
# The answer and the line that introduces the quotation, on one line.
SHARED: Final = re.compile(
    r"(?P<own>.*\S)(?:\s|-{2,}) ?(?P<intro>On (?:\w{3,9},? )?(?:\w{3,9}\.? \d{1,2}"
    r"|\d{1,2}[ ./-]).{4,150}\bwrote ?:)"
)
ADDRESS: Final = re.compile(r"[<(\[][^<>()\s]*@[^<>()\s]+[>)\]]")
