"""promtool on what ships: the rules hold in their cases, and everything parses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.promql import ROOT, RULES, drawn

FOLDER = ROOT / "deploy/prometheus"


def test_the_rules_are_well_formed(promtool: str) -> None:
    _run(promtool, "check", "rules", "--lint-fatal", str(RULES))


def test_the_configuration_is_well_formed(promtool: str) -> None:
    # The key lies where Compose puts it, not here.
    _run(promtool, "check", "config", "--syntax-only", str(FOLDER / "prometheus.yml"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.name for file in (FOLDER / "tests").glob("*.yaml")))
def test_each_alert_fires_when_it_must_and_only_then(promtool: str, name: str) -> None:
    _run(promtool, "test", "rules", str(FOLDER / "tests" / name))


def test_what_the_dashboard_draws_is_promql(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"drawn:{number}", "expr": each} for number, each in enumerate(drawn())]
    file = tmp_path / "drawn.yaml"
    file.write_text(json.dumps({"groups": [{"name": "drawn", "rules": rules}]}))
    _run(promtool, "check", "rules", str(file))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
