"""The words there are without a policy's own: (subject, text) by language and kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("en", "nl", "de", "fr")

Words = Mapping[str, tuple[str, str]]

_ENGLISH: Final[Words] = {
    "reminder": (
        "Due {left}: {metric}, {team}",
        "The {metric} in case {case} ({team}, {channel}) is due {left}: {due}.\n{link}",
    ),
    "escalation": (
        "Escalation: {metric} due {left}, {team}",
        "The {metric} in case {case} ({team}, {channel}) is due {left} ({due}) and still open.\n"
        "{link}",
    ),
    "breach": (
        "Late: {metric}, {team}",
        "The {metric} in case {case} ({team}, {channel}) was due {left} ({due}) and is late.\n"
        "{link}",
    ),
    "handoff": (
        "Handoff for {to}: answer by {until}",
        "{from} offers case {case} to {to}. Reason: {reason}. Results that come with it: "
        "{results}.\nPlease accept or decline by {until}.\n{link}",
    ),
    "promise": (
        "Promise due {left}, {team}",
        "What {by} promised the customer of case {case} ({team}) is due {left}: {due}.\n{link}",
    ),
    "promise_broken": (
        "Promise broken, {team}",
        "What {by} promised the customer of case {case} ({team}) was due {left} ({due}).\n{link}",
    ),
    "unreached": (
        "Customer not reached, {team}",
        "The customer of case {case} ({team}) was called {count} of {most} times and not "
        "reached.\n{link}",
    ),
    "frozen": (
        "A case goes to and fro: now with {owner}",
        "Case {case} stays with {owner}: {reason}. Its way: {trail}.\n{link}",
    ),
    "digest": (
        "{count} notices for {team}",
        "{count} notices in one, still true now:\n{list}\n{link}",
    ),
}
_DUTCH: Final[Words] = {
    "reminder": (
        "{left}: {metric}, {team}",
        "De termijn voor {metric} in zaak {case} ({team}, {channel}) loopt {left} af: {due}.\n"
        "{link}",
    ),
    "escalation": (
        "Escalatie: {metric}, {team}",
        "Termijn voor {metric} in zaak {case} ({team}, {channel}): {left} ({due}), nog open.\n"
        "{link}",
    ),
    "breach": (
        "Te laat: {metric}, {team}",
        "De termijn voor {metric} in zaak {case} ({team}, {channel}) is {left} verstreken ({due})."
        "\n{link}",
    ),
    "handoff": (
        "Overdracht voor {to}: antwoord vóór {until}",
        "{from} biedt zaak {case} aan {to} aan. Reden: {reason}. Meegegeven resultaten: "
        "{results}.\nGraag aannemen of weigeren vóór {until}.\n{link}",
    ),
    "promise": (
        "Toezegging {left}, {team}",
        "Wat {by} de klant van zaak {case} ({team}) heeft toegezegd, moet {left} gebeurd zijn: "
        "{due}.\n{link}",
    ),
    "promise_broken": (
        "Toezegging niet nagekomen, {team}",
        "Wat {by} de klant van zaak {case} ({team}) heeft toegezegd, had {left} gebeurd moeten "
        "zijn ({due}).\n{link}",
    ),
    "unreached": (
        "Klant niet bereikt, {team}",
        "De klant van zaak {case} ({team}) is {count} van {most} keer gebeld en niet bereikt.\n"
        "{link}",
    ),
    "frozen": (
        "Een zaak gaat heen en weer: nu bij {owner}",
        "Zaak {case} blijft bij {owner}: {reason}. De weg: {trail}.\n{link}",
    ),
    "digest": (
        "{count} meldingen voor {team}",
        "{count} meldingen in één, die nu nog gelden:\n{list}\n{link}",
    ),
}
_GERMAN: Final[Words] = {
    "reminder": (
        "Fällig {left}: {metric}, {team}",
        "{metric} in Fall {case} ({team}, {channel}) ist {left} fällig: {due}.\n{link}",
    ),
    "escalation": (
        "Eskalation: {metric} {left}, {team}",
        "{metric} in Fall {case} ({team}, {channel}): Termin {left} ({due}), noch offen.\n{link}",
    ),
    "breach": (
        "Zu spät: {metric}, {team}",
        "{metric} in Fall {case} ({team}, {channel}) war {left} fällig ({due}).\n{link}",
    ),
    "handoff": (
        "Übergabe an {to}: Antwort bis {until}",
        "{from} bietet {to} den Fall {case} an. Grund: {reason}. Mitgegebene Ergebnisse: "
        "{results}.\nBitte bis {until} annehmen oder ablehnen.\n{link}",
    ),
    "promise": (
        "Zusage fällig {left}, {team}",
        "Was {by} der Kundin oder dem Kunden in Fall {case} ({team}) zugesagt hat, ist {left} "
        "fällig: {due}.\n{link}",
    ),
    "promise_broken": (
        "Zusage nicht eingehalten, {team}",
        "Was {by} der Kundin oder dem Kunden in Fall {case} ({team}) zugesagt hat, war {left} "
        "fällig ({due}).\n{link}",
    ),
    "unreached": (
        "Niemanden erreicht, {team}",
        "In Fall {case} ({team}) wurde {count} von {most} Mal angerufen und niemand erreicht.\n"
        "{link}",
    ),
    "frozen": (
        "Ein Fall geht hin und her: jetzt bei {owner}",
        "Fall {case} bleibt bei {owner}: {reason}. Sein Weg: {trail}.\n{link}",
    ),
    "digest": (
        "{count} Meldungen für {team}",
        "{count} Meldungen in einer, die jetzt noch gelten:\n{list}\n{link}",
    ),
}
_FRENCH: Final[Words] = {
    "reminder": (
        "À rendre {left} : {metric}, {team}",
        "L’échéance de {metric} du dossier {case} ({team}, {channel}) est {left} : {due}.\n{link}",
    ),
    "escalation": (
        "Escalade : {metric} {left}, {team}",
        "L’échéance de {metric} du dossier {case} ({team}, {channel}) : {left} ({due}), toujours "
        "ouverte.\n{link}",
    ),
    "breach": (
        "En retard : {metric}, {team}",
        "L’échéance de {metric} du dossier {case} ({team}, {channel}) est passée {left} ({due}).\n"
        "{link}",
    ),
    "handoff": (
        "Transfert pour {to} : réponse avant {until}",
        "{from} propose le dossier {case} à {to}. Motif : {reason}. Résultats joints : {results}."
        "\nMerci d’accepter ou de refuser avant {until}.\n{link}",
    ),
    "promise": (
        "Promesse à tenir {left}, {team}",
        "Ce que {by} a promis au client du dossier {case} ({team}) est à tenir {left} : {due}.\n"
        "{link}",
    ),
    "promise_broken": (
        "Promesse non tenue, {team}",
        "Ce que {by} a promis au client du dossier {case} ({team}) était à tenir {left} ({due}).\n"
        "{link}",
    ),
    "unreached": (
        "Client injoignable, {team}",
        "Le client du dossier {case} ({team}) a été appelé {count} fois sur {most} sans succès.\n"
        "{link}",
    ),
    "frozen": (
        "Un dossier va et vient : désormais chez {owner}",
        "Le dossier {case} reste chez {owner} : {reason}. Son parcours : {trail}.\n{link}",
    ),
    "digest": (
        "{count} avis pour {team}",
        "{count} avis en un seul, encore valables :\n{list}\n{link}",
    ),
}
WORDS: Final[Mapping[str, Words]] = {
    "en": _ENGLISH, "nl": _DUTCH, "de": _GERMAN, "fr": _FRENCH,
}  # fmt: skip

NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "first_response": "first answer", "next_response": "next answer",
        "resolution": "resolution", "update": "news to the customer", "none": "none",
        "somebody": "somebody", "promise": "promise",
        "promise_broken": "promise", "unreached": "customer not reached",
        "frozen": "goes to and fro",
    },
    "nl": {
        "first_response": "eerste antwoord", "next_response": "volgend antwoord",
        "resolution": "oplossing", "update": "bericht aan de klant", "none": "geen",
        "somebody": "iemand", "promise": "toezegging",
        "promise_broken": "toezegging", "unreached": "klant niet bereikt",
        "frozen": "gaat heen en weer",
    },
    "de": {
        "first_response": "Erste Antwort", "next_response": "Nächste Antwort",
        "resolution": "Lösung", "update": "Zwischenbescheid", "none": "keine",
        "somebody": "jemand", "promise": "Zusage",
        "promise_broken": "Zusage", "unreached": "niemanden erreicht",
        "frozen": "geht hin und her",
    },
    "fr": {
        "first_response": "première réponse", "next_response": "prochaine réponse",
        "resolution": "résolution", "update": "nouvelles au client", "none": "aucun",
        "somebody": "quelqu’un", "promise": "promesse",
        "promise_broken": "promesse", "unreached": "client injoignable",
        "frozen": "va et vient",
    },
}  # fmt: skip

# Under a mail: whoever answers it should know where that leads.
FOOTER: Final[Mapping[str, str]] = {
    "en": "Sent automatically. Nobody reads answers to this message: use the link.",
    "nl": "Automatisch verzonden. Antwoorden op dit bericht leest niemand: gebruik de link.",
    "de": "Automatisch versandt. Antworten auf diese Nachricht liest niemand: bitte den Link "
    "verwenden.",
    "fr": "Envoi automatique. Personne ne lit les réponses à ce message : utilisez le lien.",
}


def known(language: str) -> str:
    """Of a tag such as `nl-BE`, the language we have words in; English for any other."""
    base = language.partition("-")[0].lower()
    return base if base in WORDS else "en"
