"""Where the answer to a mail goes: From, and Reply-To only where nobody can be led astray by it."""

from __future__ import annotations

from typing import Any

import pytest

from services.router import commands as cmd
from services.router.answer_to import without_ours
from shared.events import Identity, MessageReceived
from tests.builders import Story, after, mail, sender

FIRM, DESK = "jan@firm.example", "desk@firm.example"


def wishing(reply_to: Any, proven: bool = True, **given: Any) -> MessageReceived:
    who = sender(FIRM, "email", "proven" if proven else "asserted")
    return mail(sender=who, attributes={"reply_to": reply_to}, **given)


def hear(story: Story, message: MessageReceived, joined: str) -> str:
    story.tell(
        cmd.TakeMessage(case_id=story.id, message=message, customer=story.customer, joined=joined),
        message.received_at,
    )
    return str(story.case.routes["email"].identity.value)


def test_a_proven_mail_that_opens_its_case_is_answered_where_it_wants() -> None:
    assert hear(Story(), wishing([DESK]), "new") == DESK


@pytest.mark.parametrize(
    "message",
    [
        wishing([DESK], proven=False),
        wishing(["jan@elsewhere.example"]),
        wishing(["jan@firm.example.evil.example"]),
        wishing([]),
        wishing("jan@firm.example"),
        wishing([{"desk": 1}]),
    ],
    ids=["asserted", "elsewhere", "below", "none", "no-list", "no-text"],
)
def test_what_is_only_said_leads_nowhere(message: MessageReceived) -> None:
    assert hear(Story(), message, "new") == FIRM


def test_a_case_that_is_there_stays_where_it_is_answered() -> None:
    story = Story()
    assert hear(story, wishing([]), "new") == FIRM
    assert hear(story, wishing([DESK], at=after(minutes=1)), "thread") == FIRM
    story = Story()
    assert hear(story, wishing([DESK]), "new") == DESK
    assert hear(story, wishing([DESK], at=after(minutes=1)), "thread") == DESK
    assert hear(story, wishing(["other@firm.example"], at=after(minutes=2)), "thread") == FIRM


def test_we_never_write_to_ourselves() -> None:
    own = frozenset({Identity(scheme="email", value=DESK)})
    assert "reply_to" not in without_ours(wishing([DESK]), own).attributes
    assert without_ours(wishing([FIRM]), own).attributes["reply_to"] == [FIRM]
