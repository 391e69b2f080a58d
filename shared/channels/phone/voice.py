"""What a caller meets: the account's `voice` setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import phonenumbers

from shared.accounts import Account
from shared.channels.phone.words import Words, spoken_in
from shared.durations import Duration

_MOST_NUMBERS: Final = 10  # nouns of one <Dial> (twilio.com/docs/voice/twiml/number)

_LANGUAGES: Final[Mapping[str, str]] = {
    "NL": "nl-NL", "BE": "nl-NL", "DE": "de-DE", "AT": "de-DE", "FR": "fr-FR", "US": "en-US",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Voice:
    """How a call is taken. Times in whole seconds.

    dial                numbers, `sip:` or `client:` addresses that ring at once; the first wins
    timeout             how long they ring, 5 to 600
    greeting, language  read out before the tone; a BCP 47 tag that <Say> knows
    shortest_voicemail  a recording below it, 1 to 60, is someone who hung up: a missed call
    longest_voicemail   where the recording is cut off, 5 to 3600
    code                first of all callers may key in the code of a conversation elsewhere
    callback            when nobody answers they may ask to be called back, by pressing 1
    words               what else they hear
    """

    dial: tuple[str, ...]
    timeout: int
    voicemail: bool
    greeting: str
    language: str
    transcribe: bool
    shortest_voicemail: int
    longest_voicemail: int
    code: bool
    callback: bool
    words: Words


def voice_of(account: Account) -> Voice:
    """The account's `voice` with its defaults, within Twilio's limits. The channels file was
    checked when it was loaded, and a caller is waiting: nothing here fails."""
    given: Mapping[str, Any] = account.settings.get("voice") or {}
    language = given.get("language") or _LANGUAGES.get(region_of(account), "en-GB")
    words = spoken_in(language)
    return Voice(
        dial=tuple(given.get("dial", ()))[:_MOST_NUMBERS],
        timeout=_seconds(given, "timeout", "20s", 5, 600),
        voicemail=given.get("voicemail", True),
        greeting=given.get("greeting") or words.greeting,
        language=language,
        transcribe=given.get("transcribe", True),
        shortest_voicemail=_seconds(given, "shortest_voicemail", "2s", 1, 60),
        longest_voicemail=_seconds(given, "longest_voicemail", "120s", 5, 3600),
        code=given.get("code", False),
        callback=given.get("callback", False),
        words=words,
    )


def region_of(account: Account) -> str:
    """The ISO 3166 region of the account's own number, or nothing: how local numbers are read."""
    try:
        number = phonenumbers.parse(str(account.settings.get("number", "")), None)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.region_code_for_country_code(number.country_code or 0)


def _seconds(given: Mapping[str, Any], name: str, default: str, least: int, most: int) -> int:
    length = Duration.parse(given.get(name, default)).timedelta().total_seconds()
    return min(max(int(length), least), most)
