"""Made-up events and policies, in as few words as a test needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from services.router.commands import Command, CustomerFacts, TakeMessage
from services.router.decide import Decided, decide
from services.router.policy import Policy
from shared.events import Authentication, Identity, MessageReceived, Scheme, Sender, Thread

# A Tuesday morning, inside the office hours of deploy/policy.yaml.
NOON = datetime(2026, 11, 17, 9, 0, tzinfo=UTC)
EXAMPLE = Path(__file__).parent.parent / "deploy" / "policy.yaml"


@cache
def example_policy() -> Policy:
    """The policy file that ships in deploy/, as version 1."""
    return Policy.parse(EXAMPLE.read_text(encoding="utf-8"), str(EXAMPLE)).with_version(1)


def after(**amount: float) -> datetime:
    """An instant so long after NOON: `after(minutes=5)`."""
    return NOON + timedelta(**amount)


def sender(
    value: str = "+31612345678",
    scheme: Scheme = "e164",
    authentication: Authentication = "proven",
    name: str = "Ada",
) -> Sender:
    return Sender(
        identities=(Identity(scheme=scheme, value=value),), authentication=authentication, name=name
    )


def message(
    text: str = "Where is my parcel?", at: datetime = NOON, **given: Any
) -> MessageReceived:
    """A WhatsApp message, proven, received as it occurred."""
    reference = given.pop("reference", uuid4().hex)
    values: dict[str, Any] = {
        "id": uuid4(),
        "account": "desk-whatsapp",
        "channel": "whatsapp",
        "kind": "message",
        "provider_event_id": reference,
        "sender": sender(),
        "occurred_at": at,
        "received_at": at,
        "text": text,
        "reply_text": text,
        "thread": Thread(message_id=reference),
        "reply_window_closes_at": at + timedelta(hours=24),
    }
    return MessageReceived(**(values | given))


def mail(text: str = "Where is my parcel?", at: datetime = NOON, **given: Any) -> MessageReceived:
    """A mail from an address that only claims to be who it is."""
    address = given.pop("address", "ada@example.org")
    values: dict[str, Any] = {
        "account": "support-mail",
        "channel": "email",
        "sender": sender(address, "email", "asserted"),
        "reply_window_closes_at": None,
    }
    return message(text, at, **(values | given))


class Story:
    """One case, told command by command."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or example_policy()
        self.id = uuid4()
        self.customer = CustomerFacts(id=uuid4())
        self.decided: Decided | None = None
        self.history: list[Any] = []

    @property
    def case(self) -> Any:
        assert self.decided is not None
        return self.decided.case

    def tell(self, command: Command, now: datetime) -> list[Any]:
        """Decides, and returns the bodies of what happened."""
        case = self.decided.case if self.decided else None
        self.decided = decide(case, self.id, command, self.policy, now)
        happened = [change.event for change in self.decided.changes]
        self.history.extend(self.decided.changes)
        return happened

    def hear(
        self, received: MessageReceived, now: datetime | None = None, **more: Any
    ) -> list[Any]:
        """The customer's message, handled as it arrives unless `now` says later."""
        command = TakeMessage(
            case_id=self.id, message=received, customer=self.customer, joined="customer", **more
        )
        return self.tell(command, now or received.received_at)


def uuid(number: int) -> UUID:
    return UUID(int=number)
