"""The policy's own words: of notices to our people, and of what customers read. Checked whole.

templates:
  reminder:
    nl: {subject: "{metric} {left}", text: "Zaak {case} van {team}: {due}. {link}"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, model_validator

from services.router.rules.section import Section
from services.router.rules.values import Language
from shared.notices import CUSTOMERS, KINDS, LIMITS, PLACES
from shared.notices.builtin import LANGUAGES
from shared.notices.filling import fill, problem_in
from shared.notices.samples import SAMPLES
from shared.yamlfile import Document, Path, Problem

if TYPE_CHECKING:
    from services.router.policy_terms import PolicyTerms

Words = Annotated[str, Field(min_length=1, max_length=10_000)]


class Template(Section):
    """Words with placeholders. What is left out is as it is without a template."""

    subject: Words | None = None
    text: Words | None = None

    @model_validator(mode="after")
    def _some_words(self) -> Template:
        if self.subject is None and self.text is None:
            raise ValueError('has no words: give {subject: "…", text: "…"}, or one of them')
        return self


ByLanguage = Mapping[Language, Template]


class Templates(Section):
    """By kind, then by language."""

    reminder: ByLanguage = Field(default_factory=dict)
    escalation: ByLanguage = Field(default_factory=dict)
    breach: ByLanguage = Field(default_factory=dict)
    handoff: ByLanguage = Field(default_factory=dict)
    promise: ByLanguage = Field(default_factory=dict)
    promise_broken: ByLanguage = Field(default_factory=dict)
    unreached: ByLanguage = Field(default_factory=dict)
    frozen: ByLanguage = Field(default_factory=dict)
    digest: ByLanguage = Field(default_factory=dict)
    invitation: ByLanguage = Field(default_factory=dict)
    apology: ByLanguage = Field(default_factory=dict)
    survey: ByLanguage = Field(default_factory=dict)

    def find(self, kind: str, language: str) -> Template | None:
        """For `nl-BE` its own, else that for `nl`; None: the built-in words."""
        written: ByLanguage = getattr(self, kind)
        return written.get(language) or written.get(language.partition("-")[0])


# Without the code nobody could come along, and without the scale nobody could answer.
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "invitation": ("how",),
    "survey": ("question", "low", "high"),
}
_WITHOUT_SUBJECT: Final[Mapping[str, str]] = {"invitation": "it has that of the case"}


def template_problems(policy: PolicyTerms, document: Document) -> Iterator[Problem]:
    """Placeholders, braces, lengths, and languages that nobody has words in."""
    for kind, places in {**PLACES, **CUSTOMERS}.items():
        for language, template in getattr(policy.templates, kind).items():
            path = ("templates", kind, language)
            for part, words in (("subject", template.subject), ("text", template.text)):
                if words is not None and (why := _problem(policy, kind, part, words, places)):
                    yield document.problem((*path, part), why)
    yield from _unspoken(policy, document)


def _problem(policy: PolicyTerms, kind: str, part: str, words: str, places: tuple[str, ...]) -> str:
    if part == "subject" and kind in _WITHOUT_SUBJECT:
        return f"takes no subject: {_WITHOUT_SUBJECT[kind]}"
    needed = _NEEDED.get(kind, ()) if part == "text" else ()
    wrong = problem_in(words, places, needed)
    return wrong or (_too_long(policy, kind, part, words) if kind in KINDS else "")


def _too_long(policy: PolicyTerms, kind: str, part: str, words: str) -> str:
    """For a target the policy names, with what is usual filled in."""
    length = len(fill(words, SAMPLES[kind]))
    for target in sorted({entry.kind for _, entry in policy.told} & LIMITS.keys()):
        most = LIMITS[target][part == "text"]
        if length > most:
            return f"takes {length} characters filled in, and {target} shows {most}: shorten it"
    return ""


def _unspoken(policy: PolicyTerms, document: Document) -> Iterator[Problem]:
    """A language without built-in words needs a template for everything that may be told."""
    asked: list[tuple[Path, str]] = [
        ((*path, "language"), entry.language)
        for path, entry in policy.told
        if entry.language is not None
    ]
    if any(entry.kind != "webhook" and entry.language is None for _, entry in policy.told):
        asked.insert(0, (("language",), policy.language))
    for path, language in asked:
        if language.partition("-")[0] in LANGUAGES:
            continue
        found = {kind: policy.templates.find(kind, language) for kind in KINDS}
        lacking = [k for k, own in found.items() if own is None or not (own.subject and own.text)]
        if lacking:
            message = (
                f"there are no words in `{language}`: write templates with subject and text for "
                f"{', '.join(lacking)}, or name one of {', '.join(LANGUAGES)}"
            )
            yield document.problem(path, message)
