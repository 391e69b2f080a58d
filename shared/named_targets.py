"""The webhooks that a policy names, and where they lead. Not resolved: names stay names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from shared.guard import Origin, origin_of
from shared.yamlfile import Path


def webhooks_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each with its place in the file's data, wherever it stands: under teams, under supervisors,
    or where a later section has them."""
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        if isinstance(value.get("webhook"), str):
            yield (*path, "webhook"), value["webhook"]
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, part in parts:
        yield from webhooks_in(part, (*path, key))


def origins_of(urls: Iterable[str]) -> frozenset[Origin]:
    return frozenset(origin for url in urls if (origin := origin_of(url)) is not None)
