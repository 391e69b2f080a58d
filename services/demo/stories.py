"""Who writes to the demo shop, and what about. Numbers and addresses belong to nobody."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

By = Literal["whatsapp", "email", "voicemail", "hung_up", "answered_call", "portal"]
Language = Literal["en", "nl"]


@dataclass(frozen=True)
class Person:
    """A customer, with the same number on WhatsApp and on the telephone."""

    name: str
    number: str
    mail: str
    language: Language

    @property
    def digits(self) -> str:
        """The number as WhatsApp writes it."""
        return self.number.lstrip("+")


@dataclass(frozen=True)
class Contact:
    """One thing a customer does, `after` so many seconds.

    text   on WhatsApp, `{mail}` stands for the customer's own address
    twice  the provider's answer got lost on the way, and it comes again
    """

    by: By
    text: str = ""
    subject: str = ""
    after: float = 0.0
    twice: bool = False


@dataclass(frozen=True)
class Story:
    """One customer's matter, over several contacts and channels."""

    language: Language
    contacts: tuple[Contact, ...]


def _people(language: Language, *names: str, first: int) -> tuple[Person, ...]:
    return tuple(
        Person(
            name,
            f"+3160000{number:04d}",
            f"{_plain(name)}@customers.example.org",
            language,
        )
        for number, name in enumerate(names, start=first)
    )


def _plain(name: str) -> str:
    """`Renée Mulder` → `renee.mulder`."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return letters.lower().replace(" ", ".")


PEOPLE: Final = (
    *_people("nl", "Noor de Wit", "Daan Bakker", "Fatima El Idrissi", "Joris van Dam",
             "Sanne Visser", "Renée Mulder", "Willem Kuipers", first=101),
    *_people("en", "Ada Brown", "Samuel Okafor", "Grace Lin", "Tom Hughes",
             "Maya Patel", "Owen Clarke", "Lucía Torres", first=201),
)  # fmt: skip

# The first three show three channels at once; the rest come in any order.
STORIES: Final = (
    Story("en", (
        Contact("whatsapp", "Hi, where is my parcel 3SDEMO4471? It was promised for yesterday."),
        Contact("whatsapp", "It is a birthday present, so I am getting a little nervous 🙂",
                after=25),
    )),
    Story("nl", (
        Contact("email", "Goedemiddag,\n\nMijn pakket is vandaag bezorgd, maar twee borden zijn "
                "kapot. Wat kan ik het beste doen?\n\nMet vriendelijke groet", "Servies kapot"),
        Contact("whatsapp", "Ik mailde net over de kapotte borden. Hebben jullie dat gezien?",
                after=40),
    )),
    Story("nl", (
        Contact("voicemail", "Dag, ik wacht al een week op mijn bestelling en hoor niets. "
                "Kunt u mij vandaag nog terugbellen? Dank u wel."),
    )),
    Story("en", (
        Contact("whatsapp", "Hello, can I still change the delivery address of order 20871?",
                twice=True),
        Contact("whatsapp", "The new one is 12 Harbour Street, the rest stays the same.", after=18),
    )),
    Story("en", (
        Contact("email", "Hello,\n\nThe blender from order 20655 arrived damaged: the lid does "
                "not close. I have the receipt and photos.\n\nKind regards",
                "Damaged blender, order 20655"),
        Contact("email", "I forgot to say: I would rather have a new lid than my money back.",
                "Re: Damaged blender, order 20655", after=35),
    )),
    Story("nl", (
        Contact("whatsapp", "Hoi! Zijn jullie zaterdag open? Dan kom ik mijn bestelling ophalen"),
    )),
    Story("en", (
        Contact("whatsapp", "My order came without the invoice. I have a photo of the packing "
                "slip: may I mail it? I am {mail}"),
    )),
    Story("nl", (
        Contact("email", "Beste mensen,\n\nIk kreeg twee keer dezelfde factuur. Klopt dat?\n\n"
                "Groeten", "Dubbele factuur"),
    )),
    Story("en", (Contact("hung_up"), Contact(
        "whatsapp", "I just tried to call you. Is the desk still staffed today?", after=20),)),
    Story("nl", (Contact("answered_call"),)),
    Story("en", (
        Contact("portal", "Please call me about the payment plan for the washing machine."),
    )),
    Story("nl", (
        Contact("whatsapp", "Het pakket ligt volgens de app bij de buren, maar daar is niets 😕"),
        Contact("voicemail", "Goedendag, ik appte net over mijn pakket. Bellen is makkelijker: "
                "kunt u mij terugbellen?", after=45),
    )),
    Story("en", (
        Contact("email", "Good afternoon,\n\nDo you deliver to the islands as well, and what "
                "does that cost?\n\nThank you", "Delivery to the islands"),
    )),
    Story("nl", (
        Contact("whatsapp", "De lamp is beschadigd aangekomen. Ik heb een foto: mag die per "
                "mail? Mijn adres is {mail}"),
    )),
    Story("nl", (
        Contact("portal", "Bel mij alstublieft over het inruilen van mijn oude koelkast."),
    )),
)  # fmt: skip

THANKS: Final[dict[Language, tuple[str, ...]]] = {
    "en": ("Thank you, that helps!", "Great, thanks a lot.", "Thanks for the quick answer 👍"),
    "nl": ("Dank u wel, daar ben ik mee geholpen!", "Top, bedankt!", "Bedankt voor de hulp 👍"),
}
