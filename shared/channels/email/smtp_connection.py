"""A connection to the mail server in an account's `outbound`: its TLS and its login."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiosmtplib

from shared.accounts import Account
from shared.channels.email.access import access_tokens
from shared.channels.email.addresses import domain_of, own_address
from shared.errors import SendError


def client_for(account: Account, limit: float) -> aiosmtplib.SMTP:
    """Not connected yet; `limit` in seconds for each step. Raises SendError for settings that
    cannot be."""
    outbound = _outbound(account)
    if not outbound.get("host"):
        raise SendError(
            "misconfigured",
            f"account {account.name} has no `outbound: {{host, port}}`: add the mail server "
            "that its replies leave by to the channels file",
        )
    tls = bool(outbound.get("tls"))
    try:
        return aiosmtplib.SMTP(
            hostname=str(outbound["host"]),
            port=int(outbound["port"]) if outbound.get("port") else None,
            local_hostname=_ascii(domain_of(own_address(account))),
            use_tls=tls,
            # Unset: used where the server offers it. True: never without.
            start_tls=None if tls else outbound.get("starttls"),
            tls_context=_trusting(str(outbound.get("ca_file", ""))),
            timeout=limit,
        )
    except (ValueError, OSError) as error:
        raise SendError("misconfigured", f"account {account.name}: outbound: {error}") from error


async def greet(client: aiosmtplib.SMTP) -> None:
    """Connected, encrypted where that is wanted, and told what the server can do."""
    await client.connect()
    if client.is_ehlo_or_helo_needed:
        with suppress(aiosmtplib.SMTPHeloError):  # then MAIL tries HELO
            await client.ehlo()


async def log_in(client: aiosmtplib.SMTP, account: Account) -> None:
    """By access token (XOAUTH2) where there is one, else by password (CRAM-MD5, PLAIN, LOGIN), if
    the account has a username. Of several secrets each is tried: one may be the new one."""
    outbound = _outbound(account)
    name = str(outbound.get("username", ""))
    if not name:
        return
    try:
        tokens = access_tokens(account, "outbound")
    except (OSError, ValueError) as error:
        reason = f"account {account.name}: access_token_file cannot be read: {error}"
        raise SendError("token", reason, again=True) from error
    passwords = account.secrets("outbound.password") or (str(outbound.get("password", "")),)
    refusal: aiosmtplib.SMTPAuthenticationError | None = None
    for secret in tokens or passwords:
        try:
            await (client.auth_xoauth2 if tokens else client.login)(name, secret)
        except aiosmtplib.SMTPAuthenticationError as error:
            refusal = error
        except aiosmtplib.SMTPResponseException:
            raise
        except aiosmtplib.SMTPServerDisconnected as error:
            raise refusal or error from error
        except aiosmtplib.SMTPException as error:
            raise SendError("token", f"{outbound['host']}: {error}", again=True) from error
        else:
            return
    if refusal is not None:
        raise refusal


def untrusted(error: BaseException) -> str | None:
    """What to do where the server's certificate was not trusted; None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the mail server's certificate is not trusted ({cause.verify_message}): use the "
                "name that stands in it, or name its authority in `ca_file`"
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _outbound(account: Account) -> Mapping[str, Any]:
    outbound = account.settings.get("outbound")
    return outbound if isinstance(outbound, Mapping) else {}


def _trusting(ca_file: str) -> ssl.SSLContext:
    changed = Path(ca_file).stat().st_mtime_ns if ca_file else 0
    return _context(ca_file, changed)


@lru_cache(maxsize=16)
def _context(ca_file: str, changed: int) -> ssl.SSLContext:
    # Reading all authorities takes a tenth of a second, and each mail has a connection of its own.
    return ssl.create_default_context(cafile=ca_file or None)


def _ascii(domain: str) -> str:
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return "localhost"
