"""What a condition may cost. CEL stops for nobody, and its process does nothing else meanwhile.

So what multiplies is refused by the look of it, before anything is executed: `all` within `all`,
over the outcome of another, over long lists, and what is slow within one. The rest is timed, on a
message as long as any.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import cel

from services.router.rules.condition_tokens import Token

MACROS: Final = frozenset(("all", "exists", "exists_one", "map", "filter"))
MOST_SECONDS: Final = 0.02
_MATCHES: Final = frozenset(("matches",))
_MOST_MACROS: Final = 5
_MOST_LISTED: Final = 50
_MOST_PATTERNS: Final = 10
_MOST_SUMS: Final = 20
_CLOSING: Final = {")": "(", "]": "[", "}": "{"}
_IN_ONE: Final = 'list the words instead, `channel in ["email", "portal"]`, or write two rules'

Span = tuple[int, int]  # the first piece, and the one after the last


def too_costly(tokens: Sequence[Token]) -> Iterator[str]:
    """What is refused before it is executed, and what to write instead."""
    matching = _matching(tokens)
    macros = [at for at in range(len(tokens)) if _is_call(tokens, at, MACROS)]
    if len(macros) > _MOST_MACROS:
        yield f"has {len(macros)} of {_named(MACROS)}: at most {_MOST_MACROS}; write several rules"
    for at in macros:
        within = (at + 1, matching.get(at + 1, len(tokens)))
        yield from _too_much_within(tokens, at, within)
        yield from _too_much_before(tokens, at, (_start(tokens, at - 1, matching), at - 1))
    yield from _too_many(tokens)


def too_slow(work: Callable[[], object]) -> bool:
    """Whether it takes more of a processor than it may; what it raises is not looked at."""
    return all(_seconds(work) > MOST_SECONDS for _ in range(2))  # the first may have been unlucky


def slow_patterns(tokens: Sequence[Token]) -> Iterator[str]:
    """Patterns are read anew for every event; what `\\w{100}` is read into is large."""
    for at in range(len(tokens) - 2):
        if _is_call(tokens, at, _MATCHES) and tokens[at + 2].kind == "text":
            pattern = tokens[at + 2].text
            matches, nothing = cel.compile(f"''.matches({pattern})"), cel.Context({})
            if too_slow(partial(matches.execute, nothing)):
                yield (
                    f"the pattern {pattern} is slow: write [a-z] for \\w, and smaller numbers in "
                    "braces"
                )


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    with suppress(Exception):  # only its time is asked here; what it answers is checked elsewhere
        work()
    return time.thread_time() - began


def _too_much_within(tokens: Sequence[Token], at: int, within: Span) -> Iterator[str]:
    name = tokens[at].text
    for inner in range(*within):
        if _is_call(tokens, inner, MACROS):
            yield f"`{tokens[inner].text}` within `{name}` multiplies: {_IN_ONE}"
        elif _is_call(tokens, inner, _MATCHES):
            yield f"`matches` within `{name}` is slow: write contains() there, or == and in"


def _too_much_before(tokens: Sequence[Token], at: int, receiver: Span) -> Iterator[str]:
    """Of what stands before `.all(…)`: a list may be written out, if it is short."""
    name = tokens[at].text
    if any(_is_call(tokens, inner, MACROS) for inner in range(*receiver)):
        yield f"`{name}` of what another gives multiplies: ask for both in one"
    listed = sum(token.text == "," for token in tokens[slice(*receiver)]) + 1
    if listed > _MOST_LISTED:
        yield f"`{name}` goes over a list of {listed}: at most {_MOST_LISTED}; {_IN_ONE}"


def _too_many(tokens: Sequence[Token]) -> Iterator[str]:
    patterns = sum(_is_call(tokens, at, _MATCHES) for at in range(len(tokens)))
    if patterns > _MOST_PATTERNS:
        yield (
            f"has {patterns} patterns: at most {_MOST_PATTERNS}; join them in one, "
            'text.matches("order|parcel"), or write contains()'
        )
    sums = sum(token == ("sign", "+") for token in tokens)
    if sums > _MOST_SUMS:
        yield f"adds up {sums + 1} things: at most {_MOST_SUMS + 1}; look at each by itself"


def _is_call(tokens: Sequence[Token], at: int, names: frozenset[str]) -> bool:
    """`.all(`."""
    return (
        tokens[at].text in names
        and 0 < at < len(tokens) - 1
        and (tokens[at - 1].text, tokens[at + 1].text) == (".", "(")
    )


def _matching(tokens: Sequence[Token]) -> dict[int, int]:
    """Of each bracket, where it is closed; and of each that closes, where it is opened."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for at, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        if token.text in _CLOSING.values():
            opened.append(at)
        elif opened and _CLOSING.get(token.text) == tokens[opened[-1]].text:
            start = opened.pop()
            pairs |= {start: at, at: start}
    return pairs


def _start(tokens: Sequence[Token], dot: int, matching: dict[int, int]) -> int:
    """Where the thing begins that a dot is asked of: `attributes.list`, `["a", "b"]`."""
    at = dot
    while at > 0:
        before = tokens[at - 1]
        if before.text in _CLOSING and before.kind == "sign":
            at = matching.get(at - 1, at - 1)
        elif (before.kind == "sign" and before.text != ".") or (
            before.text == "in" and before.kind == "name"
        ):
            return at
        else:
            at -= 1
    return at


def _named(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
