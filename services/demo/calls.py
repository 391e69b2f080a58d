"""A telephone call, as Twilio tells of it: it asks what to do, does it, and says how it went.

Source: twilio.com/docs/voice/twiml and ".../usage/webhooks/webhooks-security".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode
from xml.etree import ElementTree

from services.demo.posts import Post
from shared.accounts import Account

Send = Callable[[Post], Awaitable[str]]  # gives back what was answered

_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


def signed(account: Account, url: str, form: Mapping[str, str]) -> Post:
    """A request of Twilio's to one of our public addresses."""
    written = url + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(account.secrets("auth_token")[0].encode(), written.encode(), hashlib.sha1)
    signature = base64.b64encode(digest.digest()).decode()
    path = url.removeprefix(str(account.settings["public_url"]))
    return Post(path, {**_FORM, "x-twilio-signature": signature}, urlencode(form).encode())


@dataclass(frozen=True)
class Call:
    """One call to the shop's line. It follows the TwiML it is answered with.

    recordings  the address under which a recording would be found
    """

    account: Account
    number: str
    name: str
    send: Send
    recordings: str

    async def answered(self, seconds: int) -> None:
        """Somebody at the desk took it."""
        form = self._form()
        twiml = await self._ask(self._line(), {**form, "CallStatus": "ringing"})
        dialed = {"DialCallStatus": "completed", "DialCallDuration": str(seconds)}
        await self._ask(_address(twiml, "Dial", "action"), {**form, **dialed})

    async def voicemail(self, words: str) -> None:
        """Nobody did, and the caller spoke after the tone; without words, hung up."""
        form = self._form()
        twiml = await self._ask(self._line(), {**form, "CallStatus": "ringing"})
        unanswered = {"DialCallStatus": "no-answer", "CallStatus": "in-progress"}
        twiml = await self._ask(_address(twiml, "Dial", "action"), {**form, **unanswered})
        recording = {
            "RecordingSid": f"RE{secrets.token_hex(16)}",
            "RecordingUrl": f"{self.recordings}/recordings/{secrets.token_hex(8)}",
            "RecordingDuration": str(4 + len(words) // 12 if words else 0),
        }
        over = {"CallStatus": "completed"}
        await self._ask(_address(twiml, "Record", "action"), {**form, **over, **recording})
        if words:
            await self._transcribe(_address(twiml, "Record", "transcribeCallback"), form, words)

    async def _transcribe(self, url: str, form: Mapping[str, str], words: str) -> None:
        transcript = {
            "TranscriptionSid": f"TR{secrets.token_hex(16)}",
            "TranscriptionStatus": "completed",
            "TranscriptionText": words,
        }
        if url:
            await self._ask(url, {**form, **transcript})

    async def _ask(self, url: str, form: Mapping[str, str]) -> str:
        return await self.send(signed(self.account, url, form))

    def _line(self) -> str:
        return f"{self.account.settings['public_url']}/webhooks/{self.account.name}"

    def _form(self) -> dict[str, str]:
        return {
            "AccountSid": str(self.account.settings["account_sid"]),
            "ApiVersion": "2010-04-01",
            "CallSid": f"CA{secrets.token_hex(16)}",
            "CallStatus": "completed",
            "CallerName": self.name,
            "Direction": "inbound",
            "From": self.number,
            "To": str(self.account.settings["number"]),
        }


def _address(twiml: str, verb: str, attribute: str) -> str:
    """Where a verb of the answer says to go on; empty where it does not."""
    found = ElementTree.fromstring(twiml).find(f".//{verb}")  # noqa: S314 - our own answer
    return "" if found is None else found.get(attribute, "")
