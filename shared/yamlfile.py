"""Reads a configuration file, YAML 1.2 or JSON, and remembers on which line everything stood.

    document = read(text, "policy.yaml")
    document.data                                plain dicts, lists, text, numbers, true, false
    document.problem(("teams", "claims"), "…")   a Problem that names file, line and field

Only what YAML 1.2 calls a number or a boolean is one: `on`, `no`, `20:00` and `2026-12-24` are
text, and so is every key. A file is checked whole: all its problems are reported at once.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from shared.errors import Misconfigured

Path = tuple[str | int, ...]

_MOST_CHARACTERS: Final = 1_000_000
_MOST_VALUES: Final = 100_000  # aliases of aliases can say more than memory holds
_DEEPEST: Final = 100  # a parser needs minutes for thousands of opening brackets
_TOO_DEEP: Final = "this is nested too deeply to read"
_SAVE: Final = "save it as UTF-8 (an editor's “Save as … encoding” does it)"
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file. `message` also says what would be right.

    line     1 is the first; 0 when it is nowhere in the file
    field    `service_levels[3].calendar`
    warning  worth telling, but no reason to refuse the file
    """

    file: str
    line: int
    field: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return (
            f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"
        )


class FileError(Misconfigured):
    """A file that cannot be used. `problems` holds all of them, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Document:
    """What a file says, and where; `problems` are those of reading it (a key given twice)."""

    file: str
    data: Any
    lines: Mapping[Path, int]
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a field, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def problem(self, path: Path, message: str, *, warning: bool = False) -> Problem:
        return Problem(self.file, self.line(path), field_name(path), message, warning)

    def section(self, *path: str | int) -> Any:
        """The value at a path, or None where there is nothing such. For checks of whole files."""
        value = self.data
        for part in path:
            if isinstance(value, dict) and isinstance(part, str):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value


def text_of(data: bytes, file: str) -> str:
    """The bytes of a file as text. Raises FileError for what is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        line = 0 if wide else data.count(b"\n", 0, error.start) + 1
        found = "is UTF-16" if wide else f"has a byte that is no UTF-8, 0x{data[error.start]:02x}"
        raise FileError([Problem(file, line, "", f"this {found}: {_SAVE}")]) from None


def read(text: str, file: str) -> Document:
    """Raises FileError when the text is no YAML at all; lesser problems go into the document."""
    reader = _Reader(file)
    text = text.removeprefix("\ufeff")  # what some editors begin every file with
    if refusal := _unreadable(text) or _too_much(text):
        raise FileError([Problem(file, 0, "", refusal)])
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        data = None if root is None else reader.value(root, ())
    except MarkedYAMLError as error:
        raise FileError([_no_yaml(error, file)]) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"this is no YAML: the character U+{error.character:04X} must not stand here"
        raise FileError([Problem(file, line, "", message)]) from error
    except YAMLError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise FileError([Problem(file, 0, "", f"this is no YAML: {first_line}")]) from error
    except RecursionError:
        raise FileError([Problem(file, 0, "", _TOO_DEEP)]) from None
    if not isinstance(data, dict):
        message = "this file is empty" if data is None else "the file must hold `key: value` pairs"
        raise FileError([Problem(file, 1, "", message)])
    return Document(file, data, reader.lines, reader.problems)


def _no_yaml(error: MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(file, 0, "", f"this is no YAML: {error.problem}")
    message = f"this is no YAML: column {mark.column + 1}: {error.problem}"
    return Problem(file, mark.line + 1, "", message)


def _unreadable(text: str) -> str:
    """Why it is no text; empty for what is."""
    if "\x00" in text[:1000]:
        return f"this has zero bytes, as UTF-16 read as UTF-8 has: {_SAVE}"
    return ""


def _too_much(text: str) -> str:
    """Why a text is not even looked at; empty for one that can be. Brackets in text count too."""
    if len(text) > _MOST_CHARACTERS:
        return f"this is longer than {_MOST_CHARACTERS} characters"
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = max(depth + (1 if bracket in "[{" else -1), 0)
        if depth > _DEEPEST:
            return _TOO_DEEP
    return ""


def field_name(path: Path) -> str:
    """`("service_levels", 3, "calendar")` as `service_levels[3].calendar`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def nearest(word: object, words: Iterable[str], most: int = 12) -> str:
    """What a wrong word probably was: ``did you mean `claims`?``, else the words there are."""
    known = sorted(set(words))
    close = get_close_matches(str(word), known, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    if not known:
        return "there are none"
    return "there is " + ", ".join(known[:most]) + (" …" if len(known) > most else "")


class _Reader:
    """Turns nodes into plain values, and keeps the line of each."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []

    def value(self, node: Node, path: Path) -> Any:
        self._note(node, path)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _note(self, node: Node, path: Path) -> None:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(self.lines) > _MOST_VALUES:
            raise FileError([Problem(self.file, 0, "", f"more than {_MOST_VALUES} values")])

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._problem(line, path, "a key must be plain text")
                continue
            key = self._storable(_whole_characters(str(key_node.value)), line, path)
            if key in values:
                first = self.lines[(*path, key)]
                self._problem(line, (*path, key), f"given twice; first on line {first}")
                continue
            self.lines[(*path, key)] = line
            values[key] = self.value(value_node, (*path, key))
        return values

    def _scalar(self, node: Node, path: Path) -> Any:
        text = _whole_characters(str(node.value))
        text = self._storable(text, node.start_mark.line + 1, path)
        tag = str(node.tag).removeprefix(_TAG)
        try:
            return _PLAIN[tag](text)
        except (KeyError, ValueError):
            message = f"`{text[:40]}` cannot be read as `{tag}`: leave the tag out, or use quotes"
            self._problem(node.start_mark.line + 1, path, message)
            return text

    def _storable(self, text: str, line: int, path: Path) -> str:
        """Names from a file are written into histories, which no database keeps a NUL in."""
        if "\0" in text:
            self._problem(line, path, "holds a NUL character: leave it out")
        return text

    def _problem(self, line: int, path: Path, message: str) -> None:
        self.problems.append(Problem(self.file, line, field_name(path), message))


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    return int(digits, 0 if digits.lstrip("+-")[:2] in ("0x", "0o", "0b") else 10)


def _fraction(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


# What YAML resolves a plain value to. A date stays text: whoever reads it knows what it means.
_PLAIN: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "timestamp": str,
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _fraction,
}


def _whole_characters(text: str) -> str:
    """JSON writes an emoji as two halves, which YAML reads one by one."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
