"""Record headers as one `bytea`: MessagePack of `[name, value]` pairs, order and repeats kept."""

from __future__ import annotations

from typing import Final

import msgspec

from shared.broker import Headers

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Headers)


def pack(headers: Headers) -> bytes:
    return _ENCODER.encode(headers)


def unpack(data: bytes) -> Headers:
    """Raises msgspec.DecodeError when `data` did not come from `pack`."""
    return _DECODER.decode(data)
