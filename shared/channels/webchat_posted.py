"""What a visitor's page posts, and how it is checked. Pure: no exception but Invalid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from shared.channels.email.addresses import is_address
from shared.channels.posted import PostedAttachment
from shared.channels.wire import clean, load
from shared.errors import Invalid, Unreadable

MOST_FILES: Final = 10
_LARGEST_NUMBER: Final = 2**53 - 1  # what every JavaScript number can count to

Short = Annotated[str, Field(max_length=200)]
Mail = Annotated[str, Field(max_length=254)]
Number = Annotated[StrictInt, Field(ge=1, le=_LARGEST_NUMBER)]
Mark = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]


class _Posted(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PostedStart(_Posted):
    """A new session. All of it is the visitor's own word but what `token` proves: a JWT that the
    integrator signed with the account's `secret`."""

    name: Short = ""
    email: Mail = ""
    language: Annotated[str, Field(pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$")] = ""
    page: Annotated[str, Field(max_length=2000)] = ""
    token: Annotated[str, Field(max_length=8000)] = ""


class PostedContact(_Posted):
    """What a visitor says of themselves later; what is left out stays."""

    name: Short | None = None
    email: Mail | None = None


class PostedLine(_Posted):
    """One line. `seq` is the page's own number for it: the same one again is the same line."""

    seq: Number
    text: str = ""
    attachments: Annotated[list[PostedAttachment], Field(max_length=MOST_FILES)] = []


class PostedMark(_Posted):
    """`upto`: the number `n` of the last line that was delivered, or read."""

    upto: Mark


M = TypeVar("M", bound=BaseModel)


def read(body: bytes, model: type[M]) -> M:
    """The posted JSON. Raises Invalid, whose `errors` name the fields."""
    try:
        document = clean(load(body))
    except Unreadable as error:
        raise Invalid(str(error), name="not-json") from error
    if not isinstance(document, Mapping):
        raise Invalid("the body is a JSON object")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = [
            {"field": ".".join(map(str, each["loc"])), "message": _words(each, model)}
            for each in error.errors(include_url=False, include_input=False)
        ]
    named = "; ".join(f"{each['field']} {each['message']}".strip() for each in faults)
    raise Invalid(f"the request cannot be taken: {named}", errors=faults)


def mail_address(given: str) -> str:
    """As it is compared; empty for none. Raises Invalid for what can be no address."""
    address = given.strip().lower()
    if address and not is_address(address):
        fault = {"field": "email", "message": "must be a bare mail address: jo@example.org"}
        raise Invalid("email must be a bare mail address: jo@example.org", errors=[fault])
    return address


def check_words(line: PostedLine, longest: int) -> None:
    """Raises Invalid for a line that says nothing, or too much."""
    if not line.text.strip() and not line.attachments:
        raise Invalid("give some `text`, or a file")
    if len(line.text) > longest:
        fault = {"field": "text", "message": f"may have {longest} characters"}
        raise Invalid(f"text may have {longest} characters: send it in parts", errors=[fault])


def _words(fault: Any, model: type[BaseModel]) -> str:
    match fault["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            part = PostedAttachment if fault["loc"][0] == "attachments" else model
            return f"is not a field here; known are {', '.join(part.model_fields)}"
        case "value_error":
            return str(fault["ctx"]["error"])
        case _:
            said: str = fault["msg"]
            return f"is wrong: {said[:1].lower()}{said[1:]}"
