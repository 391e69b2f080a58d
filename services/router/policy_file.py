"""From the text of a policy file to the model, or to all that is wrong with it.

The file is read once for its own names, then validated whole (`policy_model`), and then looked at
for what no single field shows: rules that nothing reaches, teams that wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from services.router.policy_model import PolicyFile
from services.router.policy_values import Names
from shared.yamlfile import Document, FileError, Path, Problem, nearest, read

P = TypeVar("P", bound=PolicyFile)


class PolicyError(FileError):
    """A policy that cannot rule. `problems` holds all of them; each says what would be right."""


def load(text: str, filename: str, model: type[P]) -> tuple[P, Document]:
    """The policy as `model`, and where its parts stand. Raises PolicyError with every problem.

    What is left in the document's problems are warnings.
    """
    try:
        document = read(text, filename)
    except FileError as error:
        raise PolicyError(error.problems) from error
    document.problems.extend(_whole_file_problems(document))
    problems = [problem for problem in document.problems if not problem.warning]
    try:
        policy = model.model_validate(document.data, context=_names(document))
    except ValidationError as error:
        problems += (_problem(document, detail) for detail in error.errors(include_url=False))
        raise PolicyError(problems) from None
    if problems:
        raise PolicyError(problems)
    return policy, document


def _names(document: Document) -> Names:
    calendars = _mapping(document, "calendars")
    return Names(
        teams=frozenset(_mapping(document, "teams")),
        calendars=frozenset(calendars),
        working=frozenset(name for name, section in calendars.items() if _has_hours(section)),
        products=frozenset(_mapping(document, "products")),
        service_levels=frozenset(rule_name for _, rule_name in _named(document, "service_levels")),
        rules=frozenset(rule_name for _, rule_name in _named(document, "routing")),
    )


def _mapping(document: Document, key: str) -> Mapping[str, Any]:
    section = document.section(key)
    return section if isinstance(section, dict) else {}


def _has_hours(section: Any) -> bool:
    hours = section.get("hours") if isinstance(section, dict) else None
    return any(hours.values()) if isinstance(hours, dict) else bool(hours)


def _named(document: Document, key: str) -> Iterator[tuple[int, str]]:
    """The rules of a list that have a name, with their index."""
    for index, rule in enumerate(_list(document, key)):
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            yield index, rule["name"]


def _list(document: Document, key: str) -> list[Any]:
    section = document.section(key)
    return section if isinstance(section, list) else []


# --- what no single field shows --------------------------------------------------------------


def _whole_file_problems(document: Document) -> Iterator[Problem]:
    for key in ("routing", "service_levels", "tests"):
        yield from _names_given_twice(document, key)
    for key in ("routing", "service_levels"):
        yield from _wrong_defaults(document, key)
    yield from _fallback_loops(document)


def _names_given_twice(document: Document, key: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, name in _named(document, key):
        if name in first:
            line = document.line((key, first[name], "name"))
            message = (
                f"the name `{name}` is taken by line {line}: decisions name rules, give another"
            )
            yield document.problem((key, index, "name"), message)
        first.setdefault(name, index)


_ALWAYS: Final = "true"
_NO_DEFAULT: Final[Mapping[str, str]] = {
    "routing": "no rule is for everything else: end with one that has no `when`, such as "
    "{name: everything else, team: …}",
    "service_levels": "what matches none of these gets no deadline: end with one that has no "
    "`when`, such as {name: the rest, calendar: …, first_response: 4h}",
}


def _wrong_defaults(document: Document, key: str) -> Iterator[Problem]:
    """The last rule, and no other, is for everything else and has no condition.

    Routing must have one. A service level may be promised to some only, which is worth a warning.
    """
    conditions = [_condition_of(rule) for rule in _list(document, key)]
    if conditions and _ALWAYS not in conditions:
        path = (key, len(conditions) - 1)
        yield document.problem(path, _NO_DEFAULT[key], warning=key != "routing")
    first: dict[str, int] = {}
    for index, condition in enumerate(conditions):
        hides = first.get(_ALWAYS, first.get(condition, index) if condition else index)
        if hides != index:
            why = "is for everything; put it last" if _ALWAYS in first else "has the same condition"
            message = f"is never reached: the rule on line {document.line((key, hides))} {why}"
            yield document.problem((key, index), message)
        first.setdefault(condition, index)


def _condition_of(rule: Any) -> str:
    """The source of a rule's condition on one line; empty for what cannot be read."""
    if not isinstance(rule, dict):
        return ""
    condition = rule.get("when")
    if condition is None:
        return _ALWAYS
    return " ".join(condition.split()) if isinstance(condition, str) else ""


def _fallback_loops(document: Document) -> Iterator[Problem]:
    """Told once a loop, at its team that comes first in the file."""
    told: set[str] = set()
    for team in _mapping(document, "teams"):
        chain = _fallback_chain(document, team)
        if chain[-1] == team and len(chain) > 1 and not told & set(chain):
            told |= set(chain)
            message = f"goes round: {' → '.join(chain)}; one of them needs no fallback, or another"
            yield document.problem(("teams", team, "fallback"), message)


def _fallback_chain(document: Document, team: str) -> list[str]:
    """The team, its fallback and so on, up to the first that occurs again or has none."""
    chain = [team]
    while isinstance(fallback := document.section("teams", chain[-1], "fallback"), str):
        chain.append(fallback)
        if fallback in chain[:-1]:
            break
    return chain


# --- pydantic's errors in our words ----------------------------------------------------------

_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "model_type": "must hold `key: value` pairs; {{}} when there are none",
    "model_attributes_type": "must hold `key: value` pairs; {{}} when there are none",
    "dict_type": "must hold `key: value` pairs; {{}} when there are none",
    "mapping_type": "must hold `key: value` pairs; {{}} when there are none",
    "bool_type": "`{input}` is neither: write true or false",
    "int_type": "`{input}` is no whole number",
    "float_type": "`{input}` is no number",
    "greater_than_equal": "`{input}` is too small: at least {ge}",
    "string_too_short": "is empty: give it some text",
}


def _problem(document: Document, detail: ErrorDetails) -> Problem:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    return document.problem(path, _message(detail, path))


def _message(detail: ErrorDetails, path: Path) -> str:
    given, kind = detail["input"], detail["type"]
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "extra_forbidden":
        return f"unknown key `{path[-1]}`: {nearest(path[-1], _keys_at(path[:-1]), 30)}"
    if kind == "literal_error":
        words = detail["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return f"unknown word `{given}`: {nearest(given, words)}"
    if kind == "tuple_type":
        return f"must be a list: write [{given}]" if isinstance(given, str) else "must be a list"
    if kind == "string_type":
        return "is empty: give it some text" if given is None else _not_text(given)
    template = _MESSAGES.get(kind, detail["msg"])
    return template.format_map({"input": given, **detail.get("ctx", {})})


def _not_text(given: object) -> str:
    if isinstance(given, dict | list):
        return "must be text, not a list or a mapping"
    return f'`{given}` must be text: put it in quotes, "{given}"'


def _keys_at(path: Path) -> list[str]:
    """The keys a section may have; lists and mappings on the way count as their items."""
    annotation: Any = PolicyFile
    for part in path:
        annotation = _item_of(annotation, part)
    fields = annotation.model_fields.items() if _is_section(annotation) else ()
    return [field.alias or name for name, field in fields]


def _item_of(annotation: Any, part: str | int) -> Any:
    if not _is_section(annotation):
        return _plain(get_args(annotation)[0 if isinstance(part, int) else 1])
    for name, field in annotation.model_fields.items():
        if part == (field.alias or name):
            return _plain(field.annotation)
    raise LookupError(part)


def _plain(annotation: Any) -> Any:
    """Without Annotated and `| None`."""
    while get_origin(annotation) is Annotated or type(None) in get_args(annotation):
        annotation = next(each for each in get_args(annotation) if each is not type(None))
    return annotation


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
