"""The names of blobs: made of their content, and of whose they are (docs/adr/0012)."""

from __future__ import annotations

import hashlib
import hmac

from shared.events import Blob


def ref_for(content: bytes, owner: bytes = b"") -> str:
    """The name of these bytes. Equal bytes of one owner share a name, so a repeat writes nothing
    new; those of two owners never do. Without an owner: by content alone."""
    return _named(hashlib.sha256(content).digest(), owner)


def blob_for(content: bytes, owner: bytes = b"") -> Blob:
    """What an event carries instead of the bytes."""
    digest = hashlib.sha256(content)
    return Blob(ref=_named(digest.digest(), owner), size=len(content), sha256=digest.hexdigest())


def owned(blob: Blob, owner: bytes) -> Blob:
    """The same bytes under their owner's name."""
    return Blob(ref=_named(bytes.fromhex(blob.sha256), owner), size=blob.size, sha256=blob.sha256)


def parts_of(ref: str) -> tuple[str, str]:
    """Folder and name. Raises ValueError for what is no reference of ours."""
    folder, _, name = ref.partition("/")
    if not ((folder + name).isascii() and (folder + name).isalnum() and len(folder) == 2 and name):
        raise ValueError(f"{ref!r} is not a blob reference")
    return folder, name


def _named(digest: bytes, owner: bytes) -> str:
    name = (hmac.digest(owner, digest, "sha256") if owner else digest).hex()
    return f"{name[:2]}/{name}"
