"""Answers as mail programs send them: what they put between the answer and what it quotes.

Written for this table; every name in it is made up. `HISTORIES` follow an answer and go, `PAGES`
are whole HTML mails, `ANSWERS` have an expectation of their own.
"""

# ruff: noqa: E501 - a mail a line reads best

from __future__ import annotations

from typing import Final

OWN: Final = "Bedankt, het is gelukt.\n\nGroet, Jan"
_S: Final = "Support <s@x.org>"


def _block(*names: str, at: str = "donderdag 1 oktober 2026 09:12", colon: str = ":") -> str:
    values = (_S, at, "Jan <jan@y.org>", "Uw pakket")
    lines = (f"{name}{colon} {value}" for name, value in zip(names, values, strict=True))
    return "\n".join(lines) + "\n\nIs het er?"


HISTORIES: Final[dict[str, str]] = {
    # --- On … wrote, by language and program --------------------------------------------------
    "en-gmail": f"On Thu, Oct 1, 2026 at 9:12 AM {_S} wrote:\n\n> Is it there?",
    "en-gmail-24h": f"On Thu, 1 Oct 2026 at 09:12, {_S} wrote:\n\n> Is it there?",
    "en-gmail-old": "On Oct 1, 2026 9:12 AM, \"Support\" <s@x.org> wrote:\n\n> Is it there?",
    "en-gmail-wrapped-in-brackets": "On Thu, Oct 1, 2026 at 9:12 AM Support <\nsupport-with-a-long-address@x.org> wrote:\n\n> Is it?",
    "en-gmail-wrapped-thrice": "On Thu, Oct 1, 2026 at 9:12 AM Support at the Parcel Company\nof Middleburgh <support@x.org>\nwrote:\n\n> Is it?",
    "en-gmail-bottom-space": f"On Thu, Oct 1, 2026 at 9:12\u202fAM {_S} wrote:\n\n> Is it there?",
    "en-apple": f"> On 1 Oct 2026, at 09:12, {_S} wrote:\n> \n> Is it there?",
    "en-apple-unquoted": f"On Oct 1, 2026, at 9:12 AM, {_S} wrote:\n\nIs it there?",
    "en-thunderbird": "On 10/1/26 9:12 AM, Support wrote:\n> Is it there?",
    "en-yahoo": f"    On Thursday, 1 October 2026, 09:12:00 CEST, {_S} wrote: \n\n Is it there?",
    "en-zoho": "---- On Thu, 01 Oct 2026 09:12:50 +0200 Support <s@x.org> wrote ----\n\nIs it there?",
    "en-dashes": "------ On 1/10/2026 09:12, Support wrote ------\n\nIs it there?",
    "en-mailru": "Thursday, 1 October 2026, 3:32 PM +0300 from s@x.org <s@x.org>:\n\nIs it there?",
    "en-samsung": "-------- Original message --------\nFrom: Support <s@x.org>\nDate: 01/10/2026 09:12 (GMT+01:00)\nTo: Jan\nSubject: Parcel\n\nIs it?",
    "en-name-first": f"{_S} wrote on Thu, 1 Oct 2026 at 09:12:\n\n> Is it there?",
    "en-gnus": f"{_S} writes:\n\n> On 1/10 it was sent.\n",
    "en-no-colon": f"On Thu, 1 Oct 2026 09:12:43 -0200 {_S} wrote\n\nIs it there?",
    "en-sent": f"On 1-Oct-2026, at 9:12 AM, {_S} sent:\n\n> Is it there?",
    "old-gmail": f"2026-10-01 9:12 GMT+02:00 {_S}:\n\n> Is it there?",
    "older-gmail": f"2026/10/1 {_S}\n\n> Is it there?",
    "nl-gmail": f"Op do 1 okt 2026 om 09:12 schreef {_S}:\n\n> Is het er?",
    "nl-gmail-wrapped": "Op do 1 okt 2026 om 09:12 schreef Klantenservice Pakketten Nederland <\nsupport@x.org>:\n\n> Is het er?",
    "nl-gmail-mobile": f"Op do 1 okt. 2026 09:12 {_S}\nschreef:\n\n> Is het er?",
    "nl-apple": f"Op 1 okt. 2026, om 09:12 heeft {_S} het volgende geschreven:\n\nIs het er?",
    "nl-ios": f"> Op 1 okt. 2026 om 09:12 heeft {_S} het volgende geschreven:\n> \n> Is het er?",
    "nl-thunderbird": "Op 1-10-2026 om 09:12 schreef Support:\n> Is het er?",
    "nl-name-first": "Support schreef op 1-10-2026 om 09:12:\n\nIs het er?",
    "de-gmail": f"Am Do., 1. Okt. 2026 um 09:12 Uhr schrieb {_S}:\n\n> Ist es da?",
    "de-gmail-wrapped": "Am Do., 1. Okt. 2026 um 09:12 Uhr schrieb Support <\nkundendienst@x.org>:\n\n> Ist es da?",
    "de-gmail-mobile": f"{_S} schrieb am Do., 1. Okt.\n2026, 09:12:\n\n> Ist es da?",
    "de-apple": f"> Am 01.10.2026 um 09:12 schrieb {_S}:\n> \n> Ist es da?",
    "de-thunderbird": "Am 01.10.26 um 09:12 schrieb Support:\n> Ist es da?",
    "de-gmx": "Gesendet: Donnerstag, 01. Oktober 2026 um 09:12 Uhr\nVon: \"Support\" <s@x.org>\nAn: jan@y.org\nBetreff: Paket\n\nIst es da?",
    "fr-gmail": f"Le jeu. 1 oct. 2026 à 09:12, {_S} a écrit :\n\n> Est-il là ?",
    "fr-gmail-wrapped": "Le jeu. 1 oct. 2026 à 09:12, Support <s@x.org>\na écrit :\n\n> Est-il là ?",
    "fr-apple": f"> Le 1 oct. 2026 à 09:12, {_S} a écrit :\n> \n> Est-il là ?",
    "fr-thunderbird": "Le 01/10/2026 à 09:12, Support a écrit :\n> Est-il là ?",
    "fr-no-break-space": f"Le jeu. 1 oct. 2026 à 09:12, {_S} a écrit\u00a0:\n\n> Est-il là ?",
    "es-gmail": "El jue, 1 oct 2026 a las 9:12, Support (<s@x.org>) escribió:\n\n> ¿Está?",
    "es-apple": f"> El 1 oct 2026, a las 9:12, {_S} escribió:\n> \n> ¿Está?",
    "it-gmail": f"Il giorno gio 1 ott 2026 alle ore 09:12 {_S}\nha scritto:\n\n> C'è?",
    "it-thunderbird": "Il 01/10/2026 09:12, Support ha scritto:\n> C'è?",
    "pt-gmail": f"Em qui., 1 de out. de 2026 às 09:12, {_S} escreveu:\n\n> Está?",
    "pl-gmail": f"czw., 1 paź 2026 o 09:12 {_S} napisał(a):\n\n> Jest?",
    "pl-w-dniu": f"W dniu 1 października 2026 09:12 użytkownik {_S}\nnapisał:\n\nJest?",
    "pl-dnia": f"Dnia 1 października 2026 09:12 {_S} napisał(a):\n\n> Jest?",
    "sv-gmail": f"Den tors 1 okt. 2026 kl 09:12 skrev {_S}:\n\n> Är det där?",
    "sv-short": f"tors 1 okt. 2026 kl. 09:12 skrev {_S}:\n\n> Är det där?",
    "da-gmail": f"Den tor. 1. okt. 2026 kl. 09.12 skrev {_S}:\n\n> Er det der?",
    "nb-gmail": f"tor. 1. okt. 2026 kl. 09:12 skrev {_S}:\n\n> Er det der?",
    "nb-pa": "På 1 oktober 2026 på 09:12:18, Support (s@x.org) skrev:\n\nEr det der?",
    "fi-gmail": "to 1. lokak. 2026 klo 9.12 Support (s@x.org) kirjoitti:\n\n> Onko se siellä?",
    "fi-wrapped": "to 1. lokakuuta 2026 klo 9.12 Support\n<s@x.org> kirjoitti:\n\nOnko?",
    "cs-gmail": f"čt 1. 10. 2026 v 9:12 odesílatel {_S} napsal:\n\n> Je tam?",
    "hu-gmail": f"{_S} ezt írta (időpont: 2026. okt. 1., Cs, 9:12):\n\n> Ott van?",
    "ru-gmail": f"чт, 1 окт. 2026 г. в 09:12, {_S}:\n\n> Есть?",
    "ru-apple": f"1 окт. 2026 г., в 09:12, {_S} написал(а):\n\n> Есть?",
    "tr-gmail": f"{_S}, 1 Eki 2026 Per, 09:12 tarihinde şunu yazdı:\n\n> Orada mı?",
    "ja-gmail": f"2026年10月1日(木) 9:12 {_S}:\n\n> 届きましたか",
    "zh-gmail": f"{_S} 于2026年10月1日周四 09:12写道：\n\n> 到了吗",
    "zh-apple": f"在 2026年10月1日，09:12，{_S} 写道：\n\n到了吗",
    "unknown-language": f"Ar an 1 D.F. 2026 ag 09:12, scríobh {_S}:\n\n> An bhfuil?",
    # --- Outlook's block, by language ---------------------------------------------------------
    "en-outlook": _block("From", "Sent", "To", "Subject"),
    "en-outlook-rule": "_" * 32 + "\n" + _block("From", "Sent", "To", "Subject"),
    "en-outlook-bold": _block("*From", "*Sent", "*To", "*Subject", colon=":*"),
    "en-outlook-date": _block("From", "Date", "To", "Subject"),
    "en-outlook-mac": "From: Support <s@x.org>\nReply-To: a <a@x.org>\nDate: Thursday, 1 October 2026 at 09:12\nTo: Jan\nSubject: Parcel\n\nIs it?",
    "en-hotmail": "> Date: Thu, 1 Oct 2026 09:12:00 +0200\n> From: s@x.org\n> To: jan@y.org\n> Subject: Parcel\n> \n> Is it?",
    "en-date-first": "Date: Thu, 1 Oct 2026 09:12:00 +0200\nFrom: s@x.org\nTo: jan@y.org\nSubject: Parcel\n\nIs it?",
    "nl-outlook": _block("Van", "Verzonden", "Aan", "Onderwerp"),
    "nl-outlook-mail": _block("Van", "Datum", "Aan", "Onderwerp"),
    "de-outlook": _block("Von", "Gesendet", "An", "Betreff"),
    "fr-outlook": _block("De", "Envoyé", "À", "Objet", colon=" :"),
    "fr-outlook-date": _block("De", "Date", "À", "Objet", colon=" :"),
    "es-outlook": _block("De", "Enviado el", "Para", "Asunto"),
    "it-outlook": _block("Da", "Inviato", "A", "Oggetto"),
    "pt-outlook": _block("De", "Enviada em", "Para", "Assunto"),
    "pl-outlook": _block("Od", "Wysłano", "Do", "Temat"),
    "sv-outlook": _block("Från", "Skickat", "Till", "Ämne"),
    "da-outlook": _block("Fra", "Sendt", "Til", "Emne"),
    "fi-outlook": _block("Lähettäjä", "Lähetetty", "Vastaanottaja", "Aihe"),
    "cs-outlook": _block("Od", "Odesláno", "Komu", "Předmět"),
    "hu-outlook": _block("Feladó", "Elküldve", "Címzett", "Tárgy"),
    "ru-outlook": _block("От", "Отправлено", "Кому", "Тема"),
    "zh-outlook": _block("发件人", "发送时间", "收件人", "主题", colon="："),
    # --- separators ---------------------------------------------------------------------------
    **{
        f"separator-{words}": f"-----{words}-----\nFrom: Support\n\nIs het er?"
        for words in (
            "Original Message", "Oorspronkelijk bericht", "Origineel bericht", "Ursprüngliche Nachricht",
            "Message d'origine", "Mensaje original", "Messaggio originale", "Mensagem original",
            "Wiadomość oryginalna", "Ursprungligt meddelande", "Oprindelig meddelelse", "Opprinnelig melding",
            "Alkuperäinen viesti", "Původní zpráva", "Eredeti üzenet", "Исходное сообщение", "原始邮件",
            "Reply message",
        )
    },
    "separator-spaced": "-------- Oorspronkelijk bericht --------\nVan: Support\n\nIs het er?",
    "separator-quoted": "> -----Original Message-----\n> From: Support\n>\n> Is it there?",
    "separator-stars": "******* Original Message *******\nIs it there?",
    "above-en": "##- Please type your reply above this line -##\n\nTicket 12 was updated.",
    "above-nl": "--- Typ uw antwoord boven deze regel ---\n\nZaak 12 is bijgewerkt.",
    "above-de": "-- Bitte antworten Sie oberhalb dieser Linie --\n\nIhr Fall.",
    "quotes-only": "> Is it there?\n> We wonder.",
    "nested": f"On Thu, Oct 1, 2026 at 9:12 AM {_S} wrote:\n\n> Yes\n>\n> On Wed, Jan <j@y.org> wrote:\n>> And?\n>> So?",
    "broken-quote": f"On Thu, Oct 1, 2026 at 9:12 AM {_S} wrote:\n> This is a line of the quotation that was too long for the program and so\nit was wrapped.\n> And on.",
    # --- signatures and what telephones add ---------------------------------------------------
    "signature": "-- \nJan Jansen\nDorpsstraat 1, Ede",
    "signature-bare": "--\nJan Jansen",
    "signature-and-quote": "-- \nJan\n\nOn 10/1/26 9:12 AM, Support wrote:\n> Is it there?",
    "list-footer": "_______________________________________________\nDesk mailing list\nhttps://x.org/listinfo/desk",
    **{
        f"sent-{words}": words
        for words in (
            "Sent from my iPhone", "Sent from my Samsung Galaxy smartphone.", "Sent from Outlook for iOS<https://x.org/a>",
            "Sent via BlackBerry from T-Mobile", "Sent from Yahoo Mail on Android", "Get Outlook for Android<https://x.org/b>",
            "Sent from my iPhone, please excuse typos", "Verstuurd vanaf mijn iPhone", "Verzonden met Outlook voor Android",
            "Verzonden vanaf mijn Samsung Galaxy-smartphone.", "Verzonden vanuit Mail voor Windows", "Verstuurd met mijn telefoon",
            "Von meinem iPhone gesendet", "Gesendet von meinem iPad", "Gesendet von Mail für Windows 10", "Envoyé de mon iPhone",
            "Envoyé depuis mon téléphone Orange", "Enviado desde mi iPhone", "Enviado do meu iPhone", "Inviato da iPhone",
            "Skickat från min iPhone", "Sendt fra min iPhone", "Wysłane z iPhone'a", "Lähetetty iPhonesta", "Отправлено с iPhone",
            "Télécharger Outlook pour iOS<https://x.org/c>", "Outlook voor iOS downloaden",
        )
    },
    "sent-above-quote": f"Sent from my iPhone\n\nOn 1 Oct 2026, at 09:12, {_S} wrote:\n\n> Is it there?",
    "sent-above-block": "Verzonden met Outlook voor iOS\n" + "_" * 32 + "\n" + _block("Van", "Verzonden", "Aan", "Onderwerp"),
    "sent-above-unquoted": f"Sent from my iPhone\n\nOn 1 Oct 2026, at 09:12, {_S} wrote:\n\nIs it there?",
}  # fmt: skip

# (text, subject) → what is the answer
ANSWERS: Final[dict[str, tuple[str, str, str]]] = {
    "bottom-post": (f"On 10/1/26 9:12 AM, {_S} wrote:\n> Is it there?\n\nYes it is.", "Re: x", "Yes it is."),
    "bottom-post-nl": ("Op 1-10-2026 om 09:12 schreef Support:\n> Is het er?\n> Of niet?\nJa.\n\nJan", "Re: x", "Ja.\n\nJan"),
    "around": (f"Hi,\n\nOn 10/1/26 9:12 AM, {_S} wrote:\n> Is it there?\n\nYes.", "Re: x", "Hi,\n\nYes."),
    "inline": ("On 1/10/2026 Support wrote:\n> Number?\n1001\n> Street?\n> And city?\nDorpsstraat, Ede\n", "Re: x", "1001\nDorpsstraat, Ede"),
    "inline-and-top": ("See below.\n\nOn 1/10/2026 Support <s@x.org> wrote:\n> A?\n\nyes\n\n> B?\n\nno", "Re: x", "See below.\n\nyes\n\nno"),
    "inline-short-lines": ("> Maat?\nXL\n> Kleur?\nrood\n> Adres?\nDorpsstraat 1", "Re: x", "XL\nrood\nDorpsstraat 1"),
    "same-line": ("Yes On Thu, Oct 1, 2026 at 9:12 AM, s@x.org wrote:\n> Is it?", "Re: x", "Yes"),
    "same-line-dashes": ("Yes - thanks--- On Thu, Oct 1, 2026 at 9:12 AM, s@x.org wrote:\n> Is it?", "Re: x", "Yes - thanks"),
    "last-line-kept": (f"It came on 1 October.\nOn Thu, Oct 1, 2026 at 9:12 AM {_S} wrote:\n> Is it?", "Re: x", "It came on 1 October."),
    "number-kept": (f"1001\nOn Thu, Oct 1, 2026 at 9:12 AM {_S} wrote:\n> Number?", "Re: x", "1001"),
    "date-kept": (f"1-10-2026\n\nOp do 1 okt 2026 om 09:12 schreef {_S}:\n> Wanneer?", "Re: x", "1-10-2026"),
    "dates-of-their-own": ("2026-10-01 14:30:25\n01.10.2026 14:30\nJan 15, 2026 at 14:30\n\nThese are my times.", "Re: x",
                           "2026-10-01 14:30:25\n01.10.2026 14:30\nJan 15, 2026 at 14:30\n\nThese are my times."),
    "a-route": ("Van: Amsterdam\nAan: Utrecht\nDatum: 3 maart 10:00\n\nKlopt dit?", "Re: x", "Van: Amsterdam\nAan: Utrecht\nDatum: 3 maart 10:00\n\nKlopt dit?"),
    "a-form": ("Naam: Jan\nDatum: 3 maart\nAdres: Ede", "x", "Naam: Jan\nDatum: 3 maart\nAdres: Ede"),
    "i-wrote": ("On 12/03 I wrote to you:\n\nI am still waiting.", "Re: x", "On 12/03 I wrote to you:\n\nI am still waiting."),
    "you-wrote": ("Am 3.3.2026 schrieben Sie mir, dass es kommt.\n\nIch warte.", "Re: x", "Am 3.3.2026 schrieben Sie mir, dass es kommt.\n\nIch warte."),
    "u-schreef": ("Dag,\n\nOp 3-3-2026 schreef u:\n\nhet komt morgen. Nu is het vrijdag.", "Re: x",
                  "Dag,\n\nOp 3-3-2026 schreef u:\n\nhet komt morgen. Nu is het vrijdag."),
    "u-schreef-quoted": ("Dag,\n\nOp 3-3-2026 schreef u:\n> het komt morgen.\n\nNu is het vrijdag.", "Re: x", "Dag,\n\nNu is het vrijdag."),
    "op-maandag": ("Op maandag ben ik thuis:\n\nvan 9:00 tot 12:00.", "Re: x", "Op maandag ben ik thuis:\n\nvan 9:00 tot 12:00."),
    "price-list": ("> 10 stuks\nDat is veel.", "Re: x", "Dat is veel."),
    "arrows": ("Look:\n>>> here <<<\nor there", "Re: x", "Look:\n>>> here <<<\nor there"),
    "from-escaped": ("Hello\n>From here it looks fine.\nJan", "Re: x", "Hello\n>From here it looks fine.\nJan"),
    "minus-list": ("My order:\n- 2 boxes\n- 1 tape\n\nThanks", "Re: x", "My order:\n- 2 boxes\n- 1 tape\n\nThanks"),
    "rule-in-text": ("One\n-----\nTwo\n_____\nThree", "Re: x", "One\n-----\nTwo\n_____\nThree"),
    "sent-in-a-sentence": ("It was sent from my desk, much easier than my phone.", "Re: x", "It was sent from my desk, much easier than my phone."),
    "sent-is-the-matter": ("Sent from my iPhone is what your page says. Why?", "Re: x", "Sent from my iPhone is what your page says. Why?"),
    "sent-is-all": ("Verstuurd vanaf mijn iPhone", "Re: x", "Verstuurd vanaf mijn iPhone"),
    "signature-is-all": ("-- \nJan", "Re: x", "-- \nJan"),
    "quote-is-all": (f"On 10/1/26 9:12 AM, {_S} wrote:\n> Is it there?", "Re: x", f"On 10/1/26 9:12 AM, {_S} wrote:\n> Is it there?"),
    "emoji": ("👍\n\nVerstuurd vanaf mijn iPhone", "Re: x", "👍"),
    "plus-one": (f"+1\n\nOn 10/1/26 9:12 AM, {_S} wrote:\n> Is it?", "Re: x", "+1"),
    "greeting-stays": ("Ja.\n\nMet vriendelijke groet,\nJan Jansen\n06-12345678\n\nOp 1-10-2026 om 09:12 schreef Support:\n> Is het er?", "Re: x",
                       "Ja.\n\nMet vriendelijke groet,\nJan Jansen\n06-12345678"),
    "name-with-dash-stays": ("Thanks.\n\n-Jan", "Re: x", "Thanks.\n\n-Jan"),
    "long-after-dashes": ("Deel 1\n--\n" + "\n".join(f"regel {n}" for n in range(40)), "x", "Deel 1\n--\n" + "\n".join(f"regel {n}" for n in range(40))),
    "wrapped-link": (f"Ok\n\nOn 10/1/26 9:12 AM, {_S} wrote:\n> See (http://x.org/a\n_b=1)\n> bye", "Re: x", "Ok"),
    # --- forwards -----------------------------------------------------------------------------
    "forward-subject": ("Zie onder.\n\n-----Oorspronkelijk bericht-----\nVan: Piet\n\nKlacht", "FW: Klacht", "Zie onder.\n\n-----Oorspronkelijk bericht-----\nVan: Piet\n\nKlacht"),
    **{
        f"forward-{words}": (f"Zie.\n\n{words}\nVan: Piet\n\nKlacht", "Klacht", f"Zie.\n\n{words}\nVan: Piet\n\nKlacht")
        for words in (
            "---------- Forwarded message ---------", "Begin forwarded message:", "---------- Doorgestuurd bericht ---------",
            "Begin doorgestuurd bericht:", "-------- Weitergeleitete Nachricht --------", "Anfang der weitergeleiteten Nachricht:",
            "---------- Message transféré ---------", "Début du message réexpédié :", "---------- Mensaje reenviado ---------",
            "---------- Messaggio inoltrato ---------", "---------- Mensagem encaminhada ---------", "-------- Videresendt meddelelse --------",
        )
    },
    "forward-quoted": ("Zie.\n\n> Begin forwarded message:\n> \n> From: Piet\n> \n> Klacht", "Klacht", "Zie.\n\n> Begin forwarded message:\n> \n> From: Piet\n> \n> Klacht"),
    "forward-in-the-quote": (f"{OWN}\n\nOn 1/10/26 {_S} wrote:\n> ---------- Forwarded message ---------\n> From: Piet\n> Klacht", "Re: Fwd: x", OWN),
}  # fmt: skip

# HTML mails without a text of their own → what is the answer
PAGES: Final[dict[str, tuple[str, str]]] = {
    "gmail": ('<div dir="ltr">Yes, thanks.</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On Thu, Oct 1, 2026 at 9:12 AM Support &lt;<a href="mailto:s@x.org">s@x.org</a>&gt; wrote:<br></div>'
              '<blockquote class="gmail_quote" style="margin:0 0 0 .8ex">Is it?</blockquote></div>', "Yes, thanks."),
    "gmail-any-language": ('<div dir="ltr">Ja.</div><br><div class="gmail_quote"><div class="gmail_attr">Quelquefois, Support a dit<br></div><blockquote class="gmail_quote">Is it?</blockquote></div>', "Ja."),
    "outlook": ('<div>Nee, nog niet.</div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg" dir="ltr"><b>Van:</b> Support &lt;s@x.org&gt;<br><b>Verzonden:</b> donderdag 1 oktober 2026 09:12<br>'
                '<b>Aan:</b> Jan<br><b>Onderwerp:</b> Pakket</div><div>Is het er?</div>', "Nee, nog niet."),
    "outlook-any-language": ('<div>Nee.</div><div id="divRplyFwdMsg"><b>Xyz:</b> Support<br><b>Abc:</b> 1 10</div><div>Is het er?</div>', "Nee."),
    "outlook-word": ('<p class="MsoNormal">Nein.</p><div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal"><b>Von:</b> Support<br><b>Gesendet:</b> Donnerstag, 1. Oktober 2026 09:12<br>'
                     '<b>An:</b> Jan<br><b>Betreff:</b> Paket</p></div><p>Ist es da?</p>', "Nein."),
    "apple": ('<div>Ja, graag.</div><div><br><blockquote type="cite"><div>Op 1 okt. 2026, om 09:12 heeft Support &lt;s@x.org&gt; het volgende geschreven:</div><br><div>Is het er?</div></blockquote></div>', "Ja, graag."),
    "thunderbird": ('<p>Oui.</p><div class="moz-cite-prefix">Le 01/10/2026 à 09:12, Support a écrit :<br></div><blockquote type="cite">Est-il là ?</blockquote>', "Oui."),
    "thunderbird-any-language": ('<p>Sea.</p><div class="moz-cite-prefix">Ar an 1/10/2026, scríobh Support<br></div><blockquote type="cite">An bhfuil?</blockquote>', "Sea."),
    "yahoo": ('<div>Yes.</div><div id="yahoo_quoted_1" class="yahoo_quoted"><div>On Thursday, October 1, 2026, 09:12, Support &lt;s@x.org&gt; wrote:</div><div>Is it?</div></div>', "Yes."),
    "yahoo-any-language": ('<div>Yes.</div><div class="yahoo_quoted"><div>Support, 1 10:</div><div>Is it?</div></div>', "Yes."),
    "proton": ('<div>Yes.</div><div class="protonmail_quote">On Thursday, October 1st, 2026 at 9:12, Support &lt;s@x.org&gt; wrote:<br><blockquote class="protonmail_quote" type="cite">Is it?</blockquote></div>', "Yes."),
    "inline": ('<blockquote type="cite">Number?</blockquote><p>1001</p><blockquote type="cite">Street?</blockquote><p>Dorpsstraat</p>', "1001\n\nDorpsstraat"),
    "below-the-quote": ('<div class="gmail_quote"><div class="gmail_attr">Op do 1 okt 2026 om 09:12 schreef Support &lt;s@x.org&gt;:<br></div><blockquote class="gmail_quote">Is het er?</blockquote></div><div>Ja, gisteren.</div>', "Ja, gisteren."),
    "forward": ('<div>Zie.</div><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>From: Piet</div>Klacht</div>', "Zie.\n---------- Forwarded message ---------\nFrom: Piet\nKlacht"),
    "no-quote": ("<p>Waar is mijn pakket?</p>", "Waar is mijn pakket?"),
}  # fmt: skip
