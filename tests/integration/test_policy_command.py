"""`regie policy …` against a router that serves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.router.service import service
from tests.builders import EXAMPLE
from tests.command import said
from tests.doors import ADMIN, Door, make_runtime, open_door

TEXT = EXAMPLE.read_text(encoding="utf-8")


@pytest.fixture
async def door(database_url: str, tmp_path: Path) -> AsyncIterator[Door]:
    runtime = make_runtime(database_url, tmp_path)
    settings = runtime.settings.model_copy(update={"policy_file": str(EXAMPLE)})
    room = replace(service(replace(runtime, settings=settings)), subscriptions=(), tasks={})
    async with open_door(runtime, [room]) as door:
        yield door


@pytest.fixture
def env(door: Door) -> dict[str, str]:
    return {"REGIE_URL": str(door.http.base_url), "REGIE_KEY": ADMIN}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "candidate.yaml"
    file.write_text(TEXT.replace("name: tracking,", "name: parcel news,"), "utf-8")
    return file


async def test_a_service_managers_afternoon(env: dict[str, str], file: Path) -> None:
    status, words = await said("policy", "apply", str(file), "--reason", "their words", env=env)
    assert (status, "in force as version 2" in words) == (0, True), words
    status, words = await said("policy", "apply", str(file), "--reason", "again", env=env)
    assert (status, "in force already, as version 2" in words) == (0, True), words
    assert await said("policy", "show", env=env) == (0, file.read_text("utf-8"))
    assert await said("policy", "show", "--version", "1", env=env) == (0, TEXT)
    status, words = await said("policy", "rollback", "1", "--reason", "no, ours", env=env)
    assert (status, "in force as version 3" in words) == (0, True), words
    status, words = await said("policy", "versions", "--json", env=env)
    assert [(item["version"], item["reason"]) for item in json.loads(words)["items"]] == [
        (3, "no, ours"), (2, "their words"), (1, "loaded at start"),
    ]  # fmt: skip
    status, words = await said("policy", "versions", env=env)
    shown = [line.split() for line in words.splitlines()[1:]]
    assert [(row[0], row[1] == "yes", row[-1]) for row in shown] == [
        ("3", True, "ours"), ("2", False, "words"), ("1", False, "start"),
    ]  # fmt: skip


async def test_a_file_that_is_wrong_never_leaves_the_house(file: Path) -> None:
    nobody = {"REGIE_URL": "http://127.0.0.1:9", "REGIE_KEY": ADMIN}
    file.write_text(TEXT.replace("team: parcels,", "team: parcel,"), "utf-8")
    line = next(n for n, each in enumerate(TEXT.splitlines(), 1) if "team: parcels," in each)
    for command in (("check",), ("apply", "--reason", "x")):
        status, words = await said("policy", command[0], str(file), *command[1:], env=nobody)
        assert (status, f"{file}:{line}: routing[2].team" in words) == (1, True), words
        assert "did you mean `parcels`?" in words
    file.write_text(TEXT.replace("expect: {team: claims,", "expect: {team: parcels,"), "utf-8")
    status, words = await said("policy", "apply", str(file), "--reason", "x", env=nobody)
    assert (status, "expected parcels, came claims" in words) == (1, True), words
    file.write_bytes(TEXT.encode("utf-16"))
    status, words = await said("policy", "check", str(file), env=nobody)
    assert (status, "UTF-16" in words) == (1, True), words


async def test_what_only_the_router_knows_is_told_with_the_files_lines(
    door: Door, env: dict[str, str], file: Path
) -> None:
    file.write_text(TEXT.replace("127.0.0.1:9901/claims", "10.0.0.7/claims"), "utf-8")
    line = next(n for n, each in enumerate(TEXT.splitlines(), 1) if ":9901/claims" in each)
    status, words = await said("policy", "apply", str(file), "--reason", "x", env=env)
    assert (status, f"{file}:{line}: teams.claims.notify[0].webhook" in words) == (1, True), words
    assert "nothing was changed" in words
    assert await door.rows("SELECT version FROM policies") == [(1,)]


async def test_a_policy_that_moved_is_not_overwritten(
    door: Door, env: dict[str, str], file: Path
) -> None:
    assert (await said("policy", "apply", str(file), "--reason", "x", env=env))[0] == 0
    file.write_text(TEXT + "# mine\n", "utf-8")
    mine = ("policy", "apply", str(file), "--reason", "y", "--if-version", "1")
    status, words = await said(*mine, env=env)
    assert (status, "is at version 2" in words) == (1, True), words
    assert "regie policy show" in words
    assert await door.rows("SELECT max(version) FROM policies") == [(2,)]
    status, words = await said("policy", "rollback", "7", "--reason", "x", env=env)
    assert (status, "no version 7" in words) == (1, True), words
