"""What Regie itself says to a customer, in their language. Pure.

A language we have no words in gets English. `{…}` are filled in by `say`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ENGLISH: Final[Mapping[str, str]] = {
    "about": " about “{subject}”",
    "invite": "Shall we go on{about} by {channel}? {how} Then everything you told us is at hand, "
    "and you need not tell it again. The code works once.",
    "mention": "Mention the code {code} there.",
    "mention_at": "Mention the code {code} there: {address}.",
    "link": "Follow {link} or mention the code {code}.",
    "call": "Call {address} and give the code {digits}.",
    "unreached_subject": "We tried to call you",
    "unreached": "We promised to call you back and tried {tries} times without reaching you. "
    "Answer this message to tell us when and on which number we can call, or write to us here "
    "what we can do for you.",
    "survey_subject": "How did we do?",
    "survey_scale": "Please answer with a number from {low} to {high}; {high} is best. You can add "
    "a comment on the next line. Answer STOP and we will not ask you again.",
    "email": "e-mail",
    "phone": "telephone",
    "sms": "text message",
    "webchat": "chat",
    "portal": "our website",
    "counter": "a visit to our desk",
}
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": _ENGLISH,
    "nl": {
        "about": " over “{subject}”",
        "invite": "Zullen we{about} verdergaan via {channel}? {how} Dan is alles wat u ons "
        "vertelde bij de hand en hoeft u het niet nog eens te vertellen. De code werkt één keer.",
        "mention": "Noem daar de code {code}.",
        "mention_at": "Noem daar de code {code}: {address}.",
        "link": "Volg {link} of noem de code {code}.",
        "call": "Bel {address} en geef de code {digits}.",
        "unreached_subject": "We hebben geprobeerd u te bellen",
        "unreached": "We zouden u terugbellen en hebben het {tries} keer geprobeerd, maar konden "
        "u niet bereiken. Laat ons in een antwoord op dit bericht weten wanneer en op welk nummer "
        "we kunnen bellen, of schrijf ons hier wat we voor u kunnen doen.",
        "survey_subject": "Hoe deden we het?",
        "survey_scale": "Antwoord met een cijfer van {low} tot en met {high}; {high} is het beste. "
        "Op de volgende regel kunt u iets toevoegen. Antwoord STOP en we vragen het u niet meer.",
        "email": "e-mail",
        "phone": "de telefoon",
        "sms": "sms",
        "webchat": "chat",
        "portal": "onze website",
        "counter": "een bezoek aan de balie",
    },
    "de": {
        "about": " wegen „{subject}“",
        "invite": "Wollen wir{about} per {channel} weitermachen? {how} Dann liegt alles vor, was "
        "Sie uns erzählt haben, und Sie müssen es nicht wiederholen. Der Code gilt einmal.",
        "mention": "Nennen Sie dort den Code {code}.",
        "mention_at": "Nennen Sie dort den Code {code}: {address}.",
        "link": "Folgen Sie {link} oder nennen Sie den Code {code}.",
        "call": "Rufen Sie {address} an und nennen Sie den Code {digits}.",
        "unreached_subject": "Wir haben versucht, Sie anzurufen",
        "unreached": "Wir hatten Ihnen einen Rückruf zugesagt und es {tries}-mal versucht, Sie "
        "aber nicht erreicht. Antworten Sie auf diese Nachricht, wann und unter welcher Nummer wir "
        "anrufen können, oder schreiben Sie uns hier, was wir für Sie tun können.",
        "survey_subject": "Wie zufrieden sind Sie mit uns?",
        "survey_scale": "Bitte antworten Sie mit einer Zahl von {low} bis {high}; {high} ist die "
        "beste. In der nächsten Zeile können Sie etwas hinzufügen. Antworten Sie STOPP, und wir "
        "fragen Sie nicht wieder.",
        "email": "E-Mail",
        "phone": "Telefon",
        "sms": "SMS",
        "webchat": "Chat",
        "portal": "unsere Website",
        "counter": "Besuch an unserem Schalter",
    },
    "fr": {
        "about": " à propos de « {subject} »",
        "invite": "Voulez-vous continuer{about} par {channel} ? {how} Tout ce que vous nous avez "
        "dit sera à portée de main et vous n’aurez pas à le répéter. Le code sert une seule fois.",
        "mention": "Indiquez-y le code {code}.",
        "mention_at": "Indiquez-y le code {code} : {address}.",
        "link": "Suivez {link} ou indiquez le code {code}.",
        "call": "Appelez le {address} et donnez le code {digits}.",
        "unreached_subject": "Nous avons essayé de vous appeler",
        "unreached": "Nous devions vous rappeler et avons essayé {tries} fois sans vous joindre. "
        "Répondez à ce message pour nous dire quand et à quel numéro vous appeler, ou écrivez-nous "
        "ici ce que nous pouvons faire pour vous.",
        "survey_subject": "Êtes-vous content de notre service ?",
        "survey_scale": "Répondez par un chiffre de {low} à {high} ; {high} est la meilleure note. "
        "Vous pouvez ajouter un commentaire à la ligne suivante. Répondez STOP et nous ne vous le "
        "demanderons plus.",
        "email": "e-mail",
        "phone": "téléphone",
        "sms": "SMS",
        "webchat": "chat",
        "portal": "notre site",
        "counter": "une visite au guichet",
    },
}
_NAMES: Final = {"whatsapp": "WhatsApp", "messenger": "Messenger", "instagram": "Instagram",
                 "x": "X", "teams": "Teams", "internal": "e-mail"}  # fmt: skip


def say(phrase: str, language: str = "", **filled: str) -> str:
    """The phrase in the customer's language: a tag like `nl` or `nl-BE`, or empty."""
    words = _WORDS.get(language.lower().partition("-")[0], _ENGLISH)
    return words.get(phrase, _ENGLISH.get(phrase, phrase)).format_map(filled)


def channel_name(channel: str, language: str = "") -> str:
    return _NAMES.get(channel) or say(channel, language)
