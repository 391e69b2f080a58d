"""Checks a condition before it rules: does it parse, does it know its words, is it true or false?

CEL itself notices a wrong name only when it gets there, on somebody's message. So the names, and
the words that names are compared with (`condition_words`), are read from the source; then the
condition is tried on made-up events, among them one for each word it mentions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Final

import cel

from services.router.rules.condition_cost import (
    MACROS,
    MOST_SECONDS,
    slow_patterns,
    too_costly,
    too_slow,
)
from services.router.rules.condition_tokens import Token, content, is_variable, tokens_of
from services.router.rules.condition_words import Words, wrong_words
from services.router.rules.conditions import (
    MEMBERS,
    MOST_TEXT,
    Condition,
    Evaluation,
    Facts,
    said,
)
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
_MEANT: Final = {"=": "==", "or": "||", "and": "&&", "not": "!"}
_ALWAYS: Final = (
    "is no condition: write CEL in quotes, or leave `when` out: a rule without it is for everything"
)
_NEVER: Final = "is no condition: take the whole rule out, as it would never match"
_LONG: Final = "some words " * (MOST_TEXT // 11)
_MOST_TRIED: Final = 100
_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)


def compile_condition(source: object, words: Words) -> Condition:
    """Raises ValueError with all that is wrong with it, and what would be right."""
    if isinstance(source, bool):
        raise ValueError(f"`{str(source).lower()}` {_ALWAYS if source else _NEVER}")
    if not isinstance(source, str):
        raise ValueError(
            f"`{source}` is no condition: write CEL in quotes, 'kind == \"voicemail\"'"
        )
    source = source.strip()
    if len(source) > MOST_SOURCE:
        raise ValueError(f"a condition has at most {MOST_SOURCE} characters")
    tokens = tokens_of(source)
    if costly := list(dict.fromkeys(too_costly(tokens))):
        raise ValueError("; ".join(costly))
    try:
        condition = Condition.of(source)
    except ValueError as error:
        raise ValueError(f"`{source}` is no CEL: {_syntax(error, tokens)}") from None
    wrong = [*_wrong_names(condition.program, tokens, words), *wrong_words(tokens, words)]
    wrong = wrong or list(slow_patterns(tokens)) or list(_wrong_answers(condition, tokens))
    if wrong:
        raise ValueError("; ".join(dict.fromkeys(wrong)))
    return condition


def _syntax(error: ValueError, tokens: Sequence[Token]) -> str:
    """`column 9: mismatched input …` from the parser's picture of it, or what was meant."""
    match = re.search(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)", str(error))
    words = dict.fromkeys(t.text for t in tokens if t.kind != "text" and t.text.lower() in _MEANT)
    meant = [f"write `{_MEANT[word.lower()]}`, not `{word}`" for word in words]
    if match is None:
        return said(error)
    return f"column {match[2]}: {', '.join(meant) or match[3]}"


# --- names -----------------------------------------------------------------------------------


def _wrong_names(program: cel.Program, tokens: list[Token], words: Words) -> Iterator[str]:
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
        if token.text in MACROS and tokens[at + 1].text == "(" and tokens[at + 3].text == ","
    }


def _wrong_members(tokens: list[Token]) -> Iterator[str]:
    for at, token in enumerate(tokens[:-2]):
        members = MEMBERS.get(token.text) if is_variable(tokens, at) else None
        if members is None or tokens[at + 1].text not in (".", "["):
            continue
        member = content(tokens[at + 2])
        if member not in members:
            wrong = f"{token.text}.{member}"
            right = nearest(wrong, [f"{token.text}.{known}" for known in members])
            yield f"unknown name `{wrong}`: {right}"


# --- answers ---------------------------------------------------------------------------------


def _wrong_answers(condition: Condition, tokens: Sequence[Token]) -> Iterator[str]:
    """What trials show. Attributes are anything, so what goes wrong with them is left to has()."""
    for facts in _made_up(tokens):
        evaluation = Evaluation(facts, _ANY_TIME, {}, condition.names | {"team"})
        if too_slow(partial(evaluation.answer, condition)):
            yield (
                f"`{condition.shown}` takes more than {MOST_SECONDS * 1000:.0f} ms, for every "
                "message: ask for less, or in several rules"
            )
            return
        try:
            answer = evaluation.answer(condition)
        except Exception as error:
            if _is_about_the_condition(error, condition):
                yield f"`{condition.shown}` fails: {_reason(error)}"
        else:
            if not isinstance(answer, bool):
                yield f"`{condition.shown}` gives {answer!r:.60}: it must give true or false"


def _made_up(tokens: Sequence[Token]) -> Iterator[Facts]:
    """An empty event, one that is as long as any, and for words one that has each everywhere."""
    yield Facts()
    yield Facts(subject=_LONG, text=_LONG)
    words = dict.fromkeys(content(token) for token in tokens if token.kind == "text")
    for word in islice(words, _MOST_TRIED):
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
