"""What a PromQL expression asks for, held against the metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from shared.telemetry import METRICS

ROOT: Final = Path(__file__).parents[1]
RULES: Final = ROOT / "deploy/prometheus/alerts.yaml"
DASHBOARD: Final = ROOT / "deploy/grafana/dashboards/regie.json"

for _room in ("ingest", "router", "notifier"):
    import_module(f"services.{_room}.service")  # which makes its metrics
import_module("shared.ops")

_OUTSIDE: Final = frozenset({"job", "instance"})  # Prometheus' own, of every series
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SERIES: Final = re.compile(r"(?<![\w:])(regie[\w:]*|up|ALERTS)(?![\w:(])\s*(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*<(\d+)>")
_GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Asked:
    """A series of an expression, with the labels and values that it is chosen by."""

    name: str
    matched: tuple[tuple[str, str, str], ...]  # label, operator, value


def asked(expression: str) -> list[Asked]:
    bare, strings = _without_strings(expression)
    return [
        Asked(
            name, tuple((n, op, strings[int(i)]) for n, op, i in _MATCHER.findall(matchers or ""))
        )
        for name, matchers in _SERIES.findall(bare)
    ]


def faults(expression: str) -> Iterator[str]:
    """Series, labels and groupings that do not exist."""
    given: set[str] = set(_OUTSIDE)
    for series in asked(expression):
        labels = labels_of(series.name)
        if labels is None:
            yield f"there is no {series.name}"
            continue
        given |= labels
        yield from (f"{series.name} has no label {n}" for n, _, _ in series.matched
                    if n not in labels | _OUTSIDE)  # fmt: skip
    bare, _ = _without_strings(expression)
    for names in _GROUPING.findall(bare):
        for name in filter(None, map(str.strip, names.split(","))):
            if name not in given:
                yield f"nothing here has the label {name}"


@cache
def labels_of(name: str) -> frozenset[str] | None:
    """None where no code makes the series, and no rule records it."""
    if name == "up":
        return _OUTSIDE
    if name == "ALERTS":
        return frozenset({"alertname", "alertstate"})
    if ":" in name:
        return _recorded().get(name)
    metric: Any = METRICS._names_to_collectors.get(name)
    if metric is None:
        return None
    own = frozenset(metric._labelnames)
    return own | {"le"} if name.endswith("_bucket") else own


def metrics() -> dict[str, frozenset[str]]:
    """All that the code makes, by the name it is made with, and their labels."""
    made: dict[Any, list[str]] = METRICS._collector_to_names
    return {
        metric._name + ("_total" if metric._type == "counter" else ""): frozenset(
            metric._labelnames
        )
        for metric in made
    }


def rules() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def drawn() -> list[str]:
    """The dashboard's expressions, with its variables as Grafana would fill them in."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    given = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    given += [each["expr"] for each in board["annotations"]["list"]]
    return [each.replace("$__rate_interval", "5m").replace("$job", "regie") for each in given]


@cache
def _recorded() -> dict[str, frozenset[str]]:
    """What a recording rule groups by is what its series has."""
    found = {}
    for rule in rules():
        if "record" in rule:
            grouping = re.match(r"\w+ by \(([^)]*)\)", rule["expr"].strip())
            assert grouping, f"{rule['record']} says what it groups by"
            found[rule["record"]] = frozenset(map(str.strip, grouping[1].split(",")))
    return found


def _without_strings(expression: str) -> tuple[str, list[str]]:
    """Each string becomes its number, as braces and words may stand in it."""
    strings: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        strings.append(found[1])
        return f"<{len(strings) - 1}>"

    return _STRING.sub(put_aside, expression), strings
