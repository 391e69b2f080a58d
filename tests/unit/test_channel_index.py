"""The table of docs/channels/README.md is that of CHANNELS; its pages say what they have to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.account_fields import ACCOUNT_FIELDS
from shared.channels import ChannelRow, FileLimits, Provider, Rate
from shared.channels.table import CHANNELS

FOLDER = Path(__file__).parents[2] / "docs/channels"
HEAD = "| channel | provider | in | out | files out | its files | rate | window | doctor | page |"
# Where a page is not named after its channel.
PAGES = {("whatsapp", "twilio"): "whatsapp-twilio.md"}
# Ways that lead past a webhook and an adapter.
IN = {("email", "imap"): "mailbox", ("email", "smtp"): "listener", ("webchat", "generic"): "chat"}
OUT = {("webchat", "generic"): "chat"}


def page_of(channel: str, provider: str) -> str:
    own = f"email-{provider}.md" if channel == "email" else f"{channel}.md"
    return PAGES.get((channel, provider), own)


def rows() -> Iterator[str]:
    for row in CHANNELS.values():
        for name, provider in row.providers.items():
            yield _row(row, name, provider)


def _row(row: ChannelRow, name: str, provider: Provider) -> str:
    key, page = (row.name, name), page_of(row.name, name)
    cells = (
        row.name,
        name,
        IN.get(key) or ("webhook" if provider.inbound else "–"),
        OUT.get(key) or ("yes" if provider.outbound else "–"),
        _files(provider.files),
        "fetched" if provider.media else "–",
        _rates(provider.per_account, provider.per_recipient),
        f"{row.reply_window.total_seconds() / 3600:g} h" if row.reply_window else "–",
        "asks" if provider.health else "–",
        f"[{page}]({page})",
    )
    return f"| {' | '.join(cells)} |"


def _files(files: FileLimits | None) -> str:
    if files is None:
        return "–"
    total = f", {_size(files.total)} in all" if files.total else ""
    return f"{files.most} of {_size(files.size)}{total}{', by link' if files.links else ''}"


def _size(size: int) -> str:
    if size % 1_048_576 == 0:
        return f"{size // 1_048_576} MiB"
    return f"{size / 1e6:g} MB" if size >= 1_000_000 else f"{size / 1e3:g} kB"


def _rates(account: Rate | None, person: Rate | None) -> str:
    told = [_rate(account)] if account else []
    told += [f"{_rate(person)} to one person"] if person else []
    return "; ".join(told) or "–"


def _rate(rate: Rate) -> str:
    return f"{rate.count} in {rate.seconds:g} s{f' after {rate.burst}' if rate.burst else ''}"


def test_the_table_of_channels_is_that_of_the_code() -> None:
    lines = (FOLDER / "README.md").read_text().splitlines()
    start = lines.index(HEAD)
    shown = lines[start + 2 : lines.index("", start)]
    assert shown == list(rows())


def test_every_account_that_can_be_written_has_a_row() -> None:
    known = {(row.name, name) for row in CHANNELS.values() for name in row.providers}
    assert known == {(c, p) for c, providers in ACCOUNT_FIELDS.items() for p in providers}


PROVIDERS = [(row.name, name) for row in CHANNELS.values() for name in row.providers]


@pytest.mark.parametrize(
    ("channel", "provider"), PROVIDERS, ids=["-".join(each) for each in PROVIDERS]
)
def test_a_page_says_what_whoever_connects_needs(channel: str, provider: str) -> None:
    text = (FOLDER / page_of(channel, provider)).read_text()
    assert re.search(rf"channel: {channel}\b", text), "the account, in YAML"
    assert re.search(rf"provider: {provider}\b", text) or provider == "generic"
    if CHANNELS[channel].providers[provider].inbound is not None:  # type: ignore[index]
        assert re.search(r"https://.*(/webhooks/|/v1/chat/)", text), "the address to paste"
    assert re.search(r"[Tt]ry it|curl -s", text), "how to try it"
    assert "`regie doctor" in text, "what the doctor shows"
    assert re.search(r"(?i)live\W{1,4}nothing|nothing (live )?yet|nothing was checked", text), (
        "what was checked against a live provider"
    )
