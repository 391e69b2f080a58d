"""Conditions of the policy's rules: CEL, compiled once, judged over the facts of one event.

A name always exists and is empty when unknown; attributes are asked with has(). A rule that errors
does not match, and its trial says so. What one may say is checked in `rules/condition_check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import cel

from services.router.calendars import Calendar

MOST_TEXT: Final = 10_000
_MOST_SHOWN: Final = 200
_ENDLESS: Final = 2**63
_LARGEST: Final = 2**1023
NAMES: Final = (
    "channel", "account", "kind", "subject", "text", "product", "priority", "tags", "attributes",
    "customer", "message", "team",
)  # fmt: skip
MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "customer": ("group", "language", "internal", "known"),
    "message": ("authentication",),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules may know of an event. `subject` and `text` need not be lower case yet.

    text      the stripped reply, without quoted history
    product   the one given with the message, or the case's; likewise priority and tags
    language  the customer's, `nl`; known: there is a record of this customer already
    """

    channel: str = ""
    account: str = ""
    kind: str = "message"
    subject: str = ""
    text: str = ""
    product: str = ""
    priority: str = ""
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    customer_group: str = ""
    customer_language: str = ""
    customer_internal: bool = False
    customer_known: bool = False
    authentication: str = ""

    def without_words(self) -> dict[str, Any]:
        """In the names of conditions, without `subject` and `text`: for a decision's record."""
        return {name: value(self) for name, value in _VALUES.items() if name not in _NOT_RECORDED}


class RuleTrial(NamedTuple):
    """What became of one rule: whether it matched, and why or why not."""

    name: str
    matched: bool
    why: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition.

    shown    its source as decisions quote it: on one line, and not for ever
    program  `execute` gives a truth, or anything else that a wrong condition gives
    names    the variables and functions it asks for
    """

    shown: str
    program: cel.Program
    names: frozenset[str]

    @classmethod
    def of(cls, source: str) -> Condition:
        """Raises ValueError for what is no CEL. The rest `rules/condition_check` finds."""
        program = cel.compile(source)
        line = " ".join(source.split())
        shown = line if len(line) <= _MOST_SHOWN else line[:_MOST_SHOWN] + " …"
        return cls(shown, program, frozenset((*program.variables(), *program.functions())))


class Rule(Protocol):
    """What can be tried: a rule of the routing, or of the service levels."""

    @property
    def name(self) -> str: ...
    @property
    def when(self) -> Condition | None: ...


R = TypeVar("R", bound=Rule)


class Evaluation:
    """One event before the rules. Its CEL context is built once and serves every rule.

    names   only these variables are handed over: turning text into CEL's own costs most of the time
    """

    def __init__(
        self, facts: Facts, now: datetime, calendars: Mapping[str, Calendar], names: Iterable[str]
    ) -> None:
        values = {name: _VALUES[name](facts) for name in names if name in _VALUES}
        functions = {"open": _opener(calendars, now)} if "open" in names else None
        try:
            self._context = cel.Context(values, functions)
        except (ValueError, OverflowError):  # half a character (a lone surrogate), or a huge number
            self._context = cel.Context(_whole(values), functions)

    def set(self, **values: str | Sequence[str]) -> None:
        """Gives names another value, such as the team that routing chose."""
        self._context.update(values)

    def answer(self, condition: Condition) -> Any:
        """What CEL says, of whatever type. Raises whatever CEL raises."""
        return condition.program.execute(self._context)

    def first_match(self, rules: Iterable[R]) -> tuple[R | None, tuple[RuleTrial, ...]]:
        """The first rule that matches, and all that were tried up to it."""
        trail: list[RuleTrial] = []
        for rule in rules:
            trial = self._try(rule)
            trail.append(trial)
            if trial.matched:
                return rule, tuple(trail)
        return None, tuple(trail)

    def _try(self, rule: Rule) -> RuleTrial:
        condition = rule.when
        if condition is None:
            return RuleTrial(rule.name, True, "it has no condition")
        try:
            answer = self.answer(condition)
        except Exception as error:  # a condition can fail in as many ways as CEL has
            return RuleTrial(rule.name, False, f"`{condition.shown}` fails: {said(error)}")
        if answer is True or answer is False:
            return _trial(rule.name, condition.shown, answer)
        return RuleTrial(rule.name, False, f"`{condition.shown}` gives {answer!r:.80}, no truth")


@lru_cache(maxsize=4096)
def _trial(name: str, shown: str, matched: bool) -> RuleTrial:
    """Rules are few and events many, so what is said of a rule is said once."""
    return RuleTrial(name, matched, f"`{shown}` is {'true' if matched else 'false'}")


def said(error: BaseException) -> str:
    """CEL's message in one line, without its advice."""
    if isinstance(error, KeyError):
        return f"there is no {error}"
    text = str(error).replace(" Check that the variable", "\n").replace(" CEL does not", "\n")
    return text.replace(" Check function arguments", "\n").strip().partition("\n")[0]


def _opener(calendars: Mapping[str, Calendar], now: datetime) -> Callable[[str], bool]:
    def is_open(name: str) -> bool:
        calendar = calendars.get(name)
        return calendar is not None and calendar.is_open(now)

    return is_open


def _whole(value: Any) -> Any:
    """The same with every lone surrogate replaced, however deep it stands, and no number beyond
    what CEL counts with."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(_whole(key)): _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    if isinstance(value, int) and not -_ENDLESS <= value < _ENDLESS:
        return max(-_LARGEST, min(value, _LARGEST)) * 1.0
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _lower(text: str) -> str:
    return text[:MOST_TEXT].lower()[:MOST_TEXT]


_NOT_RECORDED: Final = ("subject", "text", "team")
_VALUES: Final[Mapping[str, Callable[[Facts], Any]]] = {
    "channel": lambda facts: facts.channel,
    "account": lambda facts: facts.account,
    "kind": lambda facts: facts.kind,
    "subject": lambda facts: _lower(facts.subject),
    "text": lambda facts: _lower(facts.text),
    "product": lambda facts: facts.product,
    "priority": lambda facts: facts.priority,
    "tags": lambda facts: list(facts.tags),
    "attributes": lambda facts: dict(facts.attributes),
    "customer": lambda facts: {
        "group": facts.customer_group,
        "language": facts.customer_language,
        "internal": facts.customer_internal,
        "known": facts.customer_known,
    },
    "message": lambda facts: {"authentication": facts.authentication},
    "team": lambda _: "",
}
