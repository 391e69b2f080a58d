"""What callers hear, in the language of the line; `greeting` in the settings replaces its part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """greeting: before the tone; code, callback: what to key in; thanks: a call back was asked."""

    greeting: str
    code: str
    callback: str
    thanks: str


WORDS: Final[Mapping[str, Words]] = {
    "nl": Words(
        "We kunnen u nu niet te woord staan. Spreek na de toon uw naam en uw vraag in; "
        "wij bellen u terug.",
        "Hebt u een code van ons gekregen? Toets dan nu de negen cijfers in, en een hekje. "
        "Hebt u geen code? Toets dan een hekje, of wacht even.",
        "We kunnen u nu niet te woord staan. Toets een 1 als wij u op dit nummer mogen "
        "terugbellen, of blijf aan de lijn.",
        "Dank u wel. Wij bellen u terug op dit nummer.",
    ),
    "de": Words(
        "Wir können Ihren Anruf gerade nicht annehmen. Nennen Sie nach dem Signalton Ihren "
        "Namen und Ihr Anliegen; wir rufen Sie zurück.",
        "Haben Sie einen Code von uns erhalten? Geben Sie jetzt die neun Ziffern ein und dann die "
        "Rautetaste. Ohne Code drücken Sie die Rautetaste, oder warten Sie kurz.",
        "Wir können Ihren Anruf gerade nicht annehmen. Drücken Sie die 1, wenn wir Sie unter "
        "dieser Nummer zurückrufen sollen, oder bleiben Sie in der Leitung.",
        "Vielen Dank. Wir rufen Sie unter dieser Nummer zurück.",
    ),
    "fr": Words(
        "Nous ne pouvons pas vous répondre pour le moment. Après le signal, laissez votre nom "
        "et votre question ; nous vous rappellerons.",
        "Si vous avez reçu un code, composez maintenant ses neuf chiffres, puis dièse. "
        "Sinon, appuyez sur dièse ou patientez.",
        "Nous ne pouvons pas vous répondre pour le moment. Tapez 1 pour être rappelé à ce "
        "numéro, ou restez en ligne.",
        "Merci. Nous vous rappellerons à ce numéro.",
    ),
    "en": Words(
        "We cannot take your call right now. Please leave your name and your question after "
        "the tone; we will call you back.",
        "If you were given a code, please key in its nine digits now, and then the hash key. "
        "If you have none, press hash, or hold on for a moment.",
        "We cannot take your call right now. Press 1 to be called back on this number, or stay "
        "on the line.",
        "Thank you. We will call you back on this number.",
    ),
}


def spoken_in(language: str) -> Words:
    """The words for a BCP 47 tag; English for a language there are none in."""
    return WORDS.get(language.partition("-")[0].lower(), WORDS["en"])
