"""Whether a mail server that the operator trusts vouches for the domain in From.

Source: RFC 8601 (Authentication-Results), RFC 7489 (DMARC). Regie checks no DKIM itself: the
mail server in front of it has seen the connection, and strips forged headers that bear its name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from shared.channels.email.addresses import addresses, domain_of
from shared.channels.email.headers import Headers

_LONGEST: Final = 8192


def is_proven(headers: Headers, trusted: Collection[str]) -> bool:
    """True when the topmost result of a trusted authserv-id has DMARC pass for From's domain.

    Only the topmost counts: what stands below it may have come with the mail. Two From headers,
    or two addresses in one, are never proven.
    """
    domain = _only_domain(headers)
    names = {name.lower() for name in trusted}
    for raw in headers.all("Authentication-Results"):
        server, *results = _statements(raw[:_LONGEST].decode("utf-8", "replace"))
        if (server.split() or [""])[0].lower() in names:
            return bool(domain) and _dmarc_domains(results) == [domain]
    return False


def _only_domain(headers: Headers) -> str:
    found = [each for raw in headers.all("From") for each in addresses(raw)]
    return domain_of(found[0].value) if len(found) == 1 and len(headers.all("From")) == 1 else ""


def _dmarc_domains(results: list[str]) -> list[str]:
    # One entry for each DMARC result: the domain it passed for, or empty where it did not pass.
    out: list[str] = []
    for result in results:
        method, _, outcome = result.partition("=")
        if method.strip().lower().partition("/")[0] != "dmarc":
            continue
        word = (outcome.split() or [""])[0].lower()
        named = re.search(r"\sheader\.from\s*=\s*([^\s;]+)", outcome, re.IGNORECASE)
        out.append(named[1].lower() if named and word == "pass" else "")
    return out


def _statements(value: str) -> list[str]:
    """The parts between semicolons. Comments go, and quoted text too: a server may quote what the
    sender chose, and it must not read as a result."""
    return "".join(_bare(value)).split(";")


def _bare(value: str) -> Iterator[str]:
    depth, quoted, skip = 0, False, False
    for character in value:
        if skip:
            skip = False
        elif character == "\\" and (quoted or depth):
            skip = True
        elif character == '"' and not depth:
            quoted = not quoted
            yield "_"
        elif not quoted and character in "()":
            depth = max(0, depth + (1 if character == "(" else -1))
        elif not quoted and not depth:
            yield character
