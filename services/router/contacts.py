"""Cases that people of ours open: who it is about, where they are reached, then the usual way.

A visit or an internal request is a message, and goes the way of messages (`arrivals`). Where an
agent begins, nothing was said yet: the case is opened without one (`opening`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace as evolved

from services.router import opening
from services.router.arrivals import Arrivals
from services.router.case import Route
from services.router.commands import CustomerFacts, OpenCase, Opening, Reply
from services.router.desk import Desk
from services.router.people import identify
from shared.channels.table import reply_window
from shared.database import driver
from shared.errors import Forbidden, Invalid, NotFound
from shared.events import Channel, Identity, MessageReceived, Scheme
from shared.ids import new_id

# By what somebody is reached on a channel, the best first.
REACHED_BY: Final[Mapping[Channel, tuple[Scheme, ...]]] = {
    "email": ("email",),
    "whatsapp": ("e164", "bsuid"),
    "phone": ("e164",),
    "sms": ("e164",),
    "messenger": ("psid",),
    "instagram": ("igsid",),
    "x": ("x",),
    "teams": ("teams",),
    "webchat": ("chat",),
    "portal": ("customer_no", "email", "e164", "chat"),
    "internal": ("employee_no", "email", "teams"),
}
_MOST_MERGES: Final = 20  # a record merged into one merged into one …


@dataclass(frozen=True, slots=True)
class Contact:
    """What is asked for.

    message   what the customer says, or would have said: channel, words, who they are. Its
              account is empty where none was named
    accounts  ours on that channel, the one to prefer first
    begins    the agent does: nobody said anything, and nobody waits
    reply     the agent's first message, or the outcome of the call they made
    teams     those the agent works for; empty: all
    """

    message: MessageReceived
    opening: Opening
    accounts: tuple[str, ...]
    customer: UUID | None = None
    begins: bool = False
    reply: Reply | None = None
    teams: frozenset[str] = frozenset()


async def open_case(desk: Desk, own: frozenset[Identity], contact: Contact) -> UUID:
    """Decides all of it at the desk; the case's id. Raises Refused."""
    customer = await _standing_record(desk, contact.customer) if contact.customer else None
    if contact.begins:
        return await _begin(desk, contact, customer)
    return await _register(desk, own, contact, customer)


async def _standing_record(desk: Desk, customer: UUID) -> UUID:
    """The record itself, or the one it was merged into."""
    raw = await driver(desk.connection)
    for _ in range(_MOST_MERGES):
        row = await raw.fetchrow(
            "SELECT merged_into, erased_at FROM customers WHERE id = $1", customer
        )
        if row is None or row["erased_at"] is not None:
            break
        if row["merged_into"] is None:
            return customer
        customer = row["merged_into"]
    raise NotFound(f"there is no customer {customer}: find them at /v1/customers?identity=")


# --- somebody came, or asked ---------------------------------------------------------------------


async def _register(
    desk: Desk, own: frozenset[Identity], contact: Contact, customer: UUID | None
) -> UUID:
    message = evolved(contact.message, account=contact.accounts[0])
    if customer is not None:
        known = await _identities(desk, customer)
        if not known:
            raise Invalid(
                "this customer has no identity on record: give `identity`, such as "
                "customer_no:1001, instead of `customer`",
                name="no-identity",
            )
        message = evolved(message, sender=evolved(message.sender, identities=known[:1]))
    await Arrivals(desk, own).take([message], {}, {message.id: contact.opening})
    if contact.opening.parent_id not in (None, *desk.cases):
        raise NotFound(
            f"there is no case {contact.opening.parent_id} to be the `parent`: take its id from "
            "/v1/inbox"
        )
    return next(row.case_id for row in desk.messages if row.id == message.id)


async def _identities(desk: Desk, customer: UUID, verified: bool = False) -> tuple[Identity, ...]:
    """What the customer is known by, what is proven first."""
    rows = await (await driver(desk.connection)).fetch(
        "SELECT scheme, value FROM identities WHERE customer_id = $1 AND verified >= $2 "
        "ORDER BY verified DESC, created_at, scheme, value",
        customer,
        verified,
    )
    return tuple(Identity(scheme=row["scheme"], value=row["value"]) for row in rows)


# --- the agent begins ----------------------------------------------------------------------------


async def _begin(desk: Desk, contact: Contact, customer: UUID | None) -> UUID:
    message, asked = contact.message, contact.opening
    facts = await _facts(desk, message, customer)
    route = await _route(desk, contact, facts.id)
    command = OpenCase(
        agent=asked.by,
        customer=facts,
        account=route.account,
        channel=message.channel,
        subject=message.subject or _first_line(message.text),
        text=message.text,
        product=message.product,
        priority=message.priority,
        team=asked.team,
        identity=route.identity,
        reply_window_closes_at=route.window_closes_at,
        reply=contact.reply,
    )
    command = replace(command, team=_own_team(desk, command, contact.teams))
    case_id = new_id()
    desk.decide(case_id, command)
    return case_id


async def _facts(desk: Desk, message: MessageReceived, customer: UUID | None) -> CustomerFacts:
    """The customer, locked; where nobody has the address, a new one who has it unproven."""
    if customer is not None:
        people = await identify(desk.connection, [], desk.policy, [customer])
        return people.facts[customer]
    people = await identify(desk.connection, [message], desk.policy)
    return people.facts[people.of[message.id]]


def _own_team(desk: Desk, command: OpenCase, teams: Collection[str]) -> str:
    """The team named; else the one that routing names, or the agent's only one."""
    if command.team or not teams:
        return command.team
    routing, _ = opening.assess(desk.policy, opening.facts_of(command), "", desk.now)
    if routing.team in teams:
        return ""
    if len(teams) == 1:
        return next(iter(teams))
    raise Forbidden(
        f"this goes to team {routing.team}, and your key is for {', '.join(sorted(teams))}: "
        "name one of them as `team`"
    )


async def _route(desk: Desk, contact: Contact, customer: UUID) -> Route:
    """Where the first message goes: the address given, else where the customer wrote from last,
    else what is proven of them."""
    message = contact.message
    channel, given = message.channel, message.sender.identities[:1]
    if given and given[0].scheme not in REACHED_BY.get(channel, ()):
        raise _unreachable(channel)
    last = await _last_route(desk, customer, channel)
    if last is not None and given in ((), (last.identity,)):
        named = message.account or last.account
        account = named if named in contact.accounts else contact.accounts[0]
        window = last.window_closes_at if account == last.account else _window(desk, channel)
        return Route(account=account, identity=last.identity, window_closes_at=window)
    known = given or await _identities(desk, customer, verified=True)
    for scheme in REACHED_BY.get(channel, ()):
        for identity in known:
            if identity.scheme == scheme:
                return Route(
                    account=contact.accounts[0],
                    identity=identity,
                    window_closes_at=_window(desk, channel),
                )
    raise _unreachable(channel)


async def _last_route(desk: Desk, customer: UUID, channel: Channel) -> Route | None:
    row = await (await driver(desk.connection)).fetchval(
        "SELECT (doc -> 'routes' -> $2)::text FROM cases WHERE customer_id = $1 "
        "AND doc -> 'routes' ? $2 ORDER BY doc -> 'routes' -> $2 ->> 'window_closes_at' DESC "
        "NULLS LAST, touched_at DESC LIMIT 1",
        customer,
        channel,
    )
    return None if row is None else msgspec.json.decode(row, type=Route)


def _window(desk: Desk, channel: Channel) -> datetime | None:
    """Where a customer has to write first, an agent who begins needs a template."""
    return None if reply_window(channel) is None else desk.now


def _unreachable(channel: Channel) -> Invalid:
    schemes = " or ".join(REACHED_BY.get(channel, ())) or "nothing"
    return Invalid(
        f"nothing says where to reach the customer by {channel}: give their `identity` there "
        f"({schemes}), or choose another `channel`",
        name="no-address",
    )


def _first_line(text: str) -> str:
    return " ".join(text[:600].split())[:200]
