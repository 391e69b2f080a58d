"""What is to be read in each mail of `email/`. What a row leaves out is as in most mails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

OUR_MAIL: Final = "<regie.0190a0b0-0000-7000-8000-000000000001@example.org>"
OUR_ID: Final = "0190a0b0-0000-7000-8000-000000000001"


@dataclass(frozen=True)
class Row:
    """The expected message.

    text        all of it, or None where only its presence matters
    reply       the reply without its history; None: the whole text
    files       (name, content type, inline) of each attachment
    attributes  those that must be there, with these values
    status      it tells what became of a mail of ours
    """

    text: str | None
    reply: str | None = None
    sender: str = "jan.jansen@example.net"
    name: str | None = None
    subject: str | None = None
    kind: str = "message"
    automatic: bool = False
    authentication: str = "asserted"
    references: tuple[str, ...] = ()
    files: tuple[tuple[str, str, bool], ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    status: bool = False


def _report(action: str, original: str = OUR_MAIL, **more: str) -> dict[str, Any]:
    said = {"recipient": "jan.jansen@example.net", "original": original, "class": "hard", **more}
    return {"report": {"action": action, **said}}


_DSN: Final = (
    ("part-1.txt", "message/delivery-status", False),
    ("part-2.txt", "text/rfc822-headers", False),
)
_NOBODY: Final = "the address does not exist"
_LATE: Final = "the server could not be reached in time"
_DAEMON: Final = "mailer-daemon@mx.example.net"
_MX_SAYS: Final = "This is the mail system at host mx.example.net."

TABLE: Final[Mapping[str, Row]] = {
    "plain": Row(
        "Goedemiddag,\n\nMijn pakket kwam gisteren beschadigd aan. Ordernummer 1001.\n\n"
        "Met vriendelijke groet,\nJan Jansen",
        name="Jan Jansen",
        subject="Mijn pakket is beschadigd",
        attributes={"date": "2026-10-01T07:58:00+00:00", "to": ["support@example.org"]},
    ),
    "html-only": Row(
        "Hello,\n\nWhere is my parcel?\nIt should have come today "
        "<https://track.example.com/T1?a=1&b=2>.\n\n- order 1001\n- café set"
    ),
    "plain-is-a-stub": Row(
        "Graag ontvang ik een offerte voor het versturen van tweehonderd pakketten per maand, "
        "binnen Nederland en naar België, met bezorging op de volgende werkdag en een "
        "handtekening voor ontvangst. Wij verzenden vooral tussen oktober en januari, en halen "
        "de dozen zelf op."
    ),
    "plain-and-html": Row("Kunt u mij terugbellen over order 1001?"),
    # --- replies ---------------------------------------------------------------------------
    "reply-nl-gmail": Row(
        None, "Dank u, het pakket is binnen.", references=(OUR_MAIL, "<first@mail.example.net>")
    ),
    "reply-nl-apple": Row(None, "Ja, graag."),
    "reply-nl-outlook": Row(None, "Nee, nog niet."),
    "reply-de": Row(
        None,
        "Guten Tag,\n\ndie Lieferung fehlt noch immer.",
        sender="juergen@example.com",
        name="Jürgen Müller",
    ),
    "reply-de-outlook": Row(None, "Nein, leider nicht."),
    "reply-fr": Row(
        None, "Bonjour,\n\nOui, le colis est arrivé abîmé.", sender="zoe@example.com", name="Zoé"
    ),
    "reply-fr-outlook": Row(None, "Non, pas encore."),
    "reply-en-outlook": Row(None, "Still nothing here.\n\nKind regards,\nJan"),
    "reply-html-gmail": Row(
        "It came today, thank you.\n\nOn Thu, Oct 1, 2026 at 9:12 AM Support "
        "<support@example.org> wrote:\n\n> Has it arrived?",
        "It came today, thank you.",
    ),
    "reply-inline": Row(None, "1001\n\n1234 AB"),
    "reply-only-quote": Row(
        "On Thu, Oct 1, 2026 at 9:12 AM Support <support@example.org> wrote:\n> Is it there?"
    ),
    "forward": Row(
        "Zie hieronder.\n\n---------- Forwarded message ---------\nFrom: Piet <piet@example.com>\n"
        "Date: Wed, Sep 30, 2026 at 9:12 AM\nSubject: Klacht van een buurman\nTo: Jan Jansen\n\n"
        "De bezorger heeft mijn heg omgereden."
    ),
    # --- charsets --------------------------------------------------------------------------
    "charset-lie-latin1": Row(
        "Het café in België heeft de factuur niet gekregen.", attributes={"charset_fallback": True}
    ),
    "charset-lie-utf8": Row(
        "Die Rechnung für Köln fehlt. Schöne Grüße", attributes={"charset_fallback": True}
    ),
    "charset-unknown": Row(
        "Één vraag: wanneer komt de coördinator?", attributes={"charset_fallback": True}
    ),
    "charset-alias": Row("Gdzie jest moja paczka? Dziękuję, Łukasz"),
    "charset-missing-cyrillic": Row(
        "Здравствуйте, где моя посылка? Она должна была прийти вчера, но курьер не приехал. "
        "Пожалуйста, ответьте как можно скорее, потому что мне нужно уехать.",
        attributes={"charset_fallback": True},
    ),
    "charset-iso2022jp": Row("荷物はどこですか", subject="質問"),
    "charset-utf7": Row("Grüße aus Köln"),
    "charset-mixed": Row(
        "Eén, twee, drieëntwintig. Getekend: Zoé", attributes={"charset_fallback": True}
    ),
    "nul-and-controls": Row("Voor en\nna.", subject="Vreemd teken"),
    # --- headers ---------------------------------------------------------------------------
    "raw-8bit-headers": Row(
        "Hallo",
        sender="zoe@example.com",
        name="Zoë Çelik",
        subject="Geïnteresseerd in één pakket",
    ),
    "raw-latin1-subject": Row("Hallo", sender="jan@example.net", subject="Köln wartet"),
    "split-encoded-words": Row(
        "Zie onderwerp.",
        sender="renee@example.net",
        name="Jansen, Renée",
        subject="Één bestelling met twee pakketten in één doos € 12",
    ),
    "encoded-word-in-quotes": Row("Hallo", sender="mueller@example.com", name="Müller"),
    "missing-message-id-and-from": Row("Wie ben ik?", sender="envelope@example.net"),
    "broken-from": Row("Hallo", name="Jan Jansen thuis"),
    "from-with-two-names": Row("Geloof mij.", sender="thief@evil.example"),
    "lost-indent": Row(
        "Hallo",
        sender="jan@example.net",
        subject="Een heel lang onderwerp dat door een programma verkeerd is afgebroken",
    ),
    "no-gap-before-body": Row(
        "Hallo daar, dit is de tekst.\n\nEn nog een alinea.",
        sender="jan@example.net",
        subject="Geen lege regel",
    ),
    # --- lines and encodings ---------------------------------------------------------------
    "cr-only": Row("Eerste regel\nTweede regel", subject="Alleen CR"),
    "lf-only": Row("Eerste regel\nTweede regel"),
    "doubled-cr": Row("Eerste regel\nTweede regel", subject="Dubbele CR"),
    "base64-noise": Row("Eén regel tekst."),
    "format-flowed": Row(
        "Deze regel loopt door op de volgende.\n\n> en deze ook\n-- \nJan",
        "Deze regel loopt door op de volgende.",
    ),
    "uuencode-in-text": Row(
        "Zie de bijlage.\n\n\nGroet, Jan",
        "Zie de bijlage.\n\nGroet, Jan",
        files=(("bon.pdf", "application/octet-stream", False),),
    ),
    "uuencode-transfer": Row("Zie bijlage.", files=(("bon.pdf", "application/pdf", False),)),
    # --- parts -----------------------------------------------------------------------------
    "nested-mail": Row("Bijgevoegd.", files=(("Binnenste mail.eml", "message/rfc822", False),)),
    "inline-image": Row(
        "Kijk: [de doos]",
        files=(("doos.png", "image/png", True), ("doos (2).png", "image/png", False)),
    ),
    "attachment-names": Row(
        "Vier bijlagen.",
        files=(
            ("facture été.pdf", "application/pdf", False),
            ("offerte €.pdf", "application/pdf", False),
            ("regie", "text/html", False),
            ("foto.jpg", "application/octet-stream", False),
            ("part-5.jpg", "image/jpeg", False),
        ),
    ),
    "boundary-lost": Row(
        "De grens staat niet in de kop.", files=(("lijst.csv", "text/csv", False),)
    ),
    "deep": Row(
        "",
        files=(("part-1.bin", "application/octet-stream", False),),
        attributes={"truncated": True},
    ),
    "signed-and-encrypted": Row(
        "Dit is ondertekend.", files=(("smime.p7s", "application/pkcs7-signature", False),)
    ),
    "calendar": Row(
        "U bent uitgenodigd voor overleg op maandag.",
        files=(("part-1.ics", "text/calendar", False),),
        attributes={"calendar": "REQUEST"},
    ),
    # --- automatic -------------------------------------------------------------------------
    "auto-reply-exchange": Row(
        "Ik ben tot maandag afwezig.", kind="auto_reply", automatic=True, references=(OUR_MAIL,)
    ),
    "auto-reply-sieve": Row("On holiday.", kind="auto_reply", automatic=True),
    "auto-reply-old": Row("Away.", kind="auto_reply", automatic=True),
    "read-receipt": Row(
        "Uw bericht is gelezen.",
        references=(OUR_MAIL,),
        status=True,
        kind="auto_reply",
        automatic=True,
        files=(("part-1.txt", "message/disposition-notification", False),),
    ),
    "complaint": Row(
        "This is a complaint.",
        references=(OUR_MAIL,),
        sender="fbl@isp.example",
        kind="auto_reply",
        automatic=True,
        files=(
            ("part-1.txt", "message/feedback-report", False),
            ("Re_ Uw vraag.eml", "message/rfc822", False),
        ),
    ),
    "our-own-loop": Row("Dit hebben wij zelf gestuurd.", kind="auto_reply", automatic=True),
    "bulk": Row("Nu twee voor één.", sender="nieuws@shop.example", automatic=True),
    "own-list": Row("Waar is mijn pakket?"),
    "web-form": Row(
        "Naam: Anna\nVraag: mijn pakket is kwijt",
        sender="anna@example.com",
        attributes={"form": "no-reply@www.example.org"},
    ),
    # --- bounces ---------------------------------------------------------------------------
    "bounce-failed": Row(
        _MX_SAYS,
        sender=_DAEMON,
        kind="bounce",
        automatic=True,
        references=(OUR_MAIL,),
        files=_DSN,
        attributes=_report("failed", code="5.1.1", reason="550 5.1.1 user unknown", cause=_NOBODY),
        status=True,
    ),
    "bounce-delayed": Row(
        _MX_SAYS,
        sender=_DAEMON,
        kind="bounce",
        automatic=True,
        references=(OUR_MAIL,),
        files=_DSN,
        attributes=_report(
            "delayed", code="4.4.1", reason="connect timed out", cause=_LATE, **{"class": "soft"}
        ),
    ),
    "bounce-of-another": Row(
        _MX_SAYS,
        sender=_DAEMON,
        kind="bounce",
        automatic=True,
        references=("<somebody@else.example>",),
        files=_DSN,
        attributes=_report(
            "failed",
            "<somebody@else.example>",
            code="5.1.1",
            reason="550 user unknown",
            cause=_NOBODY,
        ),
    ),
    "bounce-qmail": Row(
        None,
        sender="mailer-daemon@old.example.net",
        kind="bounce",
        automatic=True,
        references=(OUR_MAIL,),
        attributes=_report(
            "failed",
            code="5.1.1",
            cause=_NOBODY,
            reason="Sorry, no mailbox here by that name. (#5.1.1)",
        ),
        status=True,
    ),
    # --- who vouches -----------------------------------------------------------------------
    "dmarc-pass": Row("Ik ben het echt.", authentication="proven"),
    "dmarc-forged": Row("Echt waar."),
    "dmarc-quoted": Row("Echt waar."),
    "dmarc-below": Row("Echt waar."),
    "dmarc-other-domain": Row("Echt waar."),
}
