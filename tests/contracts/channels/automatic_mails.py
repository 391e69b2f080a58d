"""Mails that programs write, and mails of people that look like them.

A row: headers, text, what it is. `automatic` is a message that nobody waits for an answer to.
"""

# ruff: noqa: E501 - a mail a line reads best

from __future__ import annotations

from typing import Final, Literal

from tests.contracts.channels.bounce_mails import OURS

Kind = Literal["auto_reply", "automatic", "message"]
_ANSWERS: Final = f"In-Reply-To: {OURS}\nReferences: {OURS}\n"
_TEXT: Final = "Ik ben er niet."

MAILS: Final[dict[str, tuple[str, str, Kind]]] = {
    # --- absence, by header ---------------------------------------------------------------
    "rfc3834": ("Subject: Auto: x\nAuto-Submitted: auto-replied", _TEXT, "auto_reply"),
    "rfc3834-comment": ("Subject: x\nAuto-Submitted: auto-replied (vacation)", _TEXT, "auto_reply"),
    "rfc3834-parameter": ("Subject: x\nAuto-Submitted: auto-replied; owner=j", _TEXT, "auto_reply"),
    "rfc3834-upper": ("Subject: x\nAUTO-SUBMITTED: AUTO-REPLIED", _TEXT, "auto_reply"),
    "generated-answer": (f"Subject: Re: x\nAuto-Submitted: auto-generated\n{_ANSWERS}", _TEXT, "auto_reply"),
    "generated-alone": ("Subject: Rapport\nAuto-Submitted: auto-generated", "Omzet: 3", "automatic"),
    "submitted-no": (f"Subject: Re: x\nAuto-Submitted: no\n{_ANSWERS}", "Ja graag.", "message"),
    "x-autoreply": ("Subject: Re: x\nX-Autoreply: yes", _TEXT, "auto_reply"),
    "x-autorespond": ("Subject: Re: x\nX-Autorespond: x", _TEXT, "auto_reply"),
    "x-autoresponder": ("Subject: Re: x\nX-Autoresponder: a@b.nl", _TEXT, "auto_reply"),
    "x-autoreply-from": ("Subject: Re: x\nX-AutoReply-From: a@b.nl", _TEXT, "auto_reply"),
    "x-mail-autoreply": ("Subject: Re: x\nX-Mail-Autoreply: yes", _TEXT, "auto_reply"),
    "precedence-auto": ("Subject: Re: x\nPrecedence: auto_reply", _TEXT, "auto_reply"),
    "x-precedence-auto": ("Subject: Re: x\nX-Precedence: auto_reply", _TEXT, "auto_reply"),
    "preference-auto": ("Subject: Re: x\nPreference: auto_reply", _TEXT, "auto_reply"),
    "vacation-program": (f"Subject: Re: x\nPrecedence: bulk\n{_ANSWERS}", _TEXT, "auto_reply"),
    "delivered-to-autoresponder": ("Subject: x\nDelivered-To: Autoresponder", _TEXT, "auto_reply"),
    "gmail-vacation": ("Subject: Op vakantie Re: x\nPrecedence: bulk\nX-Autoreply: yes\n"
                       "Auto-Submitted: auto-replied", _TEXT, "auto_reply"),
    "null-return-path-answer": (f"Return-Path: <>\nSubject: Re: x\n{_ANSWERS}", _TEXT, "auto_reply"),
    # --- absence, by the fixed words of programs --------------------------------------------
    **{
        f"subject-{word}": (f"Subject: {word}: Uw pakket", _TEXT, "auto_reply")
        for word in (
            "Automatic reply", "AUTOMATIC REPLY", "Auto Reply", "Auto-Reply", "Autoreply", "Auto Response",
            "Automatic response", "Out of Office AutoReply", "Automatisch antwoord", "Automatische reactie",
            "Afwezigheidsbericht", "Automatische Antwort", "Abwesenheitsnotiz", "Abwesenheitsmeldung",
            "Réponse automatique", "Message d'absence", "Respuesta automática", "Resposta automática",
            "Risposta automatica", "Automatyczna odpowiedź", "Odpowiedź automatyczna", "Autosvar",
            "Automatiskt svar", "Automatisk svar", "Automaattinen vastaus", "Automatická odpověď",
            "Automatikus válasz", "Автоматический ответ", "Автоответ", "自動応答", "自动答复",
        )
    },
    "subject-french-colon": ("Subject: Réponse automatique : x", _TEXT, "auto_reply"),
    "subject-before-answer": ("Subject: Automatic reply: Re: Automatic stop", _TEXT, "auto_reply"),
    # --- absence, by looser words and a second sign -----------------------------------------
    "ooo-and-reference": (f"Subject: Out of office: x\n{_ANSWERS}", _TEXT, "auto_reply"),
    "ooo-and-suppress": ("Subject: Out of Office\nX-Auto-Response-Suppress: All", _TEXT, "auto_reply"),
    "ooo-and-words": ("Subject: Out of office until Monday",
                      "During my absence please contact Piet.", "auto_reply"),
    "nl-and-words": ("Subject: Afwezig tot maandag",
                     "Tijdens mijn afwezigheid neemt Piet waar.", "auto_reply"),
    "nl-and-null": ("Return-Path: <>\nSubject: Afwezig", _TEXT, "auto_reply"),
    "de-and-words": ("Subject: Abwesend", "Ihre E-Mail wird nicht weitergeleitet.", "auto_reply"),
    "fr-and-words": ("Subject: Absent du bureau", "En mon absence, appelez Luc.", "auto_reply"),
    "it-and-reference": (f"Subject: Fuori ufficio\n{_ANSWERS}", _TEXT, "auto_reply"),
    "es-and-bulk": ("Subject: Fuera de la oficina\nPrecedence: bulk", _TEXT, "auto_reply"),
    # --- absence, in people's own words -----------------------------------------------------
    "afwezig-human": ("Subject: Afwezig bij bezorging", "Kan het bij de buren?", "message"),
    "vakantie-human": ("Subject: Met vakantie", "Kan mijn pakket een week later?", "message"),
    "ooo-human": ("Subject: Out of office next week", "Can you deliver on Monday instead?", "message"),
    "urlaub-human": ("Subject: Im Urlaub", "Bitte stellen Sie es beim Nachbarn ab.", "message"),
    "answer-to-absence": ("Subject: Re: Automatic reply: x", "Thanks, I wait for you.", "message"),
    "answer-to-absence-nl": (f"Subject: Antw: Afwezigheidsbericht\n{_ANSWERS}", "Dank u.", "message"),
    "quotes-an-absence": ("Subject: Re: x", "Ik kreeg dit:\n> This is an automated reply.\n"
                          "> During my absence mail Piet.\nWat nu?", "message"),
    "about-automatic": ("Subject: Automatic stop does not work", "It goes on.", "message"),
    "about-autosvar": ("Subject: Hoe zet ik automatisch antwoord aan?", "Help.", "message"),
    # --- tickets ----------------------------------------------------------------------------
    "zendesk": ("Subject: [Request received] x\nX-Mailer: Zendesk Mailer",
                "We have received your request (1234).", "auto_reply"),
    "otrs": ("Subject: [Ticket#2026] x\nX-Powered-By: OTRS", "Wir haben Ihre Anfrage erhalten.\n"
             "Ihre Anfrage ist bei uns eingegangen.", "auto_reply"),
    "rt": ("Subject: [site #12] AutoReply: x\nRT-Ticket: site #12",
           "Your request has been received.", "auto_reply"),
    "jira": ("Subject: x\nX-JIRA-FingerPrint: a", "Your request has been created.", "auto_reply"),
    "freshdesk": (f"Subject: Ticket received\nX-Auto-Response-Suppress: All\n{_ANSWERS}",
                  "A ticket has been created.", "auto_reply"),
    "ticket-nl": ("From: no-reply@shop.example\nSubject: Bevestiging",
                  "Wij hebben uw vraag ontvangen.", "auto_reply"),
    "ticket-nl-own-words": ("Subject: Uw vraag\nAuto-Submitted: auto-generated",
                            "We hebben je bericht goed ontvangen.", "auto_reply"),
    "ticket-fr": ("From: noreply@shop.example\nSubject: x", "Nous avons bien reçu votre demande.",
                  "auto_reply"),
    "says-so-itself": (f"Subject: Re: x\n{_ANSWERS}", "This is an automated response. We will read "
                       "your mail.", "auto_reply"),
    "agent-of-zendesk": (f"Subject: Re: x\nX-Mailer: Zendesk Mailer\n{_ANSWERS}",
                         "Hello, the box is on its way. Regards, Ann", "message"),
    "agent-says-received": ("Subject: Re: x", "We have received your request and I will call you "
                            "tomorrow. Ann", "message"),
    # --- lists and bulk ---------------------------------------------------------------------
    **{
        f"list-{name}": (f"Subject: Nieuws\n{name}: <x>", "Twee voor een.", "automatic")
        for name in ("List-Id", "List-Unsubscribe", "List-Help", "List-Post", "Feedback-ID",
                     "X-Loop", "X-Auto-Response-Suppress", "X-Mailing-List", "X-CSA-Complaints")
    },
    "bulk": ("Subject: Nieuws\nPrecedence: bulk", "Twee voor een.", "automatic"),
    "junk": ("Subject: Nieuws\nPrecedence: junk", "Twee voor een.", "automatic"),
    "list": ("Subject: Nieuws\nX-Precedence: list", "Twee voor een.", "automatic"),
    "crm-answer": (f"Subject: Re: x\nList-Unsubscribe: <x>\nFeedback-ID: y\n{_ANSWERS}",
                   "Yes, Monday is fine. Ann", "message"),
    "our-own-list": ("Subject: x\nList-Id: <support.example.org>\nList-Unsubscribe: <x>\n"
                     "Precedence: list", "Waar is mijn pakket?", "message"),
    # --- machines ---------------------------------------------------------------------------
    "order": ("From: Shop <no-reply@shop.example>\nSubject: Uw bestelling", "Totaal 12 euro",
              "automatic"),
    "order-to-answer": ("From: Shop <no-reply@shop.example>\nReply-To: sales@shop.example\n"
                        "Subject: Order 12", "Please confirm the address.", "message"),
    "notifications": ("From: notifications@github.example\nSubject: x", "y", "automatic"),
    "cron": ("From: root@host.example\nSubject: Cron <x>\nX-Cron-Env: <A=b>", "done", "automatic"),
    "first-class": ("Subject: x\nX-FC-MachineGenerated: true", "y", "automatic"),
    "null-sender": ("Return-Path: <>\nSubject: Melding", "y", "automatic"),
    "web-form": ("From: no-reply@www.example.org\nReply-To: anna@example.com\nSubject: Form",
                 "Mijn pakket is kwijt.", "message"),
    "calendar-answer": ("Subject: Accepted: x\nMIME-Version: 1.0\n"
                        "Content-Type: text/calendar; method=REPLY", "BEGIN:VCALENDAR", "automatic"),
    # --- loops ------------------------------------------------------------------------------
    "our-message-id": (f"Subject: Re: x\nMessage-ID: {OURS}", "Dit schreven wij.", "auto_reply"),
    "our-origin": (f"Subject: Re: x\nMessage-ID: <0102@ses.example>\nX-Regie-Origin: {OURS}",
                   "Dit schreven wij.", "auto_reply"),
    "other-regie": (f"Subject: Re: x\nMessage-ID: {OURS.replace('example.org', 'other.example')}",
                    "Een ander bedrijf.", "message"),
    # --- people -----------------------------------------------------------------------------
    "plain": ("Subject: Waar is mijn pakket?", "Order 1001.", "message"),
    "answer": (f"Subject: Re: x\n{_ANSWERS}", "Dank u.", "message"),
    "no-subject": ("", "Hallo?", "message"),
    "important": ("Subject: x\nPrecedence: first-class\nX-Priority: 1", "Snel.", "message"),
    "phone": ("Subject: x\nX-Mailer: iPhone Mail (20A)", "Verstuurd vanaf mijn iPhone", "message"),
    "disclaimer": ("Subject: x", "Vraag?\n\nThis mail is confidential. Do not reply to all.", "message"),
    "automatically": ("Subject: x", "The door opens automatically. Why?", "message"),
}  # fmt: skip
