"""Delivery reports as mail servers write them: about a mail of ours, in many programs' manners.

Written for this table after the programs' published templates; every name in them is made up.
"""

# ruff: noqa: E501 - a mail a line reads best

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OUR_ID: Final = "0190a0b0-0000-7000-8000-000000000001"
OURS: Final = f"<regie.{OUR_ID}@example.org>"
THEM: Final = "jan.jansen@example.net"


@dataclass(frozen=True)
class Bounce:
    """A mail and what is to be read in it. `envelope` is the envelope sender, `<>` by default.

    ours    whether the report leads to the mail of ours that is in it
    weight  hard or soft; empty: not looked at
    """

    headers: str
    body: str
    action: str = "failed"
    recipient: str = THEM
    code: str = ""
    weight: str = ""
    cause: str = ""
    ours: bool = True
    envelope: str | None = ""

    @property
    def raw(self) -> bytes:
        return f"{self.headers.strip()}\n\n{self.body.strip()}\n".encode()


RETURNED: Final = f"""From: Support <support@example.org>
To: {THEM}
Subject: Re: Uw pakket
Message-ID: {OURS}
Date: Thu, 1 Oct 2026 09:12:00 +0200
Content-Type: text/plain

Goedemiddag, uw pakket komt morgen."""


def dsn(
    fields: str,
    notice: str = "This is the mail system at host mx.example.net.",
    subject: str = "Undelivered Mail Returned to Sender",
    author: str = "MAILER-DAEMON@mx.example.net (Mail Delivery System)",
    status: str = "message/delivery-status",
    returned: str = "message/rfc822",
    root: str = "multipart/report; report-type=delivery-status",
    original: str = RETURNED,
) -> tuple[str, str]:
    """Headers and body of a report in parts."""
    back = f"--b\nContent-Type: {returned}\n\n{original}\n" if returned else ""
    told = f"--b\nContent-Type: {status}\n\n{fields.strip()}\n" if status else ""
    return (
        f"From: {author}\nTo: support@example.org\nSubject: {subject}\nMessage-ID: <b@mx.example>\n"
        f"MIME-Version: 1.0\nContent-Type: {root}; boundary=b",
        f"--b\nContent-Type: text/plain; charset=utf-8\n\n{notice}\n{told}{back}--b--",
    )


def fields(
    action: str = "failed",
    status: str = "5.1.1",
    said: str = "smtp; 550 5.1.1 user unknown",
    recipient: str = f"rfc822; {THEM}",
) -> str:
    return (
        "Reporting-MTA: dns; mx.example.net\nArrival-Date: Thu, 1 Oct 2026 09:12:01 +0200\n\n"
        f"Final-Recipient: {recipient}\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: {said}\n"
    )


def plain(subject: str, author: str, more: str = "") -> str:
    """The headers of a report in plain words."""
    return (
        f"From: {author}\nTo: support@example.org\nSubject: {subject}\nMessage-ID: <p@mx.example>\n"
        f"Content-Type: text/plain; charset=utf-8\n{more}"
    ).strip()


_DAEMON: Final = "Mail Delivery System <mailer-daemon@mx.example.net>"
_POSTMASTER: Final = "postmaster@mail.example.net"
_UNKNOWN: Final = "the address does not exist"
_FULL: Final = "the mailbox is full"
_TWO: Final = (
    "Reporting-MTA: dns; mx.example.net\n\n"
    "Final-Recipient: rfc822; piet@example.net\nAction: delivered\nStatus: 2.0.0\n\n"
    f"Final-Recipient: rfc822; {THEM}\nAction: failed\nStatus: 5.2.2\n"
    "Diagnostic-Code: smtp; 552 5.2.2 mailbox full\n"
)

REPORTS: Final[dict[str, Bounce]] = {
    # --- RFC 3464, whole and broken -----------------------------------------------------------
    "postfix": Bounce(*dsn(fields()), code="5.1.1", weight="hard", cause=_UNKNOWN),
    "postfix-headers-only": Bounce(
        *dsn(fields(), returned="text/rfc822-headers"), code="5.1.1", weight="hard"
    ),
    "postfix-delayed": Bounce(
        *dsn(fields("delayed", "4.4.1", "smtp; connect timed out"), subject="Delayed Mail (still being retried)"),
        action="delayed", code="4.4.1", weight="soft",
    ),
    "given-up": Bounce(
        *dsn(fields("failed", "4.4.7", "smtp; delivery time expired")),
        code="4.4.7", weight="soft", cause="the server could not be reached in time",
    ),
    "original-recipient": Bounce(
        *dsn(f"Original-Recipient: rfc822;{THEM}\nFinal-Recipient: rfc822;jj@inner.example\nAction: failed\nStatus: 5.0.0"),
        code="5.0.0",
    ),
    "several-recipients": Bounce(*dsn(_TWO), code="5.2.2", weight="soft", cause=_FULL),
    "no-blank-lines": Bounce(
        *dsn(_TWO.replace("\n\n", "\n")), code="5.2.2", weight="soft", cause=_FULL
    ),
    "doubled-blank-lines": Bounce(*dsn(fields().replace("\n\n", "\n\n\n\n")), code="5.1.1"),
    "fields-in-any-order": Bounce(
        *dsn(f"Diagnostic-Code: SMTP; 550 5.1.1 no such user\nStatus: 5.1.1\nFinal-Recipient: RFC822; <{THEM}>\nAction: failed"),
        code="5.1.1", cause=_UNKNOWN,
    ),
    "upper-case-fields": Bounce(*dsn(fields().upper()), code="5.1.1"),
    "words-behind-the-action": Bounce(*dsn(fields("Failed (permanent failure)")), code="5.1.1"),
    "another-word-for-failed": Bounce(*dsn(fields("failure")), code="5.1.1"),
    "no-action": Bounce(
        *dsn(f"Final-Recipient: rfc822; {THEM}\nStatus: 5.1.1"), code="5.1.1", weight="hard"
    ),
    "no-status": Bounce(
        *dsn(f"Final-Recipient: rfc822; {THEM}\nAction: failed\nDiagnostic-Code: smtp; 550-5.7.1 blocked by policy"),
        code="5.7.1", weight="soft", cause="the server refuses our mail",
    ),
    "status-with-words": Bounce(*dsn(fields(status="5.1.1 (unknown user)")), code="5.1.1"),
    "better-code-in-the-words": Bounce(
        *dsn(fields(status="5.0.0", said="smtp; 550 5.2.1 mailbox disabled")),
        code="5.2.1", cause="the mailbox is closed",
    ),
    "no-type-of-address": Bounce(*dsn(fields(recipient=THEM)), code="5.1.1"),
    "no-type-of-diagnosis": Bounce(*dsn(fields(said="550 user unknown")), code="5.1.1"),
    "folded-diagnosis": Bounce(
        *dsn(fields(said="smtp; 550 5.1.1\n    The email account that you tried to reach\n    does not exist")),
        code="5.1.1", cause=_UNKNOWN,
    ),
    "status-as-text": Bounce(*dsn(fields(), status="text/plain"), code="5.1.1"),
    "status-as-file": Bounce(
        *dsn(fields(), status="application/octet-stream; name=details.txt"), code="5.1.1"
    ),
    "status-for-the-world": Bounce(
        *dsn(fields(recipient=f"utf-8; {THEM}"), status="message/global-delivery-status",
             returned="message/global"), code="5.1.1",
    ),
    "mixed-instead-of-report": Bounce(*dsn(fields(), root="multipart/mixed"), code="5.1.1"),
    "report-without-its-type": Bounce(*dsn(fields(), root="multipart/report"), code="5.1.1"),
    "report-without-status": Bounce(
        *dsn("", notice=f"<{THEM}>: host mx said: 550 5.1.1 user unknown", status=""), code="5.1.1"
    ),
    "original-lost": Bounce(*dsn(fields(), returned=""), code="5.1.1", ours=False),
    "original-in-part": Bounce(*dsn(fields(), returned="message/partial"), code="5.1.1"),
    "original-as-text": Bounce(*dsn(fields(), returned="text/plain"), code="5.1.1"),
    "original-of-another": Bounce(
        *dsn(fields(), original=RETURNED.replace(OURS, "<x@else.example>")), code="5.1.1", ours=False
    ),
    "original-renamed-by-its-provider": Bounce(
        *dsn(fields(), original=RETURNED.replace(OURS, f"<0102@ses.example>\nX-Regie-Origin: {OURS}")),
        code="5.1.1",
    ),
    "from-a-person-s-subject": Bounce(*dsn(fields(), subject="Re: Uw pakket"), code="5.1.1"),
    "no-subject": Bounce(*dsn(fields(), subject=""), code="5.1.1"),
    "domino": Bounce(
        *dsn(fields(status="5.0.0", said=f"X-Notes; User Jan ({THEM}) not listed in Domino Directory"),
             author="Postmaster@example.net", subject="DELIVERY FAILURE: User not listed in Domino Directory"),
        code="5.0.0", cause=_UNKNOWN, weight="hard",
    ),
    "outlook-365": Bounce(
        *dsn(fields("failed", "5.1.10", "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup"),
             author="Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.net>",
             subject="Onbestelbaar: Re: Uw pakket"),
        code="5.1.10", weight="hard", cause=_UNKNOWN,
    ),
    "exchange-full": Bounce(
        *dsn(fields("failed", "5.2.2", "smtp;554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException"),
             author="postmaster@example.net", subject="Undeliverable: Re: Uw pakket"),
        code="5.2.2", weight="soft", cause=_FULL,
    ),
    "amazon-ses": Bounce(
        *dsn(fields("failed", "5.1.1", "smtp; 550 5.1.1 <jan.jansen@example.net>: Recipient address rejected"),
             author="MAILER-DAEMON@eu-west-1.amazonses.com", subject="Delivery Status Notification (Failure)",
             notice="An error occurred while trying to deliver the mail to the following recipients:\n" + THEM),
        code="5.1.1", weight="hard",
    ),
    "mimecast": Bounce(
        *dsn(fields("failed", "5.0.0", "smtp; 550 Administrative prohibition - envelope blocked"),
             author="Mimecast <postmaster@mimecast.example>", subject="[Postmaster] Email Delivery Failure"),
        code="5.0.0", weight="soft", cause="the server refuses our mail",
    ),
    "gmail": Bounce(
        *dsn(fields("failed", "5.1.1", "smtp; 550-5.1.1 The email account that you tried to reach does not exist."),
             author="Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
             subject="Delivery Status Notification (Failure)", notice="** Address not found **\n\nYour message wasn't delivered."),
        code="5.1.1", weight="hard", cause=_UNKNOWN,
    ),
    "gmail-delay": Bounce(
        *dsn(fields("delayed", "4.4.1", "smtp; The recipient server did not accept our requests to connect."),
             author="Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
             subject="Delivery Status Notification (Delay)"),
        action="delayed", code="4.4.1", weight="soft",
    ),
    "sendmail": Bounce(
        *dsn(fields("failed", "5.1.2", "SMTP; Host unknown (Name server: host not found)"),
             author="Mail Delivery Subsystem <MAILER-DAEMON@sm.example>", subject="Returned mail: see transcript for details"),
        code="5.1.2", weight="hard", cause="the domain takes no mail",
    ),
    "sendmail-warning": Bounce(
        *dsn(fields("delayed", "4.2.0", "SMTP; 451 greylisted"), subject="Warning: could not send message for past 4 hours"),
        action="delayed", code="4.2.0", weight="soft",
    ),
    "yandex": Bounce(
        *dsn(fields(), author="mailer-daemon@yandex.example", subject="Недоставленное сообщение",
             notice="К сожалению, Ваше письмо не может быть отправлено."),
        code="5.1.1",
    ),
    "too-large": Bounce(
        *dsn(fields("failed", "5.3.4", "smtp; 552 5.3.4 message size exceeds fixed limit")),
        code="5.3.4", weight="soft", cause="the mail is too large",
    ),
    "loop": Bounce(
        *dsn(fields("failed", "5.4.6", "smtp; 554 5.4.6 too many hops")),
        code="5.4.6", weight="soft", cause="the mail went round in a loop",
    ),
    "envelope-not-known": Bounce(*dsn(fields()), code="5.1.1", envelope=None),
    "envelope-of-a-forwarder": Bounce(*dsn(fields()), code="5.1.1", envelope="fwd@relay.example"),
    "auto-replied-report": Bounce(
        "Auto-Submitted: auto-replied\n" + dsn(fields())[0], dsn(fields())[1], code="5.1.1"
    ),
    # --- no bounce, though a report -----------------------------------------------------------
    "delivered": Bounce(
        *dsn(fields("delivered", "2.0.0", "smtp; 250 ok"), subject="Delivery Status Notification (Success)"),
        action="delivered", code="2.0.0",
    ),
    "relayed": Bounce(
        *dsn(fields("relayed", "2.0.0", "smtp; 250 ok"), subject="Successful Mail Delivery Report"),
        action="relayed", code="2.0.0",
    ),
    "expanded": Bounce(
        *dsn(fields("expanded", "2.0.0", "smtp; 250 ok"), subject="Delivery Status Notification (Relay)"),
        action="expanded", code="2.0.0",
    ),
    # --- plain words --------------------------------------------------------------------------
    "qmail": Bounce(
        plain("failure notice", "MAILER-DAEMON@old.example.net"),
        f"Hi. This is the qmail-send program at old.example.net.\nI'm afraid I wasn't able to deliver your message.\n\n<{THEM}>:\n"
        f"Sorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <support@example.org>\n{RETURNED}",
        code="5.1.1", weight="hard", cause=_UNKNOWN,
    ),
    "qmail-full": Bounce(
        plain("failure notice", "MAILER-DAEMON@old.example.net"),
        f"Hi. This is the qmail-send program at old.example.net.\n\n<{THEM}>:\nUser disk quota exceeded. (#4.2.2)\nI'm not going to try again; this message has been in the queue too long.\n\n"
        f"--- Below this line is a copy of the message.\n\n{RETURNED}",
        code="4.2.2", weight="soft", cause=_FULL,
    ),
    "exim": Bounce(
        plain("Mail delivery failed: returning message to sender", _DAEMON, f"X-Failed-Recipients: {THEM}\nAuto-Submitted: auto-replied"),
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\n"
        f"recipients. This is a permanent error. The following address(es) failed:\n\n  {THEM}\n    host mx.example.net [192.0.2.1]\n"
        f"    SMTP error from remote mail server after RCPT TO:<{THEM}>:\n    550 5.1.1 user unknown\n\n------ This is a copy of the message, including all the headers. ------\n\n{RETURNED}",
        code="5.1.1", weight="hard",
    ),
    "exim-warning": Bounce(
        plain("Warning: message 1a2b3c delayed 24 hours", _DAEMON, "Auto-Submitted: auto-replied"),
        f"This message was created automatically by mail delivery software.\nA message that you sent has not yet been delivered to one or more of its\nrecipients after more than 24 hours.\n\n"
        f"The message identifier is: {OURS}\n\nThe address to which the message has not yet been delivered is:\n\n  {THEM}\n\nNo action is required on your part. Delivery attempts will continue.",
        action="delayed", weight="soft",
    ),
    "gmail-plain": Bounce(
        plain("Delivery Status Notification (Failure)", "Mail Delivery Subsystem <mailer-daemon@googlemail.com>", f"X-Failed-Recipients: {THEM}"),
        f"Delivery to the following recipient failed permanently:\n\n     {THEM}\n\nTechnical details of permanent failure:\nThe error that the other server returned was: 550 550 5.1.1 user unknown (state 14).\n\n----- Original message -----\n\n{RETURNED}",
        code="5.1.1", weight="hard",
    ),
    "yahoo": Bounce(
        plain("Failure Notice", "MAILER-DAEMON@yahoo.example"),
        f"Sorry, we were unable to deliver your message to the following address.\n\n<{THEM}>:\nRemote host said: 554 delivery error: dd This user doesn't have a yahoo.example account ({THEM}) [0]\n\n--- Below this line is a copy of the message.\n\n{RETURNED}",
        code="554", weight="hard", cause=_UNKNOWN,
    ),
    "exchange-5": Bounce(
        plain("Undeliverable: Re: Uw pakket", "System Administrator <postmaster@example.net>"),
        f"Your message\n\n  To:      {THEM}\n  Subject: Re: Uw pakket\n  Sent:    Thu, 1 Oct 2026\n\ndid not reach the following recipient(s):\n\n{THEM} on Thu, 1 Oct 2026\n    The recipient name is not recognized\n    MSEXCH:IMS:EXAMPLE:CAT:NET 0 (000C05A6) Unknown Recipient",
        cause=_UNKNOWN, ours=False,
    ),
    "exchange-5-bare-subject": Bounce(
        plain("Re: Uw pakket", "System Administrator <postmaster@example.net>", "In-Reply-To: " + OURS),
        f"Your message did not reach the following recipient(s):\n\n{THEM}\n    550 5.1.1 unknown recipient", code="5.1.1",
    ),
    "groupwise": Bounce(
        plain("Message status - undeliverable", "Mailer-Daemon@gw.example.net"),
        f"The message that you sent was undeliverable to the following:\n\t{THEM} (user not found)\n\nPossibly truncated original message follows:\n\n{RETURNED}", cause=_UNKNOWN,
    ),
    "notes-old": Bounce(
        plain("Undeliverable message", "postmaster@n.example.net"),
        f"------- Failure Reasons  --------\n\nUser not listed in public Name & Address Book\n{THEM}\n\n------- Returned Message --------\nReceived: from gw\n{RETURNED}", cause=_UNKNOWN,
    ),
    "imail": Bounce(
        plain("Undeliverable Mail", '"Postmaster" <postmaster@im.example>', "X-Mailer: <SMTP32 v8.12>"),
        f"Invalid final delivery userid: {THEM}\n\n\nOriginal message follows.\n\n{RETURNED}", cause=_UNKNOWN,
    ),
    "m-filter": Bounce(
        plain("failure notice", "POSTMASTER <postmaster@mf.example>"),
        f"以下のメールアドレスへの送信に失敗しました。\n{THEM}\n\n-------server message\n550 5.1.1 <{THEM}>: Recipient address rejected: User unknown\n\n-------original message\nReceived: from a by b;\n{RETURNED}",
        code="5.1.1", weight="hard", envelope="postmaster@mf.example",
    ),
    "courier": Bounce(
        plain("NOTICE: mail delivery status.", '"Courier mail server at mx" <@mx.example>'),
        f"This is a delivery status notification from mx.example.\n\nUNDELIVERABLE MAIL\n\n<{THEM}>:\n     550 User unknown.\n\n{RETURNED}", code="550", weight="hard",
    ),
    "mdaemon": Bounce(
        plain("Permanent Delivery Failure", "MDaemon at mx <MDaemon@mx.example>"),
        f"The attached message had PERMANENT fatal delivery errors.\n\nFailed address: {THEM}\n\n--- Session Transcript ---\n<-- 550 5.1.1 no such user here\n\n{RETURNED}", code="5.1.1", weight="hard",
    ),
    "sun": Bounce(
        plain("Delivery Notification: Delivery has failed", "Internet Mail Delivery <postmaster@sun.example>"),
        f"This report relates to a message you sent with the following header fields:\n\n  Message-id: {OURS}\n  To: {THEM}\n\nYour message cannot be delivered to the following recipients:\n\n  Recipient address: {THEM}\n  Reason: Remote SMTP server has rejected address\n  Diagnostic code: smtp;550 5.1.1 unknown user",
        code="5.1.1", weight="hard",
    ),
    "mailmarshal": Bounce(
        plain('Undeliverable Mail: "Uw pakket"', "postmaster@mm.example"),
        f"Your message:\n   From:    support@example.org\n   Subject: Uw pakket\n\nCould not be delivered because of\n\n550 5.1.1 User unknown\n\nThe following recipients were affected:\n    {THEM}\n",
        code="5.1.1", weight="hard", ours=False, envelope=None,
    ),
    "phone-gateway": Bounce(
        plain("Re:Uw pakket", "post_master@gate.example", "In-Reply-To: " + OURS),
        f"Error: Invalid user address\n\nError message below:\n550 - Requested action not taken: no such user here\n\nMessage details:\n  MAIL FROM: support@example.org\n  RCPT TO: {THEM}",
        code="550", weight="hard", envelope=None,
    ),
    "bare-daemon": Bounce(
        plain("Returned Mail: User unknown", '"Mail Deliver System" <MAILER-DAEMON>'),
        f"The original message was received\n\n---The following addresses had delivery errors---\n\n{THEM} [User unknown]\n\n{RETURNED}", cause=_UNKNOWN,
    ),
    "outlook-nl": Bounce(
        plain("Onbestelbaar: Uw pakket", "postmaster@example.net"),
        f"Bezorging is mislukt voor de volgende geadresseerden of groepen:\n\n{THEM}\nHet e-mailadres dat u hebt ingevoerd bestaat niet.\n\nDiagnostische gegevens:\n550 5.1.1 onbekend\n\nOorspronkelijke kopteksten:\n{RETURNED}",
        code="5.1.1", weight="hard",
    ),
    "outlook-de": Bounce(
        plain("Unzustellbar: Uw pakket", "postmaster@example.net"),
        f"Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:\n\n{THEM}\nDie eingegebene E-Mail-Adresse konnte nicht gefunden werden.\n\n#550 5.1.1 RESOLVER.ADR.RecipNotFound#\n\n{RETURNED}",
        code="5.1.1", weight="hard",
    ),
    "outlook-fr": Bounce(
        plain("Non remis : Uw pakket", "postmaster@example.net"),
        f"Échec de la remise à ces destinataires ou groupes :\n\n{THEM}\nL'adresse n'existe pas.\n\n{RETURNED}", cause=_UNKNOWN,
    ),
    "outlook-es": Bounce(
        plain("No se puede entregar: Uw pakket", "postmaster@example.net"),
        f"No se pudo entregar el mensaje a estos destinatarios:\n\n{THEM}\nLa dirección no existe.\n\n{RETURNED}", cause=_UNKNOWN,
    ),
    "outlook-it": Bounce(plain("Non recapitabile: Uw pakket", _POSTMASTER), f"Impossibile recapitare il messaggio a:\n\n{THEM}\n\n{RETURNED}"),
    "outlook-pt": Bounce(plain("Não é possível entregar: Uw pakket", _POSTMASTER), f"Falha na entrega para:\n\n{THEM}\n\n{RETURNED}"),
    "outlook-pl": Bounce(plain("Niedostarczalne: Uw pakket", _POSTMASTER), f"Nie można dostarczyć wiadomości do:\n\n{THEM}\n\n{RETURNED}"),
    "outlook-sv": Bounce(plain("Det går inte att leverera: Uw pakket", _POSTMASTER), f"Meddelandet kunde inte levereras till:\n\n{THEM}\n\n{RETURNED}"),
    "outlook-da": Bounce(plain("Kan ikke leveres: Uw pakket", _POSTMASTER), f"Meddelelsen kunne ikke leveres til:\n\n{THEM}\n\n{RETURNED}"),
    "outlook-fi": Bounce(plain("Toimitus epäonnistui: Uw pakket", _POSTMASTER), f"Viestiä ei voitu toimittaa:\n\n{THEM}\n\n{RETURNED}"),
    "delayed-nl": Bounce(plain("Bezorging vertraagd: Uw pakket", _POSTMASTER), f"De bezorging aan de volgende geadresseerden is vertraagd:\n\n{THEM}\n\n{RETURNED}", action="delayed", weight="soft"),
    "delayed-de": Bounce(plain("Verzögerte Zustellung: Uw pakket", _POSTMASTER), f"Die Zustellung an die folgenden Empfänger verzögert sich:\n\n{THEM}\n\n{RETURNED}", action="delayed", weight="soft"),
    "t-online": Bounce(
        plain("Mail delivery failed: returning message to sender", "Mailer-Daemon <noreply@mail.example>"),
        f"|------------------------- Message log follows: -------------------------|\n no valid recipients were found for this message\n|------------------------- Failed addresses follow: ---------------------|\n <{THEM}> ... unknown user\n|------------------------- Message text follows: ------------------------|\n\n{RETURNED}", cause=_UNKNOWN,
    ),
    "old-sendmail": Bounce(
        plain("Returned mail: User unknown", "Mail Delivery Subsystem <MAILER-DAEMON@old.example>"),
        f"   ----- Transcript of session follows -----\n550 <{THEM}>... User unknown\n\n   ----- Unsent message follows -----\n{RETURNED}", code="550", weight="hard",
    ),
    "barracuda": Bounce(
        plain("**Message you sent blocked by our bulk email filter**", "postmaster@bc.example"),
        f"Your message to: {THEM}\nwas blocked by our Spam Firewall. The email you sent with the following subject has NOT BEEN DELIVERED:\n\nSubject: Re: Uw pakket\n\nAn explanation: 550 5.7.1 blocked as spam\n\nMessage-ID: {OURS}",
        code="5.7.1", weight="soft", cause="the server refuses our mail",
    ),
    "null-path-alone": Bounce(
        plain("Undeliverable mail", "robot@gate.example"), f"{THEM}: no such user", cause=_UNKNOWN, ours=False
    ),
    "return-path-header": Bounce(
        plain("Mail could not be delivered", "robot@gate.example", "Return-Path: <>"), f"No such user: {THEM}\n\n{RETURNED}", envelope="fwd@relay.example", cause=_UNKNOWN,
    ),
    "quoted-printable-id": Bounce(
        "From: MAILER-DAEMON@mx.example.net\nTo: support@example.org\nSubject: failure notice\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable",
        f"<{THEM}>:\n550 5.1.1 user unknown\n\n--- Below this line is a copy of the message.\n\nMessage-ID: <regie.0190a0b0-0000-7000-=\n8000-000000000001@example.org>", code="5.1.1",
    ),
    "references-only": Bounce(
        plain("Undelivered Mail", _DAEMON, f"References: {OURS}"), f"<{THEM}>: 550 5.1.1 user unknown", code="5.1.1"
    ),
}  # fmt: skip
