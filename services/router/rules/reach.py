"""Which rules nothing can reach, because earlier ones match whenever they would. Pure.

A condition is written out as alternatives, each of parts that must all be true. A rule is hidden
when each of its alternatives implies all parts of one of an earlier rule. What is said here is
certain; a rule that only somebody who understands its parts could call hidden is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Final, cast

from services.router.rules.condition_tokens import Token, tokens_of
from services.router.rules.parts import (
    CLOSED,
    FOUND,
    Alternative,
    How,
    Part,
    one_by_one,
    together,
)

_MOST_ALTERNATIVES: Final = 64
_MOST_FILED: Final = 8
_WORD, _SEARCHED, _OTHER = "word", "searched", "other"
_OPENING: Final = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Unreached:
    """`hidden_by` are earlier rules, by index: those that are always true alone, or else all that
    it takes. Empty: the condition contradicts itself."""

    index: int
    hidden_by: tuple[int, ...]


def unreached(conditions: Sequence[str]) -> Iterator[Unreached]:
    """The rules of a list that never match, by their conditions; `true` for one without."""
    earlier = _Earlier()
    for index, source in enumerate(conditions):
        written_out = alternatives(source)
        hiding = earlier.hiding(written_out)
        if hiding is not None:
            yield Unreached(index, hiding)
        else:
            earlier.add(index, written_out)


def alternatives(source: str) -> list[Alternative]:
    """A condition written out; none for what is never true, an empty one for what always is."""
    written_out = map(together, _written_out(tokens_of(source)))
    possible = [parts for parts in written_out if parts is not None]
    single = list(islice(_each(possible), _MOST_ALTERNATIVES + 1))
    return single if len(single) <= _MOST_ALTERNATIVES else possible


def _each(written_out: Iterable[Alternative]) -> Iterator[Alternative]:
    for parts in written_out:
        yield from one_by_one(parts)


class _Earlier:
    """The alternatives of the rules so far, each filed under the rarest of its parts."""

    def __init__(self) -> None:
        self._always: int | None = None
        self._filed: dict[_Key, list[tuple[Alternative, int]]] = {}
        self._searched: set[str] = set()

    def add(self, index: int, written_out: Iterable[Alternative]) -> None:
        for parts in written_out:
            if parts:
                key = min(map(_key, parts), key=lambda key: len(self._filed.get(key, ())))
                self._filed.setdefault(key, []).append((parts, index))
                self._searched.update([key[0]] if key[1] == _SEARCHED else ())
            elif self._always is None:
                self._always = index

    def hiding(self, written_out: Sequence[Alternative]) -> tuple[int, ...] | None:
        """The rules that leave nothing for this one; None when something is left."""
        if not written_out:
            return ()
        if self._always is not None:
            return (self._always,)
        certain = set()
        for parts in written_out:
            index = self._hides(parts)
            if index is None:
                return None
            certain.add(index)
        return tuple(sorted(certain))

    def _hides(self, parts: Alternative) -> int | None:
        keys = {key for part in parts for key in self._keys(part)}
        filed = (each for key in keys for each in self._filed.get(key, ()))
        return min((index for other, index in filed if _implies(parts, other)), default=None)

    def _keys(self, part: Part) -> Iterator[_Key]:
        """Under which parts that this one implies can be filed."""
        yield (part.text, _OTHER, "")
        if part.word is not None:
            yield (part.text, _WORD, part.word)
        if part.text in self._searched and not part.negated and part.how != "but":
            text = min(part.words, default="")
            for end in range(len(text) + 1):
                for start in range(max(0, end - _MOST_FILED), end + 1):
                    yield (part.text, _SEARCHED, text[start:end])


def _key(part: Part) -> _Key:
    """One word is filed by it, what is searched for by its beginning, all else by the name."""
    if part.word is not None:
        return (part.text, _WORD, part.word)
    if part.how in FOUND and not part.negated:
        return (part.text, _SEARCHED, min(part.words)[:_MOST_FILED])
    return (part.text, _OTHER, "")


def _implies(parts: Alternative, other: Alternative) -> bool:
    return all(any(part.implies(wanted) for part in parts) for wanted in other)


def _written_out(tokens: Sequence[Token]) -> list[Alternative]:
    tokens = _without_brackets(tokens)
    if _split(tokens, "?")[1:]:
        return [_opaque(tokens)]
    either = _split(tokens, "||")
    if len(either) > 1:
        found = [parts for piece in either for parts in _written_out(piece)]
    elif len(both := _split(tokens, "&&")) > 1:
        pieces = [_written_out(piece) for piece in both]
        combinations = product(*pieces) if _number(pieces) <= _MOST_ALTERNATIVES else ()
        found = [frozenset[Part]().union(*each) for each in combinations]
        if not found and all(pieces):
            return [_opaque(tokens)]
    else:
        found = _of_one(tokens)
    return found if len(found) <= _MOST_ALTERNATIVES else [_opaque(tokens)]


def _number(pieces: Iterable[Sequence[Alternative]]) -> int:
    number = 1
    for piece in pieces:
        number *= len(piece)
    return number


def _of_one(tokens: Sequence[Token]) -> list[Alternative]:
    shown = _shown(tokens)
    if shown in ("true", "false"):
        return [frozenset()] if shown == "true" else []
    part = _compared(tokens) or _searched(tokens) or Part(shown)
    return [frozenset((part,))]


def _compared(tokens: Sequence[Token]) -> Part | None:
    """A name with words; any word but these is one of the others, where all are known."""
    for at, token in enumerate(tokens):
        if token.text in ("==", "!=", "in") and at and _is_name(tokens[:at]):
            words = _words(token.text, tokens[at + 1 :])
            if words is None:
                return None
            name = _shown(tokens[:at])
            if token.text != "!=":
                return Part(name, "among", frozenset(words))
            if name in CLOSED:
                return Part(name, "among", CLOSED[name].difference(words))
            return Part(name, "but", frozenset(words))
    return None


def _searched(tokens: Sequence[Token]) -> Part | None:
    """`text.contains("dam")`, and that it does not."""
    negated = tokens[0].text == "!" if tokens else False
    tokens = _without_brackets(tokens[1:]) if negated else tokens
    if len(tokens) < 6 or not _is_name(tokens[:-3]) or tokens[-4].text not in FOUND:
        return None
    if (tokens[-5].text, tokens[-3].text, tokens[-1].text) != (".", "(", ")"):
        return None
    word = _plain(tokens[-2])
    if word is None:
        return None
    how = cast(How, tokens[-4].text)
    return Part(_shown(tokens[:-5]), how, frozenset((word[1],)), negated)


def _is_name(tokens: Sequence[Token]) -> bool:
    return all(token.kind == "name" or token.text == "." for token in tokens)


def _words(operator: str, tokens: Sequence[Token]) -> list[str] | None:
    """The words compared with; None when it is not words alone."""
    if operator == "in":
        if len(tokens) < 2 or (tokens[0].text, tokens[-1].text) != ("[", "]"):
            return None
        pieces = _split(tokens[1:-1], ",")
    else:
        pieces = [tokens]
    plain = [match[1] for piece in pieces if len(piece) == 1 and (match := _plain(piece[0]))]
    return plain if len(plain) == len(pieces) else None


def _plain(token: Token) -> re.Match[str] | None:
    """A word in quotes, without anything that stands for something else."""
    return re.fullmatch(r"""["']([^"'\\]*)["']""", token.text) if token.kind == "text" else None


def _split(tokens: Sequence[Token], sign: str) -> list[Sequence[Token]]:
    """At a sign, but not within brackets."""
    pieces: list[Sequence[Token]] = []
    depth = start = 0
    for at, token in enumerate(tokens):
        depth += _OPENING.get(token.text, 0) if token.kind == "sign" else 0
        if token.kind == "sign" and token.text == sign and not depth:
            pieces.append(tokens[start:at])
            start = at + 1
    return [*pieces, tokens[start:]]


def _without_brackets(tokens: Sequence[Token]) -> Sequence[Token]:
    while len(tokens) > 2 and tokens[0].text == "(" and _closes(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def _closes(tokens: Sequence[Token]) -> int:
    """Where the bracket that the tokens begin with is closed; -1 for nowhere."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += _OPENING.get(token.text, 0) if token.kind == "sign" else 0
        if not depth:
            return at
    return -1


def _opaque(tokens: Sequence[Token]) -> Alternative:
    return frozenset((Part(_shown(tokens)),))


def _shown(tokens: Sequence[Token]) -> str:
    return " ".join(token.text for token in tokens)
