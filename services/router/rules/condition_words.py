"""The words of a condition: what a name is compared with, and whether it can ever be that. Pure.

A word that a name can never have makes a rule that never matches, which CEL does not mind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, get_args

from services.router.rules.condition_tokens import Token, content, is_variable
from services.router.rules.conditions import MEMBERS, NAMES
from shared.events import Authentication, Channel, Kind, Priority
from shared.yamlfile import nearest

_TRUTHS: Final = frozenset(("customer.internal", "customer.known"))
_LISTS: Final = frozenset(("tags",))
_WITH_PARTS: Final = frozenset((*MEMBERS, "attributes"))
_TEXTS: Final = (
    frozenset((*NAMES, "customer.group", "customer.language", "message.authentication"))
    - _LISTS
    - _WITH_PARTS
)
_LOWER: Final = frozenset(("subject", "text"))
_SEARCHES: Final = frozenset(("contains", "startsWith", "endsWith", "matches"))
_BEFORE: Final = frozenset(("(", "[", ",", "?", ":", "!", "&&", "||"))
_AFTER: Final = frozenset((")", "]", ",", "?", ":", "&&", "||"))
_LITERAL_NAMES: Final = {"true": "truth", "false": "truth", "null": "nothing"}
_LITERAL_SIGNS: Final = {"[": "list", "{": "map", "-": "number"}
# A character written as a code, which may have capitals, and what a pattern says with them: \S.
_ESCAPED: Final = re.compile(
    r"\\{1,2}(?:U[0-9A-Fa-f]{8}|u[0-9A-Fa-f]{4}|[xX][0-9A-Fa-f]{2}|[pP](?:\{[^}]*\}|\w)|.)"
)
_EACH: Final = re.compile(rf"({_ESCAPED.pattern})|.")
_IN_PATTERNS: Final = re.compile(r"\[[^\]]*\]|\(\?P?<\w+>")


@dataclass(frozen=True, slots=True)
class Words:
    """What conditions may mention. `team` exists in service levels only."""

    calendars: frozenset[str]
    compared: Mapping[str, frozenset[str]]
    with_team: bool

    @classmethod
    def of(
        cls,
        *,
        calendars: frozenset[str],
        teams: frozenset[str],
        products: frozenset[str],
        groups: frozenset[str],
        with_team: bool,
    ) -> Words:
        compared = {
            "channel": frozenset(get_args(Channel)),
            "kind": frozenset(get_args(Kind)),
            "priority": frozenset(get_args(Priority)),
            "message.authentication": frozenset(get_args(Authentication)),
            "customer.group": groups,
            "team": teams,
            "product": products,
        }
        return cls(calendars, compared, with_team)

    def names(self) -> tuple[str, ...]:
        return NAMES if self.with_team else tuple(name for name in NAMES if name != "team")


class Literal(NamedTuple):
    """`kind` is text, number, truth, nothing, list or map; `token` its first piece."""

    kind: str
    token: Token

    @property
    def word(self) -> str:
        return content(self.token)


def wrong_words(tokens: Sequence[Token], words: Words) -> Iterator[str]:
    """What can never be, and what would be right."""
    tokens = _with_dots(tokens)
    for at, token in enumerate(tokens):
        if token.text == "open" and token.kind == "name":
            yield from _wrong_calendar(tokens, at, words)
    for name, operator, literal in _compared(tokens):
        wrong_kind = _wrong_kind(name, operator, literal)
        if wrong_kind or literal.kind != "text":
            yield from wrong_kind
            continue
        known = words.compared.get(name)
        if known is not None and literal.word and literal.word not in known:
            last = name.rpartition(".")[2]
            yield f"unknown {last} `{literal.word}`: {nearest(literal.word, known, 20)}"
        if name in _LOWER:
            yield from _capitals(name, literal.token, pattern=False)
    yield from _capitals_searched(tokens)


def _wrong_calendar(tokens: Sequence[Token], at: int, words: Words) -> Iterator[str]:
    following = tokens[at + 1 : at + 4]
    if len(following) < 3 or following[1].kind != "text" or following[2].text != ")":
        yield 'open() takes the name of one calendar: write open("office")'
    elif (name := content(following[1])) not in words.calendars:
        yield f"unknown calendar `{name}`: {nearest(name, words.calendars)}"


# --- comparisons -----------------------------------------------------------------------------


def _with_dots(tokens: Sequence[Token]) -> list[Token]:
    """`customer["group"]` as `customer.group`."""
    found: list[Token] = []
    for token in tokens:
        found.append(token)
        part = found[-4:]
        if (
            len(part) == 4
            and part[0].text in MEMBERS
            and (part[1].text, part[2].kind, part[3].text) == ("[", "text", "]")
        ):
            found[-3:] = [Token("sign", "."), Token("name", content(part[2]))]
    return found


def _compared(tokens: list[Token]) -> Iterator[tuple[str, str, Literal]]:
    """Each name with each literal it is compared with, whichever stands first."""
    for at, token in enumerate(tokens):
        if token.text in ("==", "!="):
            for name, literal in (
                (_name_before(tokens, at), _literal(tokens, at + 1)),
                (_name_after(tokens, at), _literal(tokens, at - 1)),
            ):
                if name and literal is not None:
                    yield name, token.text, literal
        elif token.text == "in" and token.kind == "name":
            yield from _listed(tokens, at)


def _listed(tokens: list[Token], at: int) -> Iterator[tuple[str, str, Literal]]:
    """`channel in ["email", "sms"]`, `"vip" in tags`."""
    name = _name_before(tokens, at)
    if name and at + 1 < len(tokens) and tokens[at + 1].text == "[":
        for place in range(at + 2, len(tokens)):
            if tokens[place].text == "]":
                break
            if (literal := _literal(tokens, place)) is not None and tokens[place - 1].text != "-":
                yield name, "in", literal
    literal = _literal(tokens, at - 1)
    if _name_after(tokens, at) in _LISTS and literal is not None:
        yield "tags", "has", literal


def _name_before(tokens: list[Token], at: int) -> str:
    """The name that alone stands before an operator, as `customer.group`; else empty."""
    start = at - 1
    while start > 1 and tokens[start].kind == "name" and tokens[start - 1].text == ".":
        start -= 2
    if start < 0 or not is_variable(tokens, start) or tokens[start].text in _LITERAL_NAMES:
        return ""
    alone = start == 0 or tokens[start - 1].text in _BEFORE
    return "".join(token.text for token in tokens[start:at]) if alone else ""


def _name_after(tokens: list[Token], at: int) -> str:
    end = at + 2
    while end + 1 < len(tokens) and tokens[end].text == "." and tokens[end + 1].kind == "name":
        end += 2
    named = tokens[at + 1 : end]
    if not named or named[0].kind != "name" or named[0].text in _LITERAL_NAMES:
        return ""
    alone = end >= len(tokens) or tokens[end].text in _AFTER
    return "".join(token.text for token in named) if alone else ""


def _literal(tokens: Sequence[Token], at: int) -> Literal | None:
    """What begins, or ends, at a piece; None for what is no plain value."""
    if not 0 <= at < len(tokens):
        return None
    token = tokens[at]
    if token.kind in ("text", "number"):
        return Literal(token.kind, token)
    kind = (_LITERAL_NAMES if token.kind == "name" else _LITERAL_SIGNS).get(token.text)
    return None if kind is None else Literal(kind, token)


# --- kinds -----------------------------------------------------------------------------------


def _wrong_kind(name: str, operator: str, literal: Literal) -> list[str]:
    shown = literal.token.text
    if operator == "has":
        return [] if literal.kind == "text" else [f'tags are text: write "{shown}" in tags']
    if name in _TEXTS and literal.kind != "text":
        like = f'"{shown}"' if literal.kind == "number" and shown != "-" else '"…"'
        sign = "==" if operator == "in" else operator
        return [f"`{name}` is text, never {shown}: write {name} {sign} {like}"]
    if name in _TRUTHS and literal.kind != "truth":
        return [f"`{name}` is true or false, never {shown}: write {name}, or !{name}"]
    if name in _LISTS and literal.kind != "list":
        return [f"`{name}` is a list, never {shown}: write {_quoted(literal)} in {name}"]
    if name in _WITH_PARTS and literal.kind != "map":
        member = MEMBERS.get(name, ("region",))[0]
        return [f"`{name}` has parts, and is never {shown}: name one, such as {name}.{member}"]
    return []


def _quoted(literal: Literal) -> str:
    return literal.token.text if literal.kind == "text" else '"…"'


# --- capitals --------------------------------------------------------------------------------


def _capitals_searched(tokens: list[Token]) -> Iterator[str]:
    """`text.contains("Damaged")`."""
    for at, token in enumerate(tokens[:-4]):
        if token.text not in _LOWER or not is_variable(tokens, at):
            continue
        dot, search, bracket, word = tokens[at + 1 : at + 5]
        if (dot.text, bracket.text, word.kind) == (".", "(", "text") and search.text in _SEARCHES:
            yield from _capitals(token.text, word, pattern=search.text == "matches")


def _capitals(name: str, token: Token, *, pattern: bool) -> Iterator[str]:
    word = content(token)
    plain = _ESCAPED.sub("", word)
    if pattern:
        plain = "" if "(?i" in plain else _IN_PATTERNS.sub("", plain)
        plain = re.sub(r"\(\?[A-Za-z-]+[:)]", "", plain)
    if plain != plain.lower():
        right = _EACH.sub(lambda match: match[1] or match[0].lower(), word)
        yield f"`{name}` is in lower case and never has `{word}` in it: write `{right}`"
