"""Which way a conversation may go: the matrix of channel switches, and the bounds of a handoff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from services.router.rules.section import Section
from services.router.rules.values import (
    SUPERVISORS,
    Count,
    Lease,
    NotEmpty,
    OwnerName,
    Price,
    ProductName,
    SwitchCalendar,
)
from shared.durations import Duration
from shared.events import Channel

SwitchReason = Literal[
    "agent", "customer", "breach", "window_closing", "call_missed", "form_abandoned",
    "cheaper_channel",
]  # fmt: skip


class SwitchRow(Section):
    """One row of the matrix: a switch from a channel to another, for these reasons.

    product  only for cases of this product; None: of any
    consent  ask the customer on the old channel, or have it recorded before, or none is needed
    hours    only while this calendar is open
    cost     what a contact costs on each channel
    """

    from_channel: Channel = Field(alias="from")
    to_channel: Channel = Field(alias="to")
    reasons: Annotated[tuple[SwitchReason, ...], NotEmpty]
    consent: Literal["ask", "recorded", "none"] = "ask"
    product: ProductName | None = None
    hours: SwitchCalendar | None = None
    cost: Mapping[Channel, Price] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _two_channels(self) -> SwitchRow:
        if self.from_channel == self.to_channel:
            raise ValueError(f"switches from `{self.from_channel}` to itself")
        return self

    def as_dict(self) -> dict[str, Any]:
        """In the file's own words, without what is empty: for `permitted` in an answer."""
        row = self.model_dump(mode="json", by_alias=True)
        return {key: value for key, value in row.items() if value not in (None, {})}


class Handoff(Section):
    """How long an offer stands, and how long a resume code works."""

    offer_ttl: Lease = Duration(4, "h")
    code_ttl: Lease = Duration(72, "h")


class PingPong(Section):
    """People may send a case on so often; then it stays, and the owner is told."""

    max_hops: Count = 4
    owner: OwnerName = SUPERVISORS
