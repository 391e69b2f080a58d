"""HTTP as every room speaks it: problems, bounded bodies, cursors, ETags, times in UTC."""

from __future__ import annotations

from shared.web.answers import Json, page, to_json
from shared.web.bodies import read_body
from shared.web.cursors import decode_cursor, encode_cursor
from shared.web.etags import etag, if_match, unchanged
from shared.web.problems import problem

__all__ = [
    "Json",
    "decode_cursor",
    "encode_cursor",
    "etag",
    "if_match",
    "page",
    "problem",
    "read_body",
    "to_json",
    "unchanged",
]
