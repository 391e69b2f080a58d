"""The Grafana dashboard and its provisioning: whole, laid out, and with the way to the runbooks."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.promql import DASHBOARD, ROOT, alerts

BOARD = json.loads(DASHBOARD.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]


def test_it_is_what_grafana_reads() -> None:
    assert BOARD["uid"] == "regie"
    assert BOARD["schemaVersion"] >= 39
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert PANELS[0]["type"] == "row"


def test_no_panel_lies_on_another() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= 24 and at["h"] > 0 for at in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart, (one, other)


@pytest.mark.parametrize("panel", DRAWN, ids=lambda panel: panel["title"])
def test_a_panel_asks_the_prometheus_that_was_chosen(panel: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["datasource"] == chosen
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        assert target["datasource"] == chosen
        assert 'job="$job"' in target["expr"]


def test_its_variables_are_there() -> None:
    given = {each["name"] for each in BOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text(encoding="utf-8")))
    assert used - given == {"__rate_interval"}


def test_every_runbook_is_named_by_a_panel_that_shows_its_matter() -> None:
    named = {
        page
        for panel in DRAWN
        for page in re.findall(r"docs/runbooks/(\w+)\.md", panel["description"])
    }
    assert named == set(alerts())


def test_provisioning_finds_the_dashboard_and_prometheus() -> None:
    services = _yaml("docker-compose.yml")["services"]
    [provider] = _yaml("deploy/grafana/provisioning/dashboards/regie.yaml")["providers"]
    [source] = _yaml("deploy/grafana/provisioning/datasources/regie.yaml")["datasources"]
    mounts = [each.split(":")[:2] for each in services["grafana"]["volumes"]]
    folders = {inside: outside for outside, inside in mounts}
    assert folders[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    assert folders["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD.name}"
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services


def _yaml(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))
