"""A condition's source in pieces, for what is read from it before it is tried. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<comment>//[^\n]*)
      | (?P<text>[rRbB]{0,2}(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}
                            |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>\d\w*(?:\.\d\w*)?)
      | (?P<sign>==|!=|<=|>=|&&|\|\||\S)""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of a condition; `kind` is text, name, number or sign."""

    kind: str
    text: str


def tokens_of(source: str) -> list[Token]:
    """Its pieces in order, without comments."""
    found = (Token(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(source))
    return [token for token in found if token.kind != "comment"]


def content(token: Token) -> str:
    """A piece of text without its quotes."""
    return token.text.lstrip("rRbB").strip("\"'") if token.kind == "text" else token.text


def is_variable(tokens: list[Token], at: int) -> bool:
    return tokens[at].kind == "name" and (at == 0 or tokens[at - 1].text != ".")
