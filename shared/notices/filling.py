"""Placeholders: `{left}` in words, and what is wrong with those of one's own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Final

from shared.yamlfile import nearest

_BRACE: Final = "write {{ or }} where a brace itself is meant"


def fill(words: str, values: Mapping[str, str]) -> str:
    """A placeholder that is not among `values` stays as it stands. Raises ValueError for words
    that `problem_in` complains of."""
    filled = []
    for literal, name, _, _ in Formatter().parse(words):
        filled.append(literal)
        if name is not None:
            filled.append(values.get(name, f"{{{name}}}"))
    return "".join(filled)


def problem_in(words: str, places: Sequence[str], needed: Sequence[str] = ()) -> str:
    """What is wrong with words of one's own, and what would be right; empty for nothing."""
    try:
        parts = list(Formatter().parse(words))
    except ValueError:
        return f"a brace stands alone: close the placeholder, {{{places[0]}}}, or {_BRACE}"
    names = [name for _, name, _, _ in parts if name is not None]
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name not in places:
            return f"unknown placeholder `{{{name}}}`: {nearest(name, places, len(places))}"
        if form or conversion:
            return f"`{{{name}…}}` takes no more than its name: write {{{name}}}"
    missing = [name for name in needed if name not in names]
    return f"lacks {{{missing[0]}}}, without which it says nothing" if missing else ""
