"""An agent's own `notify`: the same entries as in the policy, but public addresses only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from services.router.rules.people import Notify
from services.router.versions.targets import refusal_of_own
from shared.errors import Invalid
from shared.guard import Guard
from shared.notices.builtin import LANGUAGES


def own_notify(given: Sequence[Mapping[str, Any]], allowed: Guard) -> str:
    """As it is stored. Raises Invalid for the first that is wrong.

    allowed  REGIE_ALLOW_PRIVATE_TARGETS
    """
    for index, entry in enumerate(given):
        if why := _wrong(entry, allowed):
            raise Invalid(f"notify[{index}]: {why}", name="notify-invalid")
    return json.dumps(list(given))


def _wrong(entry: Mapping[str, Any], allowed: Guard) -> str:
    try:
        read = Notify.model_validate(dict(entry))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = str(first.get("ctx", {}).get("error") or first["msg"])
        return f"{where}: {said}" if where else said
    if read.language and read.language.partition("-")[0] not in LANGUAGES:
        return f"there are no words in `{read.language}`: name one of {', '.join(LANGUAGES)}"
    return "" if read.kind == "email" else refusal_of_own(read.address, allowed)
