"""The channels file: the accounts, each an address of ours on a channel.

    accounts = load_accounts(text, "channels.yaml", os.environ)
    account = accounts.get("desk-whatsapp")
    account.settings["phone_number_id"]     what is no secret, as `account_fields` reads it
    account.secrets("app_secret")           all that are accepted; the first is used to sign

`${VAR}` in any text is read from the environment. Everything wrong is told at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from shared.account_fields import (
    ACCOUNT_FIELDS,
    ONE_OF,
    OWN_ADDRESS,
    WITHOUT_PROVIDER,
    Field,
    Fields,
    Secret,
)
from shared.events import Channel, Scheme
from shared.yamlfile import Document, FileError, Path, nearest, read

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHORTEST: Final = 6
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class AccountsError(FileError):
    """A channels file that cannot be used. `problems` names account, field and line of each."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account. Its name is the last part of its webhook path.

    settings  the fields that are no secrets: text, int, bool, tuples and mappings; durations
              stay text, sizes are bytes
    """

    name: str
    channel: Channel
    provider: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _secrets: Mapping[str, tuple[Secret, ...]] = field(default_factory=dict, repr=False)

    def secrets(self, name: str) -> tuple[str, ...]:
        """All values of a secret field, the one to sign with first; empty where it has none.

        A field inside another is named with a dot: `outbound.password`.
        """
        return self._secrets.get(name, ())

    def hide(self, text: str) -> str:
        """`text`, which others wrote, without any secret of this account. One so short that it
        may be a word is no secret."""
        for secret in (each for listed in self._secrets.values() for each in listed):
            text = text.replace(secret, "***") if len(secret) >= _SHORTEST else text
        return text

    def own_addresses(self) -> set[tuple[Scheme, str]]:
        """How customers address us here, as (scheme, value): never a customer's identity."""
        if self.channel not in OWN_ADDRESS:
            return set()
        name, scheme = OWN_ADDRESS[self.channel]
        value = str(self.settings.get(name, ""))
        return {(scheme, value.lower() if scheme == "email" else value)} if value else set()


class Accounts:
    """All accounts, in the order of the file."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._by_name = dict(accounts)

    def get(self, name: str) -> Account | None:
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def api_bases(self) -> list[str]:
        """Where the file sends a provider's calls, instead of to the provider."""
        bases = (account.settings.get("api_base") for account in self)
        return [base for base in bases if isinstance(base, str)]

    def channels(self) -> dict[str, Channel]:
        """The channel of each account by name, as the policy's checks want it."""
        return {account.name: account.channel for account in self}


def load_accounts(text: str, filename: str, env: Mapping[str, str]) -> Accounts:
    """Raises AccountsError with every problem in the file."""
    try:
        document = read(text, filename)
    except FileError as error:
        raise AccountsError(error.problems) from error
    loader = _Loader(document, env)
    accounts = loader.accounts()
    if document.problems:
        raise AccountsError(document.problems)
    return Accounts(accounts)


class _Loader:
    """Reads the document field by field; what is wrong goes into the document's problems."""

    def __init__(self, document: Document, env: Mapping[str, str]) -> None:
        self._document = document
        self._env = env

    def accounts(self) -> dict[str, Account]:
        for key in self._document.data:
            if key != "accounts":
                self._wrong((key,), f"unknown key `{key}`: {nearest(key, ['accounts'])}")
        sections = self._document.section("accounts")
        if not isinstance(sections, dict):
            self._wrong(("accounts",), "is missing: it must hold one entry for each account")
            return {}
        loaded = {name: self._account(name, section) for name, section in sections.items()}
        accounts = {name: account for name, account in loaded.items() if account is not None}
        self._check_addresses(accounts)
        return accounts

    def _account(self, name: str, section: Any) -> Account | None:
        path: Path = ("accounts", name)
        if not _NAME.fullmatch(name):
            self._wrong(path, "a name has letters, digits, - _ and . only: it stands in a URL")
        if not isinstance(section, dict):
            self._wrong(path, "must hold `key: value` pairs, channel and provider among them")
            return None
        channel = self._word(section, path, "channel", ACCOUNT_FIELDS)
        if channel is None:
            return None
        if channel in WITHOUT_PROVIDER:
            section = {"provider": "generic", **section}
        provider = self._word(section, path, "provider", ACCOUNT_FIELDS[channel])
        if provider is None:
            return None
        fields = ACCOUNT_FIELDS[channel][provider]
        rest = {key: value for key, value in section.items() if key not in ("channel", "provider")}
        secrets: dict[str, tuple[Secret, ...]] = {}
        settings = self._mapping(rest, path, fields, secrets, "")
        names, reason = ONE_OF.get((channel, provider), ((), ""))
        if names and not any(rest.get(each) for each in names):
            others = " or ".join(names[1:])
            self._wrong((*path, names[0]), f"is missing, and so is {others}: {reason}")
        return Account(name, channel, provider, MappingProxyType(settings), secrets)

    def _word(self, section: dict[str, Any], path: Path, key: str, known: Mapping[Any, Any]) -> Any:
        """One of the known words, or None."""
        word = section.get(key)
        if isinstance(word, str) and word in known:
            return word
        wrong = "is missing" if word is None else f"unknown {key} `{word}`"
        self._wrong((*path, key), f"{wrong}: {nearest(word or '', known, 20)}")
        return None

    # --- fields ----------------------------------------------------------------------------

    def _mapping(
        self,
        given: dict[str, Any],
        path: Path,
        fields: Fields,
        secrets: dict[str, tuple[Secret, ...]],
        prefix: str,
    ) -> dict[str, Any]:
        """The settings among `given`; secrets go into `secrets`, by their dotted names."""
        for name, known in fields.items():
            if known.required and given.get(name) is None:
                self._wrong((*path, name), "is missing")
        settings: dict[str, Any] = {}
        for name, value in given.items():
            if name not in fields:
                right = nearest(name, fields, 20)
                self._wrong((*path, name), f"unknown key `{name}`: {right}")
                continue
            if value is None:
                continue
            read_value = self._field(fields[name], value, (*path, name), secrets, prefix + name)
            if fields[name].secret and read_value is not None:
                secrets[prefix + name] = read_value
                if prefix:  # whoever opens a connection gets its password with the rest
                    settings[name] = read_value[0]
            elif read_value is not None:
                settings[name] = read_value
        return settings

    def _field(
        self,
        known: Field,
        value: Any,
        path: Path,
        secrets: dict[str, tuple[Secret, ...]],
        name: str,
    ) -> Any:
        """The value read, or None when something in it is wrong."""
        filled = self._fill(value, path) if not known.fields else value
        if filled is None:
            return None
        try:
            read_value = known.read(filled)
        except ValueError as error:
            self._wrong(path, str(error))
            return None
        if known.each:
            return {
                key: self._field(
                    Field(known.read, fields=known.fields),
                    each,
                    (*path, key),
                    secrets,
                    f"{name}.{key}",
                )
                for key, each in read_value.items()
            }
        if known.fields:
            return self._mapping(read_value, path, known.fields, secrets, name + ".")
        return read_value

    def _fill(self, value: Any, path: Path) -> Any:
        """The same with every ${VAR} replaced; None when one is missing."""
        if isinstance(value, list):
            filled = [self._fill(each, (*path, index)) for index, each in enumerate(value)]
            return None if any(each is None for each in filled) else filled
        if not isinstance(value, str):
            return value
        missing = [name for name in _VARIABLE.findall(value) if name not in self._env]
        for name in missing:
            self._wrong(path, f"the variable {name} is not set: set it, or write the value here")
        return None if missing else _VARIABLE.sub(lambda match: self._env[match[1]], value)

    def _check_addresses(self, accounts: Mapping[str, Account]) -> None:
        """Two accounts of one channel at the same address: nobody could tell which is meant."""
        first: dict[tuple[str, str, str], str] = {}
        for account in accounts.values():
            for scheme, value in account.own_addresses():
                other = first.setdefault((account.channel, scheme, value), account.name)
                if other != account.name:
                    path = ("accounts", account.name, OWN_ADDRESS[account.channel][0])
                    self._wrong(path, f"`{value}` is the address of `{other}` already")

    def _wrong(self, path: Path, message: str) -> None:
        self._document.problems.append(self._document.problem(path, message))
