"""The reply without its history: what is cut, and above all what is not."""

from __future__ import annotations

import pytest

from shared.channels.email.html import html_to_text
from shared.channels.email.quotes import reply_text
from shared.channels.email.text import unflowed

OWN = "Bedankt, het is gelukt.\n\nGroet, Jan"

HISTORIES = {
    "en-gmail": "On Thu, Oct 1, 2026 at 9:12 AM Support <s@x.org> wrote:\n\n> Is it there?",
    "en-gmail-wrapped": "On Thu, Oct 1, 2026 at 9:12 AM Support\n<s@x.org>\nwrote:\n\n> Is it",
    "en-apple": "> On 1 Oct 2026, at 09:12, Support <s@x.org> wrote:\n> \n> Is it there?",
    "en-thunderbird": "On 10/1/26 9:12 AM, Support wrote:\n> Is it there?",
    "en-yahoo": "    On Thursday, 1 October 2026, 09:12:00 CEST, Support <s@x.org> wrote: \n\n Is",
    "en-outlook": "From: Support\nSent: 1 October 2026\nTo: Jan\nSubject: Parcel\n\nIs it?",
    "en-outlook-bold": "*From:* Support\n*Sent:* 1 October\n*To:* Jan\n*Subject:* Box\n\nIs it",
    "en-original": "-----Original Message-----\nFrom: Support\n\nIs it there?",
    "en-original-quoted": "> -----Original Message-----\n> From: Support\n>\n> Is it there?",
    "en-gnus": "Support <s@x.org> writes:\n\n> On 1/10 it was sent.\n",
    "en-above": "##- Please type your reply above this line -##\n\nTicket 12 was updated.",
    "nl-gmail": "Op do 1 okt 2026 om 09:12 schreef Support <s@x.org>:\n\n> Is het er?",
    "nl-apple": "Op 1 okt. 2026, om 09:12 heeft Support het volgende geschreven:\n\nIs het?",
    "nl-thunderbird": "Op 1-10-2026 om 09:12 schreef Support:\n> Is het er?",
    "nl-plain": "Support schreef op 1-10-2026 om 09:12:\n\nIs het er?",
    "nl-outlook": "____________________\nVan: Support\nVerzonden: donderdag 1 oktober 2026 09:12\n"
    "Aan: Jan\nOnderwerp: Pakket\n\nIs het er?",
    "nl-original": "-----Oorspronkelijk bericht-----\nVan: Support\n\nIs het er?",
    "de-gmail": "Am Do., 1. Okt. 2026 um 09:12 Uhr schrieb Support <s@x.org>:\n\n> Ist es da?",
    "de-apple": "> Am 01.10.2026 um 09:12 schrieb Support <s@x.org>:\n> \n> Ist es da?",
    "de-plain": "Support schrieb am 01.10.2026 09:12:\n> Ist es da?",
    "de-outlook": "Von: Support\nGesendet: 1. Oktober 2026\nAn: Jan\nBetreff: Paket\n\nIst es da?",
    "de-original": "-----Ursprüngliche Nachricht-----\nVon: Support\n\nIst es da?",
    "fr-gmail": "Le jeu. 1 oct. 2026 à 09:12, Support <s@x.org> a écrit :\n\n> Est-il là ?",
    "fr-apple": "Le 1 oct. 2026 à 09:12, Support <s@x.org>\na écrit :\n\nEst-il là ?",
    "fr-outlook": "De : Support\nEnvoyé : 1 octobre 2026\nÀ : Jan\nObjet : Colis\n\nEst-il là ?",
    "fr-original": "-----Message d'origine-----\nDe : Support\n\nEst-il là ?",
    "es-gmail": "El jue, 1 oct 2026 a las 9:12, Support (<s@x.org>) escribió:\n\n> ¿Está?",
    "it-gmail": "Il giorno gio 1 ott 2026 alle ore 09:12 Support <s@x.org>\nha scritto:\n\n> C'è?",
    "old-gmail": "2026-10-01 9:12 GMT+02:00 Support <s@x.org>:\n\n> Is it there?",
    "quotes-only": "> Is it there?\n> We wonder.",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_history_is_cut(name: str) -> None:
    assert reply_text(f"{OWN}\n\n{HISTORIES[name]}", "Re: Pakket") == OWN


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_what_has_only_history_stays_whole(name: str) -> None:
    assert reply_text(HISTORIES[name], "Re: Pakket") == HISTORIES[name].strip()


@pytest.mark.parametrize(
    "own",
    [
        "Op 3 maart schreef ik u het volgende:\n\nIk wacht nog steeds.",
        "On 12/03 I wrote to you:\n\nI am still waiting.",
        "Am 3.3.2026 schrieb ich Ihnen:\n\nIch warte noch.",
        "From: my heart\n\nThank you!",
        "Van: Amsterdam\nNaar: Utrecht\n\nKlopt dit?",
        "Date: Monday\nPlace: your desk\n\nDoes that suit?",
        "My order:\n- 2 boxes\n- 1 tape\n\nThanks",
        "The total is 12:\n\nplease check",
        "--\nJan",
        "________________\n\nMy text stands below a rule.",
        "👍",
        "?",
    ],
)
def test_what_people_write_themselves_is_kept(own: str) -> None:
    assert reply_text(own, "Re: Pakket") == own


def test_the_last_line_is_not_taken_for_an_attribution() -> None:
    history = "On Thu, Oct 1, 2026 at 9:12 AM Support <s@x.org> wrote:\n> Is it?"
    for line in ("Thanks!", "On second thought, yes.", "It came on 1 October."):
        assert reply_text(f"{line}\n{history}") == line


def test_answers_between_quoted_lines_are_kept() -> None:
    text = (
        "On 1/10/2026 Support wrote:\n> Number?\n1001\n> Street?\n> And city?\nDorpsstraat, Ede\n"
    )
    assert reply_text(text) == "1001\nDorpsstraat, Ede"


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Zie onder.\n\n-----Oorspronkelijk bericht-----\nVan: Piet\n\nKlacht", "FW: Klacht"),
        ("Zie onder.\n\n-----Original Message-----\nFrom: Piet\n\nKlacht", "Doorst: Klacht"),
        ("See below\n\n---------- Forwarded message ---------\nFrom: Piet\n\nKlacht", "Klacht"),
        ("Zie.\n\nBegin doorgestuurd bericht:\n\n> Van: Piet\n> \n> Klacht", "Klacht"),
        ("Siehe\n\n-------- Weitergeleitete Nachricht --------\nVon: Piet\n\nKlage", "Klage"),
    ],
)
def test_a_forward_stays_whole(text: str, subject: str) -> None:
    assert reply_text(text, subject) == text


def test_a_reply_to_a_thread_with_a_forward_in_it_is_no_forward() -> None:
    history = "> ---------- Forwarded message ---------\n> From: Piet\n> Klacht"
    assert (
        reply_text(f"{OWN}\n\nOn 1/10/26 Support <s@x.org> wrote:\n{history}", "Re: Fwd: x") == OWN
    )


def test_an_empty_text_stays_empty() -> None:
    assert reply_text("") == ""
    assert reply_text(" \n ") == ""


# --- HTML and flowed text ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<p>two", "one\n\ntwo"),
        ("one<br/>two<br>three", "one\ntwo\nthree"),
        ("<ol><li>a<li>b<ul><li>c</ul></ol>", "1. a\n2. b\n\n- c"),
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", "a b\nc d"),
        ("<a href='https://x.nl/a'>here</a>", "here <https://x.nl/a>"),
        ("<a href='https://x.nl/'>x.nl</a> <a href='mailto:a@x.nl'>a@x.nl</a>", "x.nl a@x.nl"),
        ("<a href='javascript:alert(1)'>here</a>", "here"),
        ("a &amp; b &lt;c&gt; &eacute;&nbsp;!", "a & b <c> é\xa0!"),
        ("a < b and c <d", "a < b and c"),
        ("<div hidden>x</div><span style='DISPLAY : none'>y</span>z", "z"),
        ("<!--[if mso]><p>old</p><![endif]-->new<!-- never ended", "new"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>c", "> a\n>\n> > b\n\nc"),
        ("<blockquote style='border: none; margin: 0'>mine</blockquote>", "mine"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<p>a</p>\n\n<p>  b  \n c</p>", "a\n\nb c"),
        ("<title>t</title><style>s</style><script>j</script>", ""),
        ("<style>never closed <p>text", "never closed text"),
        ("", ""),
    ],
)
def test_html(html: str, text: str) -> None:
    assert html_to_text(html) == text


def test_flowed_text() -> None:
    assert unflowed("one \ntwo\nthree\n-- \nJan") == "one two\nthree\n-- \nJan"
    assert unflowed("one \ntwo", delete_space=True) == "onetwo"
    assert unflowed("> a \n> b\n>> c") == "> a b\n>> c"
