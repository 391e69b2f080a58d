"""The alert rules against the code and the runbooks: what they ask for exists, and each has a page.

That they fire when they must, and only then, `tests/integration/test_promtool.py` has promtool say.
"""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import Any

import pytest
import typer.main
from ruamel.yaml import YAML

from services.__main__ import app
from shared.ops import findings
from tests.promql import ROOT, alerts, asked, drawn, faults, metrics, rules

RUNBOOKS = ROOT / "docs/runbooks"
PARTS = (
    "What it means for customers", "Look", "Do", "How it heals by itself", "Whom to call",
)  # fmt: skip
# Their values are words of the code. Others are names that an installation gives, or of HTTP.
WORDS = frozenset({"answer", "cause", "outcome", "reason", "room", "sort", "status", "what"})


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_what_a_rule_asks_for_exists(rule: dict[str, Any]) -> None:
    assert asked(rule["expr"])
    assert list(faults(rule["expr"])) == []


@pytest.mark.parametrize("expression", dict.fromkeys(drawn()), ids=lambda it: it[:60])
def test_what_the_dashboard_draws_exists(expression: str) -> None:
    assert asked(expression)
    assert list(faults(expression)) == []


def test_what_does_not_exist_is_found() -> None:
    assert list(faults("sum by (team) (regie_no_such_thing)")) == [
        "there is no regie_no_such_thing", "nothing here has the label team",
    ]  # fmt: skip
    assert list(faults('regie_ready{service="{ingest}"} == 0')) == [
        "regie_ready has no label service"
    ]
    assert list(faults("max by (job, room) (regie_outbox_pending)")) == [
        "nothing here has the label room"
    ]


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in rules()), *drawn()],
                         ids=lambda it: it[:60])  # fmt: skip
def test_what_a_series_is_chosen_by_is_a_word_of_the_code(expression: str) -> None:
    for series in asked(expression):
        if series.name.startswith("regie_http"):
            continue
        for label, operator, value in series.matched:
            words = value.split("|") if "~" in operator else [value]
            unknown = [word for word in words if word and f'"{word}"' not in _code()]
            assert label not in WORDS or not unknown, f"{series.name}: {label} is never {unknown}"


def test_what_is_about_one_reader_is_no_trouble_of_a_provider() -> None:
    [(_, _, left_out)] = {
        matcher
        for series in asked(alerts()["RegieDeliveriesFailing"]["expr"])
        for matcher in series.matched
    }
    assert set(left_out.split("|")) == {"sent", "throttled", *findings._PERSONAL}


def test_no_alert_stands_on_a_bare_number_of_records() -> None:
    for name, alert in alerts().items():
        for bound in re.findall(r"_(?:messages|pending)\b[^<>=]*[<>]=?\s*(\S+)", alert["expr"]):
            assert bound.strip(")") == "0", name


@pytest.mark.parametrize("name", alerts())
def test_an_alert_waits_and_says_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    alert = alerts()[name]
    assert name.startswith("Regie")
    assert alert["for"]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert set(alert["annotations"]) == {"summary", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    # Whom it hurts.
    hurt = r"[Cc]ustomers?|[Tt]eams?|[Aa]gents?|[Ii]ntegrator|[Rr]epl"
    assert re.search(hurt, alert["annotations"]["summary"])


@pytest.mark.parametrize("name", alerts())
def test_an_alert_is_tried_when_it_must_fire_and_when_it_must_not(name: str) -> None:
    given = [
        bool(case["exp_alerts"])
        for file in sorted((ROOT / "deploy/prometheus/tests").glob("*.yaml"))
        for test in YAML(typ="safe").load(file.read_text(encoding="utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == name
    ]
    assert {True, False} <= set(given)


def test_the_table_of_metrics_is_whole() -> None:
    table = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(regie_\w+)` \| (.*?) \|", table, re.MULTILINE)
    listed = {name: frozenset(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert listed == metrics()


# --- the pages ---------------------------------------------------------------------------------


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"} == set(alerts())


@pytest.mark.parametrize("name", alerts())
def test_a_page_says_it_all(name: str) -> None:
    text = _page(name)
    assert text.startswith(f"# {name}\n")
    parts = re.findall(r"^## (.+)\n\n((?:(?!^## ).+\n|\n)+)", text, re.MULTILINE)
    assert tuple(title for title, _ in parts) == PARTS
    assert all(words.strip() for _, words in parts)
    assert "`regie " in text or "\nregie " in text


def test_the_list_of_pages_is_whole() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \|$", _page("README"), re.MULTILINE)
    assert dict(listed) == {name: each["labels"]["severity"] for name, each in alerts().items()}


@pytest.mark.parametrize("name", [*alerts(), "README"])
def test_every_command_of_a_page_can_be_given_as_it_stands(name: str) -> None:
    text = _page(name)
    written = re.findall(r"^regie .+", text, re.MULTILINE) + re.findall(r"`(regie .+?)`", text)
    for line in written:
        _give(line.replace("<id>", "0190f3a0"))


def _give(line: str) -> None:
    """As the shell would, up to where the command itself begins. Raises what click says of it."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, f"{line} is not all of a command"
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    command.make_context("regie", words)


def _page(name: str) -> str:
    return (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")


@cache
def _code() -> str:
    files = [*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
