"""Bytes under the name of whose they are: what two people sent alike are two blobs.

Channels name bytes by their content, since they know nobody; here the sender is known. What is
erased of one person then takes nothing from another, and no name tells that two people sent the
same (docs/adr/0012). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from shared.blobs import owned
from shared.channels import NewBlob
from shared.events import Attachment, Blob, MessageReceived
from shared.keys import message_key

_BODIES: Final = ("text_blob", "html_blob", "raw_blob")


class Owning:
    """The blobs of one batch. `new` is what to store: each under its owner, and as it came what
    no message names."""

    def __init__(self, given: Mapping[str, bytes]) -> None:
        self._given = given
        self._named: set[str] = set()
        self._new: dict[str, bytes] = {}

    def own(self, message: MessageReceived) -> MessageReceived:
        """The message with its references renamed; one to bytes that did not come along stays."""
        changes: dict[str, object] = {}
        owner = b""
        for name in _BODIES:
            if (blob := getattr(message, name)) is not None and blob.ref in self._given:
                owner = owner or message_key(message)
                changes[name] = self._renamed(blob, owner)
        if any(f.blob is not None and f.blob.ref in self._given for f in message.attachments):
            owner = owner or message_key(message)
            changes["attachments"] = tuple(self._file(f, owner) for f in message.attachments)
        return replace(message, **changes) if changes else message

    @property
    def new(self) -> list[NewBlob]:
        rest = {ref: c for ref, c in self._given.items() if ref not in self._named}
        return [NewBlob(ref, content) for ref, content in (self._new | rest).items()]

    def _file(self, file: Attachment, owner: bytes) -> Attachment:
        if file.blob is None or file.blob.ref not in self._given:
            return file
        return replace(file, blob=self._renamed(file.blob, owner))

    def _renamed(self, blob: Blob, owner: bytes) -> Blob:
        renamed = owned(blob, owner)
        self._named.add(blob.ref)
        self._new[renamed.ref] = self._given[blob.ref]
        return renamed
