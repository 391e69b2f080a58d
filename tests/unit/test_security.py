"""Roles, scopes and the shape of a key; what needs the database is tested with one."""

from __future__ import annotations

import hashlib
import re

import pytest

from shared.security import ROLES, Caller, Role, hash_of, new_key


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("integrator", {"integrator"}),
        ("agent", {"agent"}),
        ("supervisor", {"agent", "supervisor"}),
        ("operator", {"operator"}),
        ("admin", {"agent", "supervisor", "operator", "integrator", "admin"}),
    ],
)
def test_what_each_role_includes(role: Role, may: set[Role]) -> None:
    caller = Caller(role, "k1")
    assert {each for each in ROLES if caller.may(each)} == may  # type: ignore[arg-type]


def test_one_of_several_roles_is_enough() -> None:
    assert Caller("operator", "k1").may("agent", "operator")
    assert not Caller("operator", "k1").may("agent", "admin")


@pytest.mark.parametrize(
    ("caller", "writes"),
    [
        (Caller("agent", "k1", agent="jo", teams=frozenset({"parcels"})), {"parcels"}),
        (Caller("supervisor", "k1", teams=frozenset({"claims"})), {"claims"}),
        (Caller("agent", "k1", agent="jo"), {"parcels", "claims"}),
        (Caller("admin", "k1", teams=frozenset({"claims"})), {"parcels", "claims"}),
    ],
)
def test_writing_is_by_team(caller: Caller, writes: set[str]) -> None:
    assert {team for team in ("parcels", "claims") if caller.writes_team(team)} == writes


def test_everybody_reads_every_case_but_a_confidential_teams() -> None:
    privacy = frozenset({"privacy"})
    others = Caller("agent", "k1", agent="jo", teams=frozenset({"parcels"}))
    assert others.sees_team("claims")
    assert not others.sees_team("privacy", confidential=True)
    assert not Caller("agent", "k1", agent="jo").sees_team("privacy", confidential=True)
    assert Caller("agent", "k1", agent="jo", teams=privacy).sees_team("privacy", confidential=True)
    assert Caller("supervisor", "k1").sees_team("privacy", confidential=True)
    assert Caller("admin", "k1").sees_team("privacy", confidential=True)


def test_accounts_scope_an_integrator() -> None:
    scoped = Caller("integrator", "k1", accounts=frozenset({"portal"}))
    assert scoped.uses_account("portal")
    assert not scoped.uses_account("post-room")
    assert Caller("integrator", "k1").uses_account("post-room")


def test_a_key_is_prefixed_random_and_hashed_whole() -> None:
    key_id, key = new_key()
    assert re.fullmatch(r"regie_[0-9a-z]{10}_[0-9A-Za-z]{43}", key)
    assert key.split("_")[1] == key_id
    assert hash_of(key) == hashlib.sha256(key.encode()).digest()
    assert len({new_key()[1] for _ in range(200)}) == 200
