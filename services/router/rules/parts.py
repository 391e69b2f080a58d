"""The parts of a condition that must all be true, and what one says of another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from shared.events import Authentication, Channel, Kind, Priority

How = Literal["", "among", "but", "contains", "startsWith", "endsWith"]

# All that these names can be; each is empty when unknown.
CLOSED: Final[Mapping[str, frozenset[str]]] = {
    "channel": frozenset(("", *get_args(Channel))),
    "kind": frozenset(("", *get_args(Kind))),
    "priority": frozenset(("", *get_args(Priority))),
    "message . authentication": frozenset(("", *get_args(Authentication))),
}
FOUND: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "contains": str.__contains__,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}


@dataclass(frozen=True, slots=True)
class Part:
    """Something that is true or false of an event.

    text     the name it is about; without `how`, its source
    how      the name is one of `words`, or any but these, or its text has the one word there is
    negated  of what is searched for: it is not there
    """

    text: str
    how: How = ""
    words: frozenset[str] = frozenset()
    negated: bool = False

    @property
    def word(self) -> str | None:
        """The one word that the name must be."""
        return next(iter(self.words)) if self.how == "among" and len(self.words) == 1 else None

    def implies(self, other: Part) -> bool:
        """Whether the other is true whenever this is. False where that is not certain."""
        if self == other:
            return True
        if self.text != other.text or not self.how or not other.how:
            return False
        if self.negated and other.negated:
            return other.opposite().implies(self.opposite())
        if self.negated:
            return other.how == "but" and all(map(self._rules_out, other.words))
        if self.how == "among":
            return all(map(other.holds_for, self.words))
        if other.how == "but":
            return all(map(self._rules_out, other.words))
        return self.how in FOUND and not other.negated and self._finds(other)

    def holds_for(self, value: str) -> bool:
        """Whether it is true of a value of its name."""
        if self.how in FOUND:
            return FOUND[self.how](value, self._needle) != self.negated
        return (value in self.words) == (self.how == "among")

    def opposite(self) -> Part:
        """Of what is searched for."""
        return Part(self.text, self.how, self.words, not self.negated)

    def excludes(self, other: Part) -> bool:
        """Whether both can never be true."""
        if not self.how and not other.how:
            return other.text == f"! {self.text}"
        if self.text != other.text or not self.how or not other.how:
            return False
        if self.how == "among":
            return not any(map(other.holds_for, self.words))
        if self.how in FOUND:
            return other.implies(self.opposite())
        return False

    @property
    def _needle(self) -> str:
        return next(iter(self.words))

    def _rules_out(self, value: str) -> bool:
        return not self.holds_for(value)

    def _finds(self, other: Part) -> bool:
        """`damaged` at any place has `dam` in it, `damaged` at the start has `dam` there too."""
        return (
            other.how in ("contains", self.how)
            and other.how in FOUND
            and FOUND[other.how](self._needle, other._needle)
        )


Alternative = frozenset[Part]


def together(parts: Iterable[Part]) -> Alternative | None:
    """The same parts, with one for all that says which words a name is; None if they contradict
    each other."""
    words: dict[str, Part] = {}
    others = []
    for part in parts:
        if part.how in ("among", "but"):
            words[part.text] = _both(words[part.text], part) if part.text in words else part
        else:
            others.append(part)
    found = [*words.values(), *others]
    if any(part.how == "among" and not part.words for part in found):
        return None
    if any(one.excludes(other) for one in found for other in found):
        return None
    return frozenset(found)


def _both(one: Part, other: Part) -> Part:
    if one.how == "but":
        one, other = other, one
    if one.how == "but":
        return Part(one.text, "but", one.words | other.words)
    return Part(one.text, "among", frozenset(filter(other.holds_for, one.words)))


def one_by_one(parts: Alternative) -> Iterable[Alternative]:
    """An alternative for each word that a name may be."""
    several = next(
        (p for p in sorted(parts, key=str) if p.how == "among" and len(p.words) > 1), None
    )
    if several is None:
        yield parts
        return
    for word in sorted(several.words):
        single = Part(several.text, "among", frozenset((word,)))
        yield from one_by_one((parts - {several}) | {single})
