"""Checks a condition before it rules: does it parse, does it know its words, is it true or false?

CEL itself notices a wrong name only when it gets there, on somebody's message. So the names, and
the words that names are compared with, are read from the source here; then the condition is tried
on made-up events, among them one for each word it mentions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, get_args

import cel

from services.router.rules.conditions import MEMBERS, NAMES, Condition, Evaluation, Facts, said
from shared.events import Authentication, Channel, Kind, Priority
from shared.yamlfile import nearest

MOST_SOURCE: Final = 4_000
_FUNCTIONS: Final = frozenset((
    "contains", "startsWith", "endsWith", "matches", "size", "int", "uint", "double", "string",
    "bytes", "timestamp", "duration", "type", "dyn", "open", "getFullYear", "getMonth", "getDate",
    "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds",
    "getMilliseconds",
))  # fmt: skip
_TYPES: Final = frozenset((
    "int", "uint", "double", "string", "bytes", "bool", "list", "map", "null_type", "type",
))  # fmt: skip
_TOKEN: Final = re.compile(
    r"""(?P<comment>//[^\n]*)
      | (?P<text>[rRbB]{0,2}(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}
                            |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>==|!=|<=|>=|&&|\|\||\S)""",
    re.VERBOSE,
)
_MACROS: Final = frozenset(("all", "exists", "exists_one", "map", "filter"))
_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)


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
        with_team: bool,
    ) -> Words:
        compared = {
            "channel": frozenset(get_args(Channel)),
            "kind": frozenset(get_args(Kind)),
            "priority": frozenset(get_args(Priority)),
            "authentication": frozenset(get_args(Authentication)),
            "team": teams,
            "product": products,
        }
        return cls(calendars, compared, with_team)

    def names(self) -> tuple[str, ...]:
        return NAMES if self.with_team else tuple(name for name in NAMES if name != "team")


class Token(NamedTuple):
    """A piece of a condition; `kind` is text, name or sign."""

    kind: str
    text: str


def compile_condition(source: object, words: Words) -> Condition:
    """Raises ValueError with all that is wrong with it, and what would be right."""
    if not isinstance(source, str):
        raise ValueError(
            f"`{source}` is no condition: write CEL in quotes, 'kind == \"voicemail\"'"
        )
    source = source.strip()
    if len(source) > MOST_SOURCE:
        raise ValueError(f"a condition has at most {MOST_SOURCE} characters")
    try:
        condition = Condition.of(source)
    except ValueError as error:
        raise ValueError(f"`{source}` is no CEL: {_syntax(error)}") from None
    tokens = tokens_of(source)
    wrong = [*_wrong_names(condition.program, tokens, words), *_wrong_words(tokens, words)]
    wrong = wrong or list(_wrong_answers(condition, tokens))
    if wrong:
        raise ValueError("; ".join(dict.fromkeys(wrong)))
    return condition


def tokens_of(source: str) -> list[Token]:
    """Its pieces in order, without comments."""
    found = (Token(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(source))
    return [token for token in found if token.kind != "comment"]


def _syntax(error: ValueError) -> str:
    """`column 9: mismatched input …` from the parser's picture of it."""
    match = re.search(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)", str(error))
    return f"column {match[2]}: {match[3]}" if match else said(error)


# --- names -----------------------------------------------------------------------------------


def _wrong_names(program: cel.Program, tokens: Sequence[Token], words: Words) -> Iterator[str]:
    known = {*words.names(), *_TYPES, *_bound_by_macros(tokens)}
    for name in program.variables():
        if name == "team" and not words.with_team:
            yield "`team` is known in service levels only: routing is what chooses it"
        elif name not in known:
            yield f"unknown name `{name}`: {nearest(name, words.names(), 20)}"
    for name in program.functions():
        if name.isidentifier() and name.strip("_") == name and name not in _FUNCTIONS:
            yield f"unknown function `{name}`: {nearest(name, _FUNCTIONS, 40)}"
    yield from _wrong_members(tokens)


def _bound_by_macros(tokens: Sequence[Token]) -> set[str]:
    """The `t` of `tags.exists(t, t == "vip")`."""
    return {
        tokens[at + 2].text
        for at, token in enumerate(tokens[:-3])
        if token.text in _MACROS and tokens[at + 1].text == "(" and tokens[at + 3].text == ","
    }


def _wrong_members(tokens: Sequence[Token]) -> Iterator[str]:
    for at, token in enumerate(tokens[:-2]):
        members = MEMBERS.get(token.text) if _is_variable(tokens, at) else None
        if members is None or tokens[at + 1].text not in (".", "["):
            continue
        member = content(tokens[at + 2])
        if member not in members:
            wrong = f"{token.text}.{member}"
            right = nearest(wrong, [f"{token.text}.{known}" for known in members])
            yield f"unknown name `{wrong}`: {right}"


def _is_variable(tokens: Sequence[Token], at: int) -> bool:
    return tokens[at].kind == "name" and (at == 0 or tokens[at - 1].text != ".")


def content(token: Token) -> str:
    """A piece of text without its quotes."""
    return token.text.lstrip("rRbB").strip("\"'") if token.kind == "text" else token.text


# --- words -----------------------------------------------------------------------------------


def _wrong_words(tokens: Sequence[Token], words: Words) -> Iterator[str]:
    for at, token in enumerate(tokens):
        if token.text == "open" and token.kind == "name":
            yield from _wrong_calendar(tokens, at, words)
        elif (known := _compared_with(tokens, at, words)) is not None:
            for word in _literals_after(tokens, at + 1):
                if word and word not in known:
                    yield f"unknown {token.text} `{word}`: {nearest(word, known, 20)}"


def _compared_with(tokens: Sequence[Token], at: int, words: Words) -> frozenset[str] | None:
    if tokens[at].kind != "name":
        return None
    is_member = tokens[at].text == "authentication"
    return words.compared.get(tokens[at].text) if is_member != _is_variable(tokens, at) else None


def _literals_after(tokens: Sequence[Token], at: int) -> Iterator[str]:
    """The words in `== "email"` and in `in ["email", "portal"]`."""
    operator = tokens[at].text if at < len(tokens) else ""
    if operator in ("==", "!=") and at + 1 < len(tokens) and tokens[at + 1].kind == "text":
        yield content(tokens[at + 1])
    elif operator == "in":
        for token in tokens[at + 1 :]:
            if token.text == "]":
                return
            if token.kind == "text":
                yield content(token)


def _wrong_calendar(tokens: Sequence[Token], at: int, words: Words) -> Iterator[str]:
    following = tokens[at + 1 : at + 4]
    if len(following) < 3 or following[1].kind != "text" or following[2].text != ")":
        yield 'open() takes the name of one calendar: write open("office")'
    elif (name := content(following[1])) not in words.calendars:
        yield f"unknown calendar `{name}`: {nearest(name, words.calendars)}"


# --- answers ---------------------------------------------------------------------------------


def _wrong_answers(condition: Condition, tokens: Sequence[Token]) -> Iterator[str]:
    """What trials show. Attributes are anything, so what goes wrong with them is left to has()."""
    for facts in _made_up(tokens):
        evaluation = Evaluation(facts, _ANY_TIME, {}, condition.names | {"team"})
        try:
            answer = evaluation.answer(condition)
        except Exception as error:
            if _is_about_the_condition(error, condition):
                yield f"`{condition.shown}` fails: {_reason(error)}"
        else:
            if not isinstance(answer, bool):
                yield f"`{condition.shown}` gives {answer!r:.60}: it must give true or false"


def _made_up(tokens: Sequence[Token]) -> Iterator[Facts]:
    """An empty event, and for each word one that has it everywhere."""
    yield Facts()
    for word in dict.fromkeys(content(token) for token in tokens if token.kind == "text"):
        yield Facts(
            channel=word, account=word, kind=word, subject=word, text=word, product=word,
            priority=word, tags=(word,), customer_group=word, customer_language=word,
            customer_internal=True, customer_known=True, authentication=word,
        )  # fmt: skip


def _is_about_the_condition(error: Exception, condition: Condition) -> bool:
    """Wrong types and wrong patterns are; a missing key or a text that is no number may be data."""
    if "not a valid regex" in str(error):
        return True
    mistyped = isinstance(error, TypeError) or "Undefined" in str(error)
    return mistyped and "attributes" not in condition.names


def _reason(error: Exception) -> str:
    if "Undefined" in str(error):  # every name is known by now
        return "a function is given a value that it does not take"
    return said(error).rstrip(":")
