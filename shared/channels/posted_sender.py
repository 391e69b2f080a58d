"""Who posted a message: the address an integrator gives, as an identity of ours.

Without `from.scheme`, the address shows it: with an `@` it is a mail address; with a leading `+`
or `00` a telephone number; with a leading `0` a national one, where the account names its `region`;
anything else is an employee number on an internal account and a customer number elsewhere.
"""

from __future__ import annotations

import re
from typing import Any, Final

from shared.accounts import Account
from shared.channels.posted import PostedSender
from shared.channels.wire import text_at
from shared.errors import Invalid
from shared.events import Identity, Scheme, Sender
from shared.numbers import to_e164

_MAIL: Final = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+")


def sender_of(given: PostedSender, account: Account) -> Sender:
    """Who posted it. Raises Invalid where the address does not fit its scheme."""
    known = [_identity(given, account)]
    if given.verified and given.customer_ref.strip():
        # Only the integrator's own knowledge ties an address to a customer number.
        known.append(Identity(scheme="customer_no", value=given.customer_ref.strip()))
    return Sender(
        identities=tuple(dict.fromkeys(known)),
        authentication="proven" if given.verified else "asserted",
        name=given.name.strip(),
        customer_ref=given.customer_ref.strip(),
    )


def callback_number(written: Any, sender: Sender, account: Account) -> str:
    """Where a call was asked for: the number in `attributes.phone`, else the sender's own; empty
    for neither. Raises Invalid for one that nobody can dial."""
    if written is None:
        return next((i.value for i in sender.identities if i.scheme == "e164"), "")
    region = text_at(dict(account.settings), "region") or None
    number = _to_number(written, region) if isinstance(written, str) else None
    if number is None:
        wanted = "must be a telephone number with its country: +31612345678"
        field = {"field": "attributes.phone", "message": wanted}
        raise Invalid(f"attributes.phone {wanted}", errors=[field])
    return number


def _identity(sender: PostedSender, account: Account) -> Identity:
    """The sender's address, normalised. Raises Invalid where it does not fit its scheme."""
    address = sender.address.strip()
    region = text_at(dict(account.settings), "region") or None
    scheme = sender.scheme or _scheme_shown(address, account, region)
    if scheme == "email":
        if not _MAIL.fullmatch(address):
            raise _unfit("a bare mail address: jo@example.org")
        return Identity(scheme="email", value=address.lower())
    if scheme == "e164":
        number = _to_number(address, region)
        if number is None:
            raise _unfit("a telephone number with its country: +31612345678")
        return Identity(scheme="e164", value=number)
    if not address:
        raise _unfit("more than blanks")
    return Identity(scheme=scheme, value=address)


def _to_number(address: str, region: str | None) -> str | None:
    """A number as people write it: `00` in front of the country is as good as `+`."""
    return to_e164(re.sub(r"^00", "+", address), region)


def _scheme_shown(address: str, account: Account, region: str | None) -> Scheme:
    if "@" in address:
        return "email"
    if address.startswith(("+", "00")) or (region and address.startswith("0")):
        return "e164"
    return "employee_no" if account.channel == "internal" else "customer_no"


def _unfit(wanted: str) -> Invalid:
    field = {"field": "from.address", "message": f"must be {wanted}"}
    return Invalid(f"from.address must be {wanted}", errors=[field])
