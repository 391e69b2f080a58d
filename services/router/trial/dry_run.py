"""Tries a policy on real history and tells what it would have changed. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime

from services.router.policy import Policy, PolicyError
from services.router.trial.differences import Differences
from services.router.trial.history import Archive, open_archive
from services.router.trial.replaying import Trial, replay
from services.router.trial.report import Report
from services.router.trial.retelling import History

Tell = Callable[[int, int], None]  # (events replayed so far, of so many)


async def dry_run(
    url: str, candidate: Policy, since: datetime, until: datetime, tell: Tell
) -> Report:
    """The difference since an instant, by `received_at`; `until` is now.

    Works as hard as it can and never waits for anybody: run it in a process of its own. Raises one
    of `shared.sessions.AWAY` when the database goes.
    """
    began = time.perf_counter()
    async with open_archive(url, since) as archive:
        ruled = await _ruled(archive, candidate)
        if ruled.customers != candidate.customers:
            archive.standing = candidate
        extent = await archive.extent()
        differences = Differences(Trial(candidate, ruled, since, until))
        tell(0, extent.events)
        async for histories in archive.histories():
            compare(histories, differences)
            tell(differences.events, extent.events)
    return differences.report(time.perf_counter() - began)


def compare(histories: Iterable[History], differences: Differences) -> None:
    """Replays each case. What cannot be replayed at all is told in the report."""
    for history in histories:
        try:
            replayed = replay(history, differences.trial)
        except Exception as error:  # one odd case must not keep all others from being seen
            differences.fail(history.case_id, len(history.changes), error)
        else:
            differences.add(replayed)


async def _ruled(archive: Archive, candidate: Policy) -> Policy:
    """What history was made under: nearly always the newest version."""
    try:
        return await archive.newest_policy() or candidate
    except PolicyError:
        return candidate  # another program's; then only what the candidate says can be compared
