"""Mails that are wrong in one way each (`hard/`): what must be read in them all the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from shared.channels.email.addresses import sender_of
from shared.channels.email.mime import Mail, read_mail
from tests.contracts.channels.hard import Hard, bodies, charsets, headers, structures

TABLES: Final[Mapping[str, Mapping[str, Hard]]] = {
    "charset": charsets.CHARSETS,
    "word": headers.WORDS,
    "author": headers.AUTHORS,
    "block": headers.BLOCKS,
    "encoding": bodies.ENCODINGS,
    "flowed": bodies.FLOWED,
    "html": bodies.HTML,
    "choice": bodies.CHOICES,
    "structure": structures.STRUCTURES,
    "name": structures.NAMES,
    "picture": structures.PICTURES,
    "limit": structures.LIMITS,
}
ALL: Final = {f"{kind}: {name}": row for kind, rows in TABLES.items() for name, row in rows.items()}


@pytest.mark.parametrize("name", ALL)
def test_a_hard_mail(name: str) -> None:
    row, read = ALL[name], read_mail(ALL[name].raw)
    _check_author(read, row)
    assert read.text == row.text
    assert read.headers.text("Subject") == row.subject
    assert [(file.name, file.content_type, file.content) for file in read.files] == list(row.files)
    assert [file.name for file in read.files if file.inline] == list(row.inline)
    assert read.beyond == tuple(row.beyond)
    assert ("charset" in read.repairs) is row.guessed


def _check_author(read: Mail, row: Hard) -> None:
    found = sender_of(read.headers)
    assert (found.value if found else "") == row.sender
    assert (found.name if found else "") == row.name
