"""Whether a policy that comes by API names only targets that it may (DESIGN 6, "Outgoing calls").

Operators may name private ones, in a policy file or in REGIE_ALLOW_PRIVATE_TARGETS; a policy by API
may repeat those, and adds none. Names are not resolved here: what they lead to is judged when they
are called.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from services.router.policy import Policy
from services.router.versions import rows as versions
from shared import yamlfile
from shared.database import transaction
from shared.guard import Forbidden, Guard, Origin, origin_of
from shared.named_targets import origins_of, urls_in
from shared.yamlfile import Path, Problem

_OR_IN_THE_FILE = ", or into the operator's policy file"
_WRONG = "leads nowhere: write https://host/path, with a port up to 65535 if any"


def refusal_of_own(url: str, allowed: Guard) -> str:
    """Why an agent may not be notified there; empty if they may. What a policy file names is the
    operator's word for teams, and permits an agent nothing."""
    if not (why := _refusal(url, allowed)):
        return ""
    return why.removesuffix(_OR_IN_THE_FILE)


async def check_targets(engine: AsyncEngine, policy: Policy, allowed: Guard) -> list[Problem]:
    """What is wrong with the URLs it notifies at. `allowed` is REGIE_ALLOW_PRIVATE_TARGETS."""
    urls = dict(urls_in(policy.document.data))
    refused = _refused(urls, allowed)
    if refused:
        async for origins in _operators(engine):
            allowed = replace(allowed, origins=allowed.origins | origins)
            refused = _refused(urls, allowed)
            if not refused:
                break
    return [policy.document.problem(path, why) for path, why in refused.items()]


def _refused(urls: Mapping[Path, str], guard: Guard) -> dict[Path, str]:
    found = ((path, _refusal(url, guard)) for path, url in urls.items())
    return {path: why for path, why in found if why}


def _refusal(url: str, guard: Guard) -> str:
    origin = origin_of(url)
    if origin is None:
        return _WRONG
    try:
        guard.permit_unresolved(*origin)
    except Forbidden as error:
        return f"{error}{_OR_IN_THE_FILE}"
    return ""


async def _operators(engine: AsyncEngine) -> AsyncIterator[frozenset[Origin]]:
    """What each policy file named that was ever loaded at a start, the latest first.

    No connection is held while a text is read.
    """
    async with transaction(engine) as connection:
        numbers = await versions.of_files(connection)
    for number in numbers:
        async with transaction(engine) as connection:
            found = await versions.find(connection, number)
        if found is not None:
            yield await asyncio.to_thread(_origins, found[1])


def _origins(source: str) -> frozenset[Origin]:
    try:
        data = yamlfile.read(source, "policy").data
    except yamlfile.FileError:
        return frozenset()
    return origins_of(url for _, url in urls_in(data))
