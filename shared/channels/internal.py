"""Internal requests: a colleague, or another team, asks for something under a norm of its own.

No provider stands behind it. A request comes from the colleagues' own systems by
`POST /v1/messages`, or from an agent by `POST /v1/cases`. Colleagues are known by their employee
number or by their mail address; whether that is one of ours the policy's `internal_domains` say.
"""

from __future__ import annotations

from typing import Final

from shared.errors import Invalid
from shared.events import Identity, Scheme

COLLEAGUES: Final[frozenset[Scheme]] = frozenset(("employee_no", "email", "teams"))


def check_colleague(identity: Identity) -> None:
    """Raises Invalid for what no colleague is known by."""
    if identity.scheme not in COLLEAGUES:
        words = f"must be an employee number or a mail address here, not {identity.scheme}"
        raise Invalid(
            f"from.address {words}; customers write to accounts of other channels",
            errors=[{"field": "from.address", "message": words}],
        )
