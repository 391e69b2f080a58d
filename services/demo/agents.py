"""The shop's agents: they take the most urgent case by the API, answer it, and have a coffee."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from typing import Any, Final

import httpx
import structlog

LEFT: Final = 3  # cases that are left waiting, so that a newcomer finds some to try
_CROWDED: Final = 12
_DUTCH: Final = (" ik ", "mijn", "pakket", "hoi", "bedankt", "dank u", "jullie", "beste ", "dag,")
_GRATEFUL: Final = ("thank", "thanks", "bedankt", "dank u")
_MAIL: Final = re.compile(r"[\w.]+@[\w.]+\w")
_ANSWERS: Final = {
    "en": (
        "Thank you for your message. I have looked it up: you will have an answer today.",
        "I am sorry about this. I have asked the depot, and will let you know before four.",
        "That can be done. I have noted it with your order.",
    ),
    "nl": (
        "Dank voor uw bericht. Ik heb het nagekeken: u krijgt er vandaag antwoord op.",
        "Wat vervelend. Ik heb het nagevraagd bij het depot en laat het u voor vieren weten.",
        "Dat kan. Ik heb het bij uw bestelling genoteerd.",
    ),
}

log = structlog.get_logger("demo")


@dataclass
class Agent:
    """One agent, at work with a key of the agent's own.

    works, rests  seconds at a stretch: while everybody rests, deadlines are missed
    """

    name: str
    client: httpx.AsyncClient
    dice: random.Random
    works: float
    rests: float

    async def live(self) -> None:
        """For ever. A refusal means that somebody else was quicker, and is no matter."""
        clock = asyncio.get_running_loop().time
        while True:
            until = clock() + self.works
            while clock() < until:
                await self._pause()
            await asyncio.sleep(self.rests)

    async def _pause(self) -> None:
        try:
            waiting = await self._waiting()
            if waiting > LEFT:
                await self._take_next()
            hurried = waiting > _CROWDED
            await asyncio.sleep(self.dice.uniform(2, 4) if hurried else self.dice.uniform(7, 14))
        except httpx.HTTPStatusError as error:
            log.info("agent refused", agent=self.name, status=error.response.status_code)
            await asyncio.sleep(3)
        except httpx.HTTPError as error:
            log.info("agent waits", agent=self.name, error=type(error).__name__)
            await asyncio.sleep(3)

    async def _waiting(self) -> int:
        answer = await self.client.get("/v1/inbox", params={"limit": 50})
        return len(answer.raise_for_status().json()["items"])

    async def _take_next(self) -> None:
        answer = (await self.client.post("/v1/inbox/next")).raise_for_status()
        if answer.status_code == 204:
            return
        case = answer.json()
        await asyncio.sleep(self.dice.uniform(2, 6))  # reading, thinking
        await self._settle(case, f"{case['subject']} {case['preview']}".lower())

    async def _settle(self, case: dict[str, Any], words: str) -> None:
        language = "nl" if any(word in f" {words}" for word in _DUTCH) else "en"
        if case["channel"] in ("phone", "portal"):
            reached = self.dice.random() < 0.75
            outcome = "reached" if reached else "no_answer"
            await self._do(case, "replies", text="called back", outcome=outcome)
            await (self._close(case, "called back") if reached else self._do(case, "release"))
        elif any(word in case["preview"].lower() for word in _GRATEFUL):
            await self._close(case, "the customer is helped")
        elif case["channel"] == "whatsapp" and (address := _MAIL.search(words)):
            # The customer would rather go on by mail: Regie sends the invitation with its code.
            switch = {"to_channel": "email", "reason": "agent", "address": address[0]}
            await self._do(case, "handoffs", **switch)
            await self._answer(case, language)
        else:
            if self.dice.random() < 0.2:
                await self._do(case, "notes", text="Looked it up in the order system.")
            await self._answer(case, language)

    async def _answer(self, case: dict[str, Any], language: str) -> None:
        await self._do(case, "replies", text=self.dice.choice(_ANSWERS[language]))

    async def _close(self, case: dict[str, Any], reason: str) -> None:
        await self._do(case, "close", reason=reason)

    async def _do(self, case: dict[str, Any], action: str, **body: Any) -> None:
        answer = await self.client.post(f"/v1/cases/{case['id']}/{action}", json=body or None)
        answer.raise_for_status()
