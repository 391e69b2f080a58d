"""From the text of a policy file to the model, or to all that is wrong with it.

The file is read once for its own names, then looked at for what no single field shows
(`rules/checks`), and validated whole (`rules/model`), so that all its problems are told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from services.router.policy_terms import PolicyTerms
from services.router.rules.checks import mapping, named, whole_file_problems
from services.router.rules.doubts import policy_problems
from services.router.rules.model import PolicyFile
from services.router.rules.section import Within
from services.router.rules.values import Names
from shared.yamlfile import Document, FileError, Path, Problem, nearest, read

P = TypeVar("P", bound=PolicyTerms)


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
    document.problems.extend(whole_file_problems(document))
    problems = [problem for problem in document.problems if not problem.warning]
    try:
        policy = model.model_validate(document.data, context=_names(document))
    except ValidationError as error:
        problems += (_problem(document, detail) for detail in error.errors(include_url=False))
        raise PolicyError(problems) from None
    document.problems.extend(policy_problems(policy, document))
    problems = [problem for problem in document.problems if not problem.warning]
    if problems:
        raise PolicyError(problems)
    return policy, document


def _names(document: Document) -> Names:
    teams, calendars = mapping(document, "teams"), mapping(document, "calendars")
    return Names(
        teams=frozenset(teams),
        external=frozenset(name for name, team in teams.items() if _is_external(team)),
        calendars=frozenset(calendars),
        working=frozenset(name for name, section in calendars.items() if _has_hours(section)),
        products=frozenset(mapping(document, "products")),
        service_levels=frozenset(rule_name for _, rule_name in named(document, "service_levels")),
        rules=frozenset(rule_name for _, rule_name in named(document, "routing")),
        groups=frozenset(mapping(document, "customers", "groups")),
        timezone=_timezone(document),
    )


def _timezone(document: Document) -> ZoneInfo:
    try:
        return ZoneInfo(str(document.section("timezone")))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def _is_external(team: Any) -> bool:
    return isinstance(team, dict) and team.get("external") is True


def _has_hours(section: Any) -> bool:
    hours = section.get("hours") if isinstance(section, dict) else None
    return any(hours.values()) if isinstance(hours, dict) else bool(hours)


# --- pydantic's errors in our words ----------------------------------------------------------

_MOST_SHOWN: Final = 60
_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "model_type": "must hold `key: value` pairs; {{}} when there are none",
    "model_attributes_type": "must hold `key: value` pairs; {{}} when there are none",
    "dict_type": "must hold `key: value` pairs; {{}} when there are none",
    "mapping_type": "must hold `key: value` pairs; {{}} when there are none",
    "bool_type": "`{input}` is neither: write true or false",
    "int_type": "`{input}` is no whole number",
    "float_type": "`{input}` is no number",
    "finite_number": "`{input}` is no number",
    "greater_than_equal": "`{input}` is too small: at least {ge:,.0f}",
    "less_than_equal": "`{input}` is too much: at most {le:,.0f}",
    "string_too_short": "is empty: give it some text",
}


def _problem(document: Document, detail: ErrorDetails) -> Problem:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if isinstance(error := detail.get("ctx", {}).get("error"), Within):
        path += error.path
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
    if kind == "float_type" and type(given) is int:  # more than a float can hold
        return f"`{_short(given)}` is too much: write fewer digits"
    template = _MESSAGES.get(kind, detail["msg"])
    return template.format_map({"input": _short(given), **detail.get("ctx", {})})


def _short(given: object) -> str:
    text = str(given)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


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
