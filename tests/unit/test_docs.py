"""What the documentation names is there: files, functions, links, commands, variables, examples."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from services.__main__ import app
from services.router.policy import Policy
from services.router.trial.examples import run_tests
from shared.settings import Settings
from shared.yamlfile import read

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("docs/**/*.md"), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING"))]
)
MAKE = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))

_FOLDERS = "services|shared|tests|deploy|docs"
_PATH = re.compile(rf"`((?:{_FOLDERS})/[\w./-]*)`")
_FUNCTION = re.compile(rf"`((?:{_FOLDERS})/[\w/]+\.py)`[\s|]+`([A-Za-z_][\w.]*)`")
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[\w-]+)?\)")
_MAKE = re.compile(r"(?:^|`)make (\w+)", re.MULTILINE)
_REGIE = re.compile(r"(?:^|`|bin/)regie ([a-z-]+(?: [a-z-]+)*)", re.MULTILINE)


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_every_path_exists(page: Path) -> None:
    wanted = set(_PATH.findall(page.read_text()))
    assert [path for path in sorted(wanted) if not (ROOT / path).exists()] == []


def test_every_function_stands_in_the_file_named_with_it(page: Path) -> None:
    named = set(_FUNCTION.findall(page.read_text()))
    assert [f"{file} {name}" for file, name in named if name not in _defined_in(file)] == []


def test_the_walk_through_the_code_names_functions() -> None:
    assert len(_FUNCTION.findall((ROOT / "docs/architecture.md").read_text())) > 40


def test_every_link_leads_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_command_can_be_given(page: Path) -> None:
    text = page.read_text()
    assert set(_MAKE.findall(text)) <= MAKE
    for words in _REGIE.findall(text):
        _follow(words.split())


def test_the_table_of_variables_is_whole() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    table = text.partition("## Variables")[2].partition("\n## ")[0]
    rows = [line.partition(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    listed = set(re.findall(r"`REGIE_(\w+)`", " ".join(rows)))
    assert listed == {name.upper() for name in Settings.model_fields} | {"URL", "KEY"}


def test_the_example_policy_passes_its_own_tests() -> None:
    policy = Policy.parse(_policy_examples()[0], "docs/policy.md")
    results = run_tests(policy)
    assert results
    assert [result for result in results if not result.passed] == []
    assert policy.warnings == ()


def test_the_pieces_of_a_policy_fit_the_example() -> None:
    whole, *pieces = (read(text, "docs/policy.md").data for text in _policy_examples())
    assert pieces
    for piece in pieces:
        policy = Policy.parse(json.dumps(whole | {"tests": []} | piece), "docs/policy.md")
        assert policy.warnings == (), piece


def _policy_examples() -> list[str]:
    """The whole one comes first."""
    text = (ROOT / "docs/policy.md").read_text()
    found = re.findall(r"^```yaml\n(.+?)^```", text, re.DOTALL | re.MULTILINE)
    assert [number for number, each in enumerate(found) if each.startswith("name: ")] == [0]
    return found


# --- what there is -----------------------------------------------------------------------------


@cache
def _defined_in(file: str) -> frozenset[str]:
    """The names a module defines, and `Class.method` for what its classes have."""
    path = ROOT / file
    return frozenset(_names(ast.parse(path.read_text()))) if path.exists() else frozenset()


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            functions = ast.FunctionDef | ast.AsyncFunctionDef
            yield from (
                f"{node.name}.{each.name}" for each in node.body if isinstance(each, functions)
            )
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _follow(words: list[str]) -> None:
    """From `regie` on, as far as there are groups; what follows a command are its arguments."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            return
        assert word in command.commands, f"regie {' '.join(words)}"
        command = command.commands[word]
    assert not hasattr(command, "commands"), f"regie {' '.join(words)} is not all of a command"
