"""Who a WhatsApp user is: a number, a business-scoped user id, or both.

Since 2026 a user with a username may show no number at all, so neither is required. Numbers stand
in `from`, `to` and `wa_id`, user ids in `from_user_id`, `to_user_id` and `user_id`; a user id has
also been seen in the place of a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.channels.wire import mapping_at, text_at
from shared.errors import Unreadable
from shared.events import Identity, Sender
from shared.numbers import to_e164

_NUMBER: Final = re.compile(r"\+?([0-9]{4,15})")
# Two letters of a country, a full stop, up to 128 letters and digits (Meta, "BSUID"); a parent's
# has ENT between them.
_USER_ID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_LONGEST_NAME: Final = 200


def sender_of(named: Sequence[str], contacts: Sequence[Any]) -> Sender:
    """The customer behind the ids an item names, with what `contacts` adds about the same person.

    Everything in a signed webhook is proven. Raises Unreadable when nobody can be made out.
    """
    contact = _contact_of(named, contacts)
    identities = _identities((*named, text_at(contact, "wa_id"), text_at(contact, "user_id")))
    if not identities:
        raise Unreadable("the item names no sender: neither a number nor a business-scoped user id")
    return Sender(identities=identities, authentication="proven", name=_name_of(contact))


def identity_of(id: str) -> Identity | None:
    """A number in `e164` or a business-scoped user id; None for anything else."""
    if _USER_ID.fullmatch(id):
        return Identity(scheme="bsuid", value=id)
    if number := _NUMBER.fullmatch(id):
        # Meta vouches for the digits, also where the numbering plan does not know them (yet).
        digits = f"+{number[1]}"
        return Identity(scheme="e164", value=to_e164(digits, None) or digits)
    return None


def _identities(ids: Sequence[str]) -> tuple[Identity, ...]:
    # A reply goes to the first: the number while there is one, as Meta recommends, because then
    # the webhooks keep showing it.
    found = [identity for id in dict.fromkeys(ids) if id and (identity := identity_of(id))]
    return tuple(dict.fromkeys(sorted(found, key=lambda identity: identity.scheme == "bsuid")))


def _contact_of(named: Sequence[str], contacts: Sequence[Any]) -> Mapping[str, Any]:
    known = [contact for contact in contacts if isinstance(contact, dict)]
    ids = {id for id in named if id}
    for contact in known:
        if ids & set(_ids_in(contact)):
            return contact
    # An item without any id of a person can only be of the one contact beside it.
    return known[0] if len(known) == 1 and not ids else {}


def _ids_in(contact: Mapping[str, Any]) -> Iterator[str]:
    yield text_at(contact, "wa_id")
    yield text_at(contact, "user_id")


def _name_of(contact: Mapping[str, Any]) -> str:
    profile = mapping_at(contact, "profile")
    return (text_at(profile, "name") or text_at(profile, "username"))[:_LONGEST_NAME]
