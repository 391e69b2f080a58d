"""The URLs that a policy notifies at, and where they lead. Not resolved: names stay names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from shared.guard import Origin, origin_of
from shared.yamlfile import Path

HTTP_KINDS: Final = ("webhook", "slack", "teams", "ntfy")


def urls_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each with its place in the file's data, wherever a `notify` stands: under teams, under
    supervisors, or where a later section has one. Its place ends with its kind."""
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        # `teams` is a section, too, and a channel: only in a list of `notify` is it an address.
        kinds = HTTP_KINDS if path[-2:-1] == ("notify",) else ("webhook",)
        for kind in kinds:
            if isinstance(value.get(kind), str):
                yield (*path, kind), value[kind]
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, part in parts:
        yield from urls_in(part, (*path, key))


def origins_of(urls: Iterable[str]) -> frozenset[Origin]:
    return frozenset(origin for url in urls if (origin := origin_of(url)) is not None)
