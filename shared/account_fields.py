"""Which fields an account has, by channel and provider, and how each is read.

The table ACCOUNT_FIELDS is the format of the channels file. A provider of a later adapter has its
row here already, so that a file naming it says which fields are wrong rather than that it is
unknown. A reader gets the value with its `${VAR}` filled in, and raises ValueError that says what
would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from shared.durations import Duration
from shared.events import Channel, Scheme

_SIZES: Final = {"": 1, "B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


class Secret(str):
    """A piece of text that does not show itself in a representation or a trace."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. With `fields` it is a mapping of those; with `each` a mapping of such mappings."""

    read: Callable[[Any], Any]
    required: bool = False
    secret: bool = False
    fields: Mapping[str, Field] = field(default_factory=dict)
    each: bool = False


Fields = Mapping[str, Field]


# --- readers ---------------------------------------------------------------------------------


def read_text(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'`{value}` must be text: put it in quotes, "{value}"')
    raise ValueError("is empty: give it some text" if not value else "must be text")


def read_secrets(value: Any) -> tuple[Secret, ...]:
    """One, or a list of which all are accepted and the first is used to sign."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("is empty: give a secret, or a list of them")
    try:
        return tuple(Secret(read_text(each)) for each in listed)
    except ValueError:
        raise ValueError("a secret must be text and not empty: ${VAR}, or in quotes") from None


def read_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError(f"`{value}` is neither: write true or false")


def read_size(value: Any) -> int:
    """`25MB` in bytes."""
    match = re.fullmatch(r"(\d{1,12}) ?(|[kKMG]?B)", str(value), re.ASCII)
    if match is None or isinstance(value, bool):
        raise ValueError(f"`{value}` is no size: write 25MB")
    return int(match[1]) * _SIZES[match[2].upper()]


def read_port(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,5}", str(value), re.ASCII):
        raise ValueError(f"`{value}` is no port: write a number such as 25")
    if not 0 <= int(value) <= 65_535:
        raise ValueError(f"`{value}` is no port: it is at most 65535")
    return int(value)


def read_listen(value: Any) -> str:
    host, colon, port = read_text(value).rpartition(":")
    if not colon or not host:
        raise ValueError(f"`{value}` is no address to listen on: write 127.0.0.1:2526")
    read_port(port)
    return f"{host}:{port}"


def read_url(value: Any) -> str:
    parts = urlsplit(read_text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"`{value}` is no address: write https://host")
    return parts.geturl()


def read_mail_address(value: Any) -> str:
    text = read_text(value)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError(f"`{text}` is no mail address: write support@example.org")
    return text


def read_domain(value: Any) -> str:
    text = read_text(value).lower()
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", text, re.ASCII):
        raise ValueError(f"`{text}` is no domain: write mg.example.org")
    return text


def read_mailgun_region(value: Any) -> str:
    if value not in ("us", "eu"):
        raise ValueError(f"`{value}` is no region of Mailgun: write us or eu")
    return str(value)


def read_aws_region(value: Any) -> str:
    text = read_text(value)
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", text, re.ASCII):
        raise ValueError(f"`{text}` is no region of AWS: write eu-west-1")
    return text


def read_topics(value: Any) -> tuple[str, ...]:
    """One topic of Amazon SNS, or several."""
    found = read_text_or_texts(value)
    for each in found:
        if not re.fullmatch(
            r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]+", each, re.ASCII
        ):
            raise ValueError(f"`{each}` is no topic: write arn:aws:sns:eu-west-1:123456789012:mail")
    return found


def read_number(value: Any) -> str:
    """A telephone number with its country, `+31880000000`."""
    if isinstance(value, int):
        raise ValueError(f'a number must be in quotes: "+{value}"')
    digits = re.sub(r"[\s().-]", "", read_text(value))
    if not re.fullmatch(r"\+[1-9]\d{4,14}", digits, re.ASCII):
        raise ValueError(f'`{value}` is no number with its country: write "+31880000000"')
    return digits


def read_sender(value: Any) -> str:
    """What text messages come from: a number, a short code, or a name."""
    text = read_text(value)
    return read_number(text) if text.startswith("+") else text


def read_duration(value: Any) -> str:
    Duration.parse(value).timedelta()
    return str(value)


def read_texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f'must be a list: write ["{value}"]')
    return tuple(read_text(each) for each in value)


def read_start(value: Any) -> str:
    """What of a mailbox is taken at the first connection."""
    if value not in ("unseen", "all", "new"):
        raise ValueError(f"`{value}` is none of these: write unseen, all or new")
    return str(value)


def read_text_or_texts(value: Any) -> tuple[str, ...]:
    return read_texts(value if isinstance(value, list) else [value])


def read_count(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
        raise ValueError(f"`{value}` is no count: write a whole number such as 20")
    return int(value)


def read_rate(value: Any) -> str:
    """`30/1m`: so many in so long."""
    count, slash, span = str(value).partition("/")
    if not slash or not re.fullmatch(r"[1-9]\d{0,8}", count, re.ASCII):
        raise ValueError(f"`{value}` is no rate: write 30/1m")
    if not Duration.parse(span).timedelta():
        raise ValueError(f"`{value}` is no rate: its time is zero")
    return str(value)


def read_pace(value: Any) -> str:
    """`20/1s`, or `1/6s/45`: so many in so long, 45 at once and a silence as long as they earned.

    Whether it can be kept to is counted over a day at most.
    """
    written = str(value)
    rate, burst = written, "1"
    if written.count("/") == 2:
        rate, _, burst = written.rpartition("/")
    if not re.fullmatch(r"[1-9]\d{0,3}", burst, re.ASCII):
        raise ValueError(f"`{written}` is no rate: write 20/1s, or 1/6s/45 for 45 at once")
    count, _, span = read_rate(rate).partition("/")
    whole = Duration.parse(span).timedelta() * max(int(burst) / int(count), 1)
    if whole > timedelta(days=1):
        raise ValueError(f"`{written}` is too slow to be counted: give a rate within a day")
    return written


def read_origin(value: Any) -> str:
    """A web page's origin as a browser writes it: scheme, host, and the port where it has one."""
    text = read_text(value).lower()
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"`{value}` is no origin: write https://www.example.org")
    if text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(f"`{value}` is more than an origin: write {parts.scheme}://{parts.netloc}")
    return text.removesuffix(":443" if parts.scheme == "https" else ":80")


def read_origins(value: Any) -> tuple[str, ...]:
    return tuple(read_origin(each) for each in (value if isinstance(value, list) else [value]))


def _read_mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must hold `key: value` pairs")
    return value


# --- the table -------------------------------------------------------------------------------


def _a(read: Callable[[Any], Any]) -> Field:
    return Field(read)


def _needed(read: Callable[[Any], Any]) -> Field:
    return Field(read, required=True, secret=read is read_secrets)


_TEXT, _FLAG, _DURATION = _a(read_text), _a(read_flag), _a(read_duration)
_SECRET: Final = Field(read_secrets, secret=True)

_OUTBOUND: Final = Field(
    _read_mapping,
    fields={
        "host": _needed(read_text),
        "port": _a(read_port),
        "starttls": _FLAG,
        "tls": _FLAG,
        "username": _TEXT,
        "password": _SECRET,
        "access_token": _SECRET,
        "access_token_file": _TEXT,
        "ca_file": _TEXT,
    },
)
_VOICE: Final = Field(
    _read_mapping,
    fields={
        "dial": _a(read_texts),
        "timeout": _DURATION,
        "voicemail": _FLAG,
        "greeting": _TEXT,
        "language": _TEXT,
        "transcribe": _FLAG,
        "shortest_voicemail": _DURATION,
        "longest_voicemail": _DURATION,
        "code": _FLAG,
        "callback": _FLAG,
    },
)
_RATE: Final = Field(_read_mapping, fields={"account": _a(read_pace), "recipient": _a(read_pace)})
_TEMPLATES: Final = Field(
    _read_mapping, each=True, fields={"name": _needed(read_text), "language": _TEXT}
)

_MAIL: Final = {
    "rate": _RATE,
    "address": _needed(read_mail_address),
    "display_name": _TEXT,
    "outbound": _OUTBOUND,
    "max_size": _a(read_size),
    "plus_addressing": _FLAG,
    "bounce_addressing": _FLAG,
    "subject_tag": _FLAG,
    "reply_secret": _SECRET,
    "trusted_authserv": _a(read_text_or_texts),
    "api_base": _a(read_url),
}
_META: Final = {
    "rate": _RATE,
    "app_secret": _needed(read_secrets),
    "verify_token": _needed(read_secrets),
    "access_token": _SECRET,
    "api_base": _a(read_url),
    "graph_version": _TEXT,
}
_DIRECT: Final = {"app_id": _TEXT, "human_agent": _FLAG}
_TWILIO: Final = {
    "auth_token": _needed(read_secrets),
    "public_url": _needed(read_url),
    "account_sid": _TEXT,
    "api_base": _a(read_url),
}
_VONAGE: Final = {
    "signature_secret": _needed(read_secrets),
    "application_id": _TEXT,
    "api_key": _TEXT,
    "api_secret": _SECRET,
    "private_key": _SECRET,
    "public_url": _a(read_url),
    "api_base": _a(read_url),
}
_TELNYX: Final = {
    "public_key": _needed(read_text_or_texts),
    "api_key": _SECRET,
    "public_url": _a(read_url),
    "api_base": _a(read_url),
}
_GENERIC: Final = {
    "secret": _SECRET,
    "region": _TEXT,
    "address": _TEXT,
    "language": _TEXT,
    "origins": _a(read_text_or_texts),
    "resume_url": _a(read_url),
}
_CHAT: Final = {
    "origins": _a(read_origins),
    "session_lifetime": _DURATION,
    "follow_up_from": _TEXT,
    "follow_up_after": _DURATION,
    "max_text": _a(read_count),
    "max_size": _a(read_size),
    "proxies": _a(read_count),
    "limits": Field(
        _read_mapping,
        fields={
            "session": _a(read_rate),
            "address": _a(read_rate),
            "account": _a(read_rate),
            "sessions": _a(read_rate),
            "streams": _a(read_count),
        },
    ),
}
_LINE: Final = {"number": _needed(read_number), "voice": _VOICE}
_TEXTS: Final = {
    "number": _needed(read_sender),
    "messaging_service": _TEXT,
    "rate": _RATE,
}

ACCOUNT_FIELDS: Final[Mapping[Channel, Mapping[str, Fields]]] = {
    "email": {
        "mailgun": _MAIL
        | {
            "signing_key": _needed(read_secrets),
            "api_key": _SECRET,
            "domain": _a(read_domain),
            "region": _a(read_mailgun_region),
        },
        "smtp": _MAIL | {"listen": _needed(read_listen), "protocol": _TEXT},
        "sendgrid": _MAIL
        | {
            "public_key": _a(read_text_or_texts),
            "username": _TEXT,
            "password": _SECRET,
            "api_key": _SECRET,
        },
        "postmark": _MAIL
        | {
            "username": _TEXT,
            "password": _needed(read_secrets),
            "server_token": _SECRET,
            "message_stream": _TEXT,
        },
        "ses": _MAIL
        | {
            "topic_arn": _needed(read_topics),
            "region": _a(read_aws_region),
            "access_key_id": _TEXT,
            "secret_access_key": _SECRET,
            "configuration_set": _TEXT,
        },
        "imap": _MAIL
        | {
            "host": _needed(read_text),
            "port": _a(read_port),
            "tls": _FLAG,
            "username": _needed(read_text),
            "password": _SECRET,
            "access_token": _SECRET,
            "access_token_file": _TEXT,
            "folder": _TEXT,
            "every": _DURATION,
            "starttls": _FLAG,
            "ca_file": _TEXT,
            "start": _a(read_start),
            "move_to": _TEXT,
        },
    },
    "whatsapp": {
        "meta": _META
        | {
            "phone_number_id": _needed(read_text),
            "number": _a(read_number),
            "business_account_id": _TEXT,
            "templates": _TEMPLATES,
        },
        "twilio": _TWILIO
        | {"number": _needed(read_number), "templates": _TEMPLATES, "rate": _RATE},
    },
    "phone": {
        "twilio": _TWILIO | _LINE,
        "vonage": _VONAGE | _LINE | {"public_url": _needed(read_url)},
        "telnyx": _TELNYX | _LINE | {"public_url": _needed(read_url)},
        "cti": _LINE | {"secret": _needed(read_secrets), "public_url": _a(read_url)},
    },
    "sms": {"twilio": _TWILIO | _TEXTS, "vonage": _VONAGE | _TEXTS, "telnyx": _TELNYX | _TEXTS},
    "messenger": {"meta": _META | _DIRECT | {"page_id": _needed(read_text)}},
    "instagram": {"meta": _META | _DIRECT | {"account_id": _needed(read_text), "page_id": _TEXT}},
    "x": {
        "x": {
            "user_id": _needed(read_text),
            "rate": _RATE,
            "app_id": _TEXT,
            "consumer_secret": _needed(read_secrets),
            "consumer_key": _TEXT,
            "access_token": _SECRET,
            "access_token_secret": _SECRET,
            "api_base": _a(read_url),
        }
    },
    "teams": {
        "microsoft": {
            "app_id": _needed(read_text),
            "rate": _RATE,
            "tenant_id": _TEXT,
            "app_password": _SECRET,
            "service_url": _a(read_url),
            "api_base": _a(read_url),
        }
    },
    "portal": {"generic": _GENERIC},
    "webchat": {"generic": _GENERIC | _CHAT},
    "counter": {"generic": _GENERIC},
    "internal": {"generic": _GENERIC},
}

# Of these one is needed, for a reason.
ONE_OF: Final[Mapping[tuple[Channel, str], tuple[tuple[str, ...], str]]] = {
    ("email", "sendgrid"): (
        ("public_key", "password"),
        "without them nobody could tell SendGrid's posts from a stranger's",
    ),
}

# Nobody stands between us and these: `provider` may be left out.
WITHOUT_PROVIDER: Final[frozenset[Channel]] = frozenset(("counter", "internal"))

# By which field customers know an account, and in which scheme.
OWN_ADDRESS: Final[Mapping[Channel, tuple[str, Scheme]]] = {
    "email": ("address", "email"),
    "whatsapp": ("number", "e164"),
    "phone": ("number", "e164"),
    "sms": ("number", "e164"),
    "messenger": ("page_id", "psid"),
    "instagram": ("account_id", "igsid"),
    "x": ("user_id", "x"),
    "teams": ("app_id", "teams"),
}
