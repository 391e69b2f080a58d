"""deploy/kustomize: every name in it leads somewhere, and the pods are as Kubernetes wants them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from services.router.policy import Policy
from shared.accounts import load_accounts
from shared.serving.process import BATCH_SECONDS, CLOSE_SECONDS, TASK_SECONDS
from shared.serving.server import GRACE
from shared.settings import Settings
from tests.promql import ROOT
from tests.unit.test_deploy import CONTRACT, ROOMS, operators_paths, own_paths

BASE = ROOT / "deploy/kustomize/base"
EXAMPLE = ROOT / "deploy/kustomize/overlays/example"
FOLDERS = [BASE, EXAMPLE]
SECRET = "regie-secrets"


def _load(file: Path) -> list[Any]:
    return list(YAML(typ="safe").load_all(file.read_text(encoding="utf-8")))


def _kustomization(folder: Path) -> Any:
    [found] = _load(folder / "kustomization.yaml")
    return found


def _things(folder: Path) -> Iterator[Any]:
    files = [name for name in _kustomization(folder)["resources"] if name.endswith(".yaml")]
    return chain.from_iterable(_load(folder / name) for name in files)


def _named(kind: str, name: str) -> Any:
    every = chain(_things(BASE), _things(EXAMPLE))
    [found] = [it for it in every if (it["kind"], it["metadata"]["name"]) == (kind, name)]
    return found


WORKLOADS = [it for it in _things(BASE) if it["kind"] in ("Deployment", "Job")]
workloads = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda it: it["metadata"]["name"])
rooms = pytest.mark.parametrize("room", ROOMS)


# --- what there is -----------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_file_is_missing_and_none_is_left_out(folder: Path) -> None:
    given = _kustomization(folder)
    resources = set(given["resources"])
    files = {name for each in given["configMapGenerator"] for name in each.get("files", ())}
    assert all((folder / name).exists() for name in resources | files)
    there = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert there == {name for name in resources | files if name.endswith(".yaml")}


def test_there_are_three_rooms_a_migration_and_no_more() -> None:
    kinds = sorted((it["kind"], it["metadata"]["name"]) for it in _things(BASE))
    each = [(kind, f"regie-{room}") for room in ROOMS
            for kind in ("Deployment", "PodDisruptionBudget", "Service")]  # fmt: skip
    assert kinds == sorted([*each, ("Job", "regie-migrate")])


@rooms
def test_selectors_choose_the_pods_of_their_room(room: str) -> None:
    deployment = _named("Deployment", f"regie-{room}")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == room
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        _named("Service", f"regie-{room}")["spec"]["selector"],
        _named("PodDisruptionBudget", f"regie-{room}")["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in spread),
    ]
    assert all(selector == labels for selector in selectors)


def test_what_is_changed_by_the_overlay_is_in_the_base() -> None:
    base, overlay = _kustomization(BASE), _kustomization(EXAMPLE)
    made = {each["name"] for each in base["configMapGenerator"]}
    assert {each["name"] for each in overlay["configMapGenerator"]} <= made
    assert {each["name"] for each in overlay["images"]} <= {it["name"] for it in base["images"]}
    for each in overlay["replicas"]:
        _named("Deployment", each["name"])


# --- the pods ----------------------------------------------------------------------------------


@workloads
def test_a_pod_has_no_more_rights_than_it_needs(workload: Any) -> None:
    pod = workload["spec"]["template"]["spec"]
    [container] = pod["containers"]
    security = container["securityContext"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}


@workloads
def test_a_pod_runs_as_the_user_of_the_image(workload: Any) -> None:
    context = workload["spec"]["template"]["spec"]["securityContext"]
    made = re.search(r"useradd --uid (\d+)", (ROOT / "deploy/Dockerfile").read_text())
    assert made is not None
    assert {context["runAsUser"], context["runAsGroup"]} == {int(made[1])}


@workloads
def test_a_pod_says_what_it_needs(workload: Any) -> None:
    resources = workload["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"])
    # A processor limit would throttle what has deadlines.
    assert set(resources["limits"]) == {"memory"}
    assert _mebibytes(resources["limits"]["memory"]) > _mebibytes(resources["requests"]["memory"])


@workloads
def test_all_that_is_mounted_is_there(workload: Any) -> None:
    pod = workload["spec"]["template"]["spec"]
    mounted = {each["name"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounted == {each["name"] for each in pod["volumes"]}
    made = {each["name"] for each in _kustomization(BASE)["configMapGenerator"]}
    assert {each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each} <= made


@workloads
def test_the_environment_comes_from_what_there_is(workload: Any) -> None:
    made = {each["name"] for each in _kustomization(BASE)["configMapGenerator"]}
    for source in workload["spec"]["template"]["spec"]["containers"][0]["envFrom"]:
        [(kind, named)] = source.items()
        assert named["name"] in (made if kind == "configMapRef" else {SECRET})


def test_the_migration_knows_the_secret_alone() -> None:
    """A name that changes with the settings would make it another Job, which cannot be applied."""
    pod = _named("Job", "regie-migrate")["spec"]["template"]["spec"]
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": SECRET}}]
    assert not any("configMap" in volume for volume in pod["volumes"])
    assert pod["containers"][0]["args"] == ["migrate"]


@rooms
def test_probes_ask_what_the_room_answers(room: str) -> None:
    [container] = _named("Deployment", f"regie-{room}")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["serve", room, "--host", "0.0.0.0"]
    paths = operators_paths()
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"].partition("?")[0] in paths
        assert asked["port"] in ports
    # A dependency's outage must not restart anything, and readiness is this room's alone.
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == f"/readyz?service={room}"
    assert {port["targetPort"] for port in _service_ports(room)} <= ports


@rooms
def test_a_pod_gets_the_time_it_takes_to_drain(room: str) -> None:
    pod = _named("Deployment", f"regie-{room}")["spec"]["template"]["spec"]
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    before = int(command[-1])
    drains = max(BATCH_SECONDS, GRACE) + TASK_SECONDS + 2 * CLOSE_SECONDS
    assert pod["terminationGracePeriodSeconds"] >= before + drains


# --- what is in the maps -----------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_settings_are_variables_that_regie_reads_and_no_secrets(folder: Path) -> None:
    for name in _settings(folder):
        assert name.removeprefix("REGIE_").lower() in Settings.model_fields, name
    assert not {"REGIE_DATABASE_URL", "REGIE_ADMIN_KEY"} & set(_settings(folder))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_files_lie_where_the_settings_say_and_can_be_read(folder: Path) -> None:
    settings = _settings(BASE) | _settings(folder)
    [files] = [e["files"] for e in _kustomization(folder)["configMapGenerator"] if "files" in e]
    assert {Path(settings[f"REGIE_{it}_FILE"]).name for it in ("CHANNELS", "POLICY")} == set(files)
    for room in ROOMS:
        pod = _named("Deployment", f"regie-{room}")["spec"]["template"]["spec"]
        mounts = {it["name"]: it["mountPath"] for it in pod["containers"][0]["volumeMounts"]}
        assert mounts["files"] == str(Path(settings["REGIE_POLICY_FILE"]).parent)
        assert mounts["data"] == settings["REGIE_DATA_DIR"]
    given = dict.fromkeys(_offered(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    load_accounts((folder / "channels.yaml").read_text(), "channels.yaml", given)
    assert Policy.parse((folder / "policy.yaml").read_text(), "policy.yaml").warnings == ()


def test_the_example_of_the_secret_has_what_is_asked_for_and_no_value() -> None:
    text = (EXAMPLE / "secrets.env.example").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", (EXAMPLE / "channels.yaml").read_text()))
    assert asked | {"REGIE_DATABASE_URL"} <= _offered()
    for name in _offered():
        known = name.removeprefix("REGIE_").lower() in Settings.model_fields
        assert known or name in asked or name.startswith("AWS_"), name
    assert not re.findall(r"^#?[A-Z_]+=.+", text, re.MULTILINE)


# --- one address -------------------------------------------------------------------------------


@rooms
def test_the_ingress_sends_every_route_to_the_service_that_has_it(room: str) -> None:
    for path in [*own_paths(room), *CONTRACT[room]]:
        assert _sent_to(path) == f"regie-{room}", path


def test_the_ingress_names_ports_that_there_are() -> None:
    for each in _ingress_paths():
        service = each["backend"]["service"]
        ports = _named("Service", service["name"])["spec"]["ports"]
        assert service["port"]["name"] in {port["name"] for port in ports}


def _sent_to(path: str) -> str:
    """As an Ingress chooses: the longest prefix of whole segments."""
    fits = [
        (len(each["path"]), each["backend"]["service"]["name"])
        for each in _ingress_paths()
        if each["pathType"] == "Prefix" and f"{path}/".startswith(each["path"].rstrip("/") + "/")
    ]
    return str(max(fits)[1])


def _ingress_paths() -> list[Any]:
    [rule] = _named("Ingress", "regie")["spec"]["rules"]
    paths: list[Any] = rule["http"]["paths"]
    return paths


def _service_ports(room: str) -> list[Any]:
    ports: list[Any] = _named("Service", f"regie-{room}")["spec"]["ports"]
    return ports


def _settings(folder: Path) -> dict[str, str]:
    made = _kustomization(folder)["configMapGenerator"]
    literals = [line for each in made for line in each.get("literals", ())]
    return {name: value for name, _, value in (line.partition("=") for line in literals)}


def _offered() -> set[str]:
    text = (EXAMPLE / "secrets.env.example").read_text()
    return set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE))


def _mebibytes(quantity: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([GM])i", quantity).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit == "G" else 1)
