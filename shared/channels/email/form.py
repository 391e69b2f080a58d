"""A posted form, urlencoded or multipart, as bytes: a raw mail in it must stay as it came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from shared.channels import WebhookRequest
from shared.channels.email.charsets import decode
from shared.channels.email.headers import parameters

_MOST_FIELDS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Field:
    """One field or file of a form. `name` and `file_name` decoded, `content` as it came.

    parameters  of its Content-Type: a calendar's `method`, a text's `charset`
    """

    name: str
    content: bytes
    file_name: str = ""
    content_type: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    fields: tuple[Field, ...]

    def content(self, name: str) -> bytes | None:
        """The first field of this name; None where there is none."""
        return next((field.content for field in self.fields if field.name == name), None)

    def text(self, name: str) -> str:
        return decode(self.content(name) or b"", "utf-8").text

    def has(self, name: str) -> bool:
        return self.content(name) is not None

    @property
    def files(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.file_name or field.content_type)


def read_form(request: WebhookRequest) -> Form:
    """The form in a request. Raises ValueError for a body that is none."""
    kind, given = parameters(request.headers.get("content-type", "").encode())
    if kind == "multipart/form-data":
        return Form(_multipart(request.body, given.get("boundary", "")))
    if kind == "application/x-www-form-urlencoded":
        return Form(tuple(_urlencoded(request.body)))
    raise ValueError("the request holds no form: send it urlencoded or as multipart/form-data")


def read_parts(request: WebhookRequest) -> Form:
    """What can be read of a form that may be cut off, or be none. Raises nothing."""
    kind, given = parameters(request.headers.get("content-type", "").encode("utf-8", "replace"))
    boundary = given.get("boundary", "") if kind == "multipart/form-data" else ""
    parts = _Parts()
    try:
        if not boundary:
            return Form(tuple(_urlencoded(request.body)))
        _read_into(parts, request.body, boundary)
    except ValueError:
        pass
    return Form(tuple(parts.fields))


def _urlencoded(body: bytes) -> Iterator[Field]:
    if body.count(b"&") > _MOST_FIELDS:
        raise ValueError(f"the form has more than {_MOST_FIELDS} fields")
    for pair in body.split(b"&"):
        if pair:
            name, _, value = pair.replace(b"+", b" ").partition(b"=")
            yield Field(decode(unquote_to_bytes(name), "utf-8").text, unquote_to_bytes(value))


def _multipart(body: bytes, boundary: str) -> tuple[Field, ...]:
    if not boundary:
        raise ValueError("the form names no boundary")
    parts = _Parts()
    _read_into(parts, body, boundary)
    if not parts.finished:
        raise ValueError("the form is cut off before its last boundary")
    return tuple(parts.fields)


def _read_into(parts: _Parts, body: bytes, boundary: str) -> None:
    if b"\r\n" not in body:  # a post that was saved as text and sent again
        body = body.replace(b"\n", b"\r\n")
    try:
        parser = MultipartParser(
            boundary.encode("latin-1"),
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": parts.finish,
            },
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, UnicodeError) as error:
        raise ValueError(f"the form cannot be read: {error}") from error


class _Parts:
    """What the multipart parser has reported so far."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.finished = False
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._pieces: list[bytes] = []

    def begin(self) -> None:
        if len(self.fields) >= _MOST_FIELDS:
            raise ValueError(f"the form has more than {_MOST_FIELDS} fields")
        self._headers, self._pieces = {}, []

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def end(self) -> None:
        _, given = parameters(self._headers.get(b"content-disposition", b""))
        kind, of_kind = parameters(self._headers.get(b"content-type", b""))
        content = b"".join(self._pieces)
        self.fields.append(
            Field(given.get("name", ""), content, given.get("filename", ""), kind, of_kind)
        )

    def finish(self) -> None:
        self.finished = True
