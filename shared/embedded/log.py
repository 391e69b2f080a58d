"""What PostgreSQL and initdb say, in one file that is cut at each start."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Final

from shared.embedded.account import Account
from shared.embedded.errors import EmbeddedError, advise

_LIMIT: Final = 4_000_000  # bytes; of a longer log the last quarter is kept
_TAIL: Final = 4_000  # bytes that are searched for a cause
_LINES: Final = 8  # lines that are shown


class Log:
    """The open log. It is cut in place, so that its owner stays who it was."""

    def __init__(self, path: Path, account: Account) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self.descriptor = os.open(path, flags, 0o600)
        if account.switched:
            os.fchown(self.descriptor, account.uid, account.gid)
        size = os.fstat(self.descriptor).st_size
        if size > _LIMIT:
            kept = os.pread(self.descriptor, _LIMIT // 4, size - _LIMIT // 4)
            os.ftruncate(self.descriptor, 0)
            os.write(self.descriptor, kept)
        self._start = os.fstat(self.descriptor).st_size

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.descriptor)

    def failure(self, what: str) -> EmbeddedError:
        """An error that tells `what` happened, what was said last, and what to do next."""
        size = os.fstat(self.descriptor).st_size
        start = max(self._start, size - _TAIL)
        said = os.pread(self.descriptor, _TAIL, start).decode(errors="replace").strip()
        last = "\n".join(said.splitlines()[-_LINES:])
        return EmbeddedError(f"{what}.\n{last}\n{advise(said)} The whole log: {self.path}")
