"""What no single field of a policy file shows: rules that nothing reaches, teams that wait for
each other, skills that nobody has. Looks at the file as it was read, before it is validated, so
that these are told together with all else; what cannot be read is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.router.rules.condition_tokens import tokens_of
from services.router.rules.reach import alternatives, unreached
from shared.yamlfile import Document, Path, Problem, nearest


def whole_file_problems(document: Document) -> Iterator[Problem]:
    for key in ("routing", "service_levels", "tests"):
        yield from _names_given_twice(document, key)
    for key in ("routing", "service_levels"):
        yield from _no_default(document, key)
        yield from _rules_without_use(document, key)
    yield from _fallback_loops(document)
    yield from _unknown_skills(document)


# --- reading what may be anything ------------------------------------------------------------


def mapping(document: Document, *path: str) -> Mapping[str, Any]:
    section = document.section(*path)
    return section if isinstance(section, dict) else {}


def named(document: Document, key: str) -> Iterator[tuple[int, str]]:
    """The rules of a list that have a name, with their index."""
    for index, rule in enumerate(_list(document, key)):
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            yield index, rule["name"]


def _list(document: Document, *path: str | int) -> list[Any]:
    section = document.section(*path)
    return section if isinstance(section, list) else []


# --- names -----------------------------------------------------------------------------------


def _names_given_twice(document: Document, key: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, name in named(document, key):
        if name in first:
            line = document.line((key, first[name], "name"))
            message = (
                f"the name `{name}` is taken by line {line}: decisions name rules, give another"
            )
            yield document.problem((key, index, "name"), message)
        first.setdefault(name, index)


# --- rules -----------------------------------------------------------------------------------

_ALWAYS: Final = "true"
_NO_DEFAULT: Final[Mapping[str, str]] = {
    "routing": "no rule is for everything else: end with one that has no `when`, such as "
    "{name: everything else, team: …}",
    "service_levels": "what matches none of these gets no deadline: end with one that has no "
    "`when`, such as {name: the rest, calendar: …, first_response: 4h}",
}


def _no_default(document: Document, key: str) -> Iterator[Problem]:
    """Routing must end with a rule for everything else. A service level may be promised to some
    only, which is worth a warning."""
    conditions = [_condition_of(rule) for rule in _list(document, key)]
    if conditions and _ALWAYS not in conditions:
        path = (key, len(conditions) - 1)
        yield document.problem(path, _NO_DEFAULT[key], warning=key != "routing")


def _rules_without_use(document: Document, key: str) -> Iterator[Problem]:
    """What cannot be read counts as a condition that is like no other."""
    conditions = [
        _condition_of(rule) or f"unreadable_{index}"
        for index, rule in enumerate(_list(document, key))
    ]
    for found in unreached(conditions):
        hiding = [conditions[at] for at in found.hidden_by[:1]]
        same, always = conditions[found.index] in hiding, any(map(_is_always, hiding))
        lines = [document.line((key, at)) for at in found.hidden_by]
        message = _without_use(lines, same=same, always=always)
        yield document.problem((key, found.index), message)


def _without_use(lines: list[int], *, same: bool, always: bool) -> str:
    if not lines:
        return "is never reached: its condition contradicts itself"
    if always:
        return f"is never reached: the rule on line {lines[0]} is for everything; put it last"
    if same:
        return f"is never reached: the rule on line {lines[0]} has the same condition"
    if len(lines) == 1:
        return (
            f"is never reached: the rule on line {lines[0]} matches whenever this one does; "
            "put this one first"
        )
    numbers = f"{', '.join(map(str, lines[:-1]))} and {lines[-1]}"
    return (
        f"is never reached: the rules on lines {numbers} match whenever this one does; "
        "put this one first"
    )


def _is_always(condition: str) -> bool:
    return frozenset() in alternatives(condition)


def _condition_of(rule: Any) -> str:
    """A rule's condition in its pieces, without comments; empty for what cannot be read."""
    if not isinstance(rule, dict):
        return ""
    condition = rule.get("when")
    if condition is None or condition is True:
        return _ALWAYS
    if not isinstance(condition, str):
        return ""
    return " ".join(token.text for token in tokens_of(condition))


# --- teams -----------------------------------------------------------------------------------


def _fallback_loops(document: Document) -> Iterator[Problem]:
    """Told once a loop, at its team that comes first in the file."""
    told: set[str] = set()
    for team in mapping(document, "teams"):
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


# --- skills ----------------------------------------------------------------------------------


def _unknown_skills(document: Document) -> Iterator[Problem]:
    """Each place that asks for a skill is told of once, though several targets share it."""
    told: dict[Path, Problem] = {}
    for index, _ in enumerate(_list(document, "routing")):
        for team, path in _asked(document, index):
            for at, skill in enumerate(_list(document, *path)):
                problem = _unknown_skill(document, team, (*path, at), skill)
                if problem is not None:
                    told.setdefault((*path, at), problem)
    yield from told.values()


def _asked(document: Document, index: int) -> Iterator[tuple[str, Path]]:
    """The team of each target of a rule, and where the skills stand that are asked of it."""
    rule: Path = ("routing", index)
    team = document.section(*rule, "team")
    targets = _list(document, *rule, "targets")
    if not targets:
        yield str(team), (*rule, "skills")
    for number, target in enumerate(targets):
        if isinstance(target, dict):
            own = "skills" in target
            path = (*rule, "targets", number, "skills") if own else (*rule, "skills")
            yield str(target.get("team", team)), path


def _unknown_skill(document: Document, team: str, path: Path, skill: object) -> Problem | None:
    if not isinstance(document.section("teams", team), dict) or not isinstance(skill, str):
        return None
    listed = [each for each in _list(document, "teams", team, "skills") if isinstance(each, str)]
    if skill in listed:
        return None
    if not listed:
        message = f"team `{team}` lists no skills: list `{skill}` in teams.{team}.skills"
        return document.problem(path, message, warning=True)
    return document.problem(
        path, f"unknown skill `{skill}` of team `{team}`: {nearest(skill, listed)}"
    )
