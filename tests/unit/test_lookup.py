"""What an agent types to find somebody."""

from __future__ import annotations

import pytest

from services.router.lookup import Lookup, identity, read
from shared.errors import Invalid


def names(found: Lookup) -> set[str]:
    return {str(each) for each in found.identities}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("jo@Example.org", {"email:jo@example.org"}),
        ("+31612345678", {"e164:+31612345678"}),
        (" 31612345678", {"e164:+31612345678"}),
        ("0031612345678", {"e164:+31612345678", "customer_no:0031612345678",
                           "employee_no:0031612345678"}),
        ("0612345678", {"e164:+31612345678", "e164:+49612345678", "customer_no:0612345678",
                        "employee_no:0612345678"}),
        ("1001", {"customer_no:1001", "employee_no:1001"}),
        ("e164:0612345678", {"e164:+31612345678"}),
        ("bsuid:NL.ENT.77x", {"bsuid:NL.ENT.77x"}),
    ],
)  # fmt: skip
def test_a_value_shows_its_scheme(typed: str, expected: set[str]) -> None:
    regions = ("NL",) if typed.startswith("e164") else ("NL", "DE")
    assert names(read(typed, regions)) == expected


def test_a_code_is_found_by_letters_and_by_digits() -> None:
    assert read("R-7K4Q-2M9X").codes == ("R-7K4Q-2M9X",)
    assert read("r 7k4q 2m9x").codes == ("R-7K4Q-2M9X",)
    assert read("123 456 789").codes == ("123456789",)
    assert read("1001").codes == ()


def test_a_national_number_without_a_region_says_what_is_missing() -> None:
    assert "country" in read("0612345678").hint
    assert read("0612345678", ("NL",)).hint == ""
    assert read("1001").hint == ""


@pytest.mark.parametrize(
    "typed", ["", "  ", "phone:1", "e164:12", "email:jo", "customer_no:", "+12", "x" * 400, "a\x00"]
)
def test_what_can_be_no_identity_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        read(typed)


def test_an_identity_by_hand_names_its_scheme() -> None:
    assert str(identity("email:JO@example.org")) == "email:jo@example.org"
    with pytest.raises(Invalid, match="scheme:value"):
        identity("jo@example.org")
