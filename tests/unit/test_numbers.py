"""Which spellings are one line, and which are nobody's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.numbers import to_e164


@pytest.mark.parametrize(
    ("raw", "region", "number"),
    [
        ("+31612345678", None, "+31612345678"),
        (" +31 6 1234 56-78 ", None, "+31612345678"),
        ("tel:+31612345678", None, "+31612345678"),
        ("+1 (650) 555-1234", None, "+16505551234"),
        ("(+31) 612345678", None, "+31612345678"),
        ("0612345678", "NL", "+31612345678"),
        ("0031612345678", "nl", "+31612345678"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("+31880000000", "US", "+31880000000"),
        ("+15550783881", None, "+15550783881"),  # possible, though in no list of ranges
        ("+5215512345678", None, "+525512345678"),
        ("+525512345678", None, "+525512345678"),
    ],
)
def test_a_line_that_can_be_called(raw: str, region: str | None, number: str) -> None:
    assert to_e164(raw, region) == number


@pytest.mark.parametrize(
    ("raw", "region"),
    [
        ("", None),
        ("anonymous", None),
        ("Restricted", None),
        ("PostNL", "NL"),
        ("+266696687", None),
        ("+7378742833", None),
        ("+2562533", None),
        ("+8656696", None),
        ("+86282452253", None),
        ("86282452253", "CN"),
        ("14020", "NL"),
        ("112", "NL"),
        ("72345", "US"),
        ("5551234", "US"),
        ("31612345678", None),
        ("0612345678", None),
        ("+316", None),
        ("+448000", None),
        ("+3161234567890123", None),
        ("+999123456789", None),
        ("whatsapp:+31612345678", None),
        ("+31612345678;ext=5", None),
        ("+٣١٦١٢٣٤٥٦٧٨", None),
    ],
)
def test_nobody_to_call_back(raw: str, region: str | None) -> None:
    assert to_e164(raw, region) is None


@given(st.text(), st.sampled_from([None, "NL", "US", "zz", ""]))
def test_anything_else_is_nothing_or_e164(raw: str, region: str | None) -> None:
    number = to_e164(raw, region)
    assert number is None or (number[0] == "+" and number[1:].isdigit() and len(number) <= 16)
