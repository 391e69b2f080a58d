"""The message an integrator posts: `POST /v1/messages`, and the generic webhook (DESIGN 6)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    ValidationError,
    model_validator,
)

from shared.errors import Invalid
from shared.events import Kind, Scheme

# Kinds that say enough by themselves; any other needs a text, HTML or a draft.
STAND_ALONE: Final[frozenset[Kind]] = frozenset(
    {"revoke", "call_missed", "voicemail", "call_ended", "callback_requested", "form_abandoned",
     "visit"}
)  # fmt: skip
# Kinds about another message: `thread` names it.
ABOUT_ANOTHER: Final[frozenset[Kind]] = frozenset({"reaction", "edit", "revoke"})
_LARGEST_OBJECT: Final = 128_000  # bytes of JSON: an event has to fit in a log record
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


def _base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be base64 in a text")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error


def _written(value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise ValueError("must be a time as RFC 3339 writes it: 2026-03-01T09:30:00Z")
    return value


def _recent(value: datetime | None) -> datetime | None:
    if value is not None and value < _EARLIEST:
        raise ValueError("lies before the year 2000")
    return value


def _bounded(value: Any) -> Any:
    try:
        written = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("holds a number that JSON cannot write: NaN, or one too large") from None
    if value is not None and len(written) > _LARGEST_OBJECT:
        raise ValueError(f"may take {_LARGEST_OBJECT} bytes: put the rest in an attachment")
    return value


Short = Annotated[str, Field(max_length=200)]
Time = Annotated[AwareDatetime | None, BeforeValidator(_written), AfterValidator(_recent)]
Object = Annotated[dict[str, JsonValue], BeforeValidator(_bounded)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PostedSender(_Strict):
    """Who it is from. Without `scheme`, the address shows it (see `shared.channels.portal`).

    verified  the integrator knows who this is (signed in, shown an identity card): then `proven`
    """

    address: Annotated[str, Field(min_length=1, max_length=320)]
    scheme: Scheme | None = None
    name: Short = ""
    verified: StrictBool = False
    customer_ref: Short = ""


class PostedAttachment(_Strict):
    """A file, in base64."""

    name: Short = ""
    content_type: Short = "application/octet-stream"
    content: Annotated[bytes, BeforeValidator(_base64)]


class PostedMessage(_Strict):
    """One message. `occurred_at` counts only where it is earlier than the receipt.

    id      the integrator's own: the same one again is the same message
    thread  the id of an earlier message this one belongs to
    """

    account: Short
    kind: Kind = "message"
    sender: Annotated[PostedSender, Field(alias="from")]
    subject: Annotated[str, Field(max_length=1000)] = ""
    text: str = ""
    html: str = ""
    language: Annotated[str, Field(pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$")] = ""
    attachments: Annotated[list[PostedAttachment], Field(max_length=50)] = []
    occurred_at: Time = None
    id: Short = ""
    thread: Short = ""
    product: Short = ""
    priority: Literal["", "low", "normal", "high", "urgent"] = ""
    draft: Object | None = None
    attributes: Object = {}

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = self.text.strip() or self.html.strip() or self.draft
        if not said and self.kind not in STAND_ALONE:
            raise ValueError(f"kind {self.kind} needs `text`, `html` or `draft`")
        if self.kind in ABOUT_ANOTHER and not self.thread:
            raise ValueError(f"kind {self.kind} needs `thread`: the id of the message it is about")
        return self


def posted(body: Mapping[str, Any]) -> PostedMessage:
    """`body`, checked. Raises Invalid; its `errors` name each field and what is wrong with it."""
    try:
        return PostedMessage.model_validate(body)
    except ValidationError as error:
        errors = [
            {"field": _field(each["loc"]), "message": _words(each)}
            for each in error.errors(include_url=False, include_input=False)
        ]
    named = "; ".join(f"{each['field']} {each['message']}".strip() for each in errors)
    raise Invalid(f"the message cannot be taken: {named}", errors=errors)


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "message"


def _words(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return f"is not a field here; known are {', '.join(_known(error['loc']))}"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            message: str = error["msg"]
            return f"is wrong: {message[:1].lower()}{message[1:]}"


def _known(location: tuple[int | str, ...]) -> Iterator[str]:
    part: type[BaseModel] = PostedMessage
    if len(location) > 1:
        part = PostedAttachment if location[0] == "attachments" else PostedSender
    return (field.alias or name for name, field in part.model_fields.items())
