"""What can go wrong with the embedded database.

RegieError
└── EmbeddedError            it cannot be made, started or kept; the message says what to do next
    └── DirectoryInUse       another live Regie holds this data directory
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.errors import RegieError

# What PostgreSQL or the system says, and what a person can do about it. The first match counts.
_ADVICE: Final = {
    "No space left on device": "Free some disk space and start again; what was committed is kept.",
    "Disk quota exceeded": "Free some disk space and start again; what was committed is kept.",
    "Cannot allocate memory": "Free some memory and start again; what was committed is kept.",
    "user does not exist": "Run Regie as a user that has a name in /etc/passwd.",
    "Permission denied": "Give the data directory back to the user that runs Regie.",
    "Operation not permitted": "Run Regie as an ordinary user.",
    "Read-only file system": "Choose a --data-dir on a writable disk.",
    "is still in use": "Wait until the programs that still use it have ended, and start again.",
}
_ELSE: Final = "Restore a backup, or set REGIE_DATABASE_URL to a PostgreSQL of your own."


class EmbeddedError(RegieError):
    """The embedded PostgreSQL cannot be made, started or kept."""


class DirectoryInUse(EmbeddedError):
    """Another live Regie holds the data directory; `pid` is its process, None if unknown."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{directory} is in use by a Regie that is running ({holder}). "
            "Stop that one first, or choose another --data-dir."
        )
        self.directory = directory
        self.pid = pid


def advise(said: str) -> str:
    """The next step for a failure that PostgreSQL or the system described as `said`."""
    return next((step for words, step in _ADVICE.items() if words in said), _ELSE)
