"""What Vonage is told to do with the caller: a Call Control Object, a list of actions.

Source: developer.vonage.com/voice/voice-api/ncco-reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from shared.accounts import Account
from shared.channels import Answer
from shared.channels.phone.voice import Voice

Door = Callable[..., str]  # a path and what it shall carry, to the address Vonage shall request

_LONGEST_TEXT: Final = 1500
_LONGEST_RECORDING: Final = 7200
_SILENCE: Final = 5  # seconds that end a voicemail; 3 to 10
_WAIT: Final = 6  # seconds without a key; at most 10


def ask_code(voice: Voice, door: Door) -> Answer:
    """The caller may key in nine digits; `/code` gets them, or that there were none."""
    return _ask(voice, voice.words.code, 9, door("/code"))


def offer_callback(voice: Voice, door: Door) -> Answer:
    """The caller may press 1; `/callback` gets it, or that they did not."""
    return _ask(voice, voice.words.callback, 1, door("/callback"))


def ring(voice: Voice, account: Account, turn: int, door: Door) -> Answer:
    """Number `turn` of `voice.dial` rings; `/dialed` is told how that ends, and answers with what
    comes next. Vonage connects to one endpoint at a time, so that they ring one after the other.
    """
    return _answer(
        {
            "action": "connect",
            "from": str(account.settings.get("number", "")).lstrip("+"),
            "timeout": voice.timeout,
            "eventType": "synchronous",
            "eventUrl": [door("/dialed", turn=str(turn))],
            "endpoint": [_endpoint(voice.dial[turn])],
        }
    )


def record(voice: Voice, door: Door) -> Answer:
    """The greeting, then the tone; `/recorded` gets the recording when the caller is done."""
    return _answer(
        _talk(voice, voice.greeting),
        {
            "action": "record",
            "format": "wav",
            "beepStart": True,
            "endOnKey": "#",
            "endOnSilence": _SILENCE,
            "timeOut": min(voice.longest_voicemail, _LONGEST_RECORDING),
            "eventUrl": [door("/recorded")],
        },
    )


def thank(voice: Voice) -> Answer:
    """They asked for a call back: it is confirmed; with the list at its end so is the call."""
    return _answer(_talk(voice, voice.words.thanks))


def hang_up() -> Answer:
    """An empty list: nothing is left to do, and the call ends."""
    return _answer()


def _ask(voice: Voice, text: str, digits: int, to: str) -> Answer:
    return _answer(
        _talk(voice, text) | {"bargeIn": True},
        {
            "action": "input",
            "type": ["dtmf"],
            "dtmf": {"maxDigits": digits, "timeOut": _WAIT, "submitOnHash": True},
            "eventUrl": [to],
        },
    )


def _talk(voice: Voice, text: str) -> dict[str, Any]:
    # A text that begins with `<speak>` would be read as SSML: Vonage reads anything else out.
    return {"action": "talk", "text": text[:_LONGEST_TEXT], "language": voice.language}


def _endpoint(address: str) -> dict[str, str]:
    scheme, _, rest = address.partition(":")
    if scheme in ("sip", "sips"):
        return {"type": "sip", "uri": address}
    if scheme == "client":
        return {"type": "app", "user": rest}
    return {"type": "phone", "number": address.lstrip("+")}


def _answer(*actions: dict[str, Any]) -> Answer:
    return Answer(body=json.dumps(actions).encode(), content_type="application/json")
