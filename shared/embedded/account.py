"""As whom PostgreSQL runs: it refuses to be root."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from shared.embedded.errors import EmbeddedError

if sys.platform != "win32":
    import pwd


@dataclass(frozen=True)
class Account:
    """The user that owns the cluster; `switched` when we are root and it is someone else."""

    uid: int
    gid: int
    switched: bool

    @property
    def user(self) -> int | None:
        """For `Popen(user=…)`; None leaves the user as it is."""
        return self.uid if self.switched else None

    @property
    def group(self) -> int | None:
        return self.gid if self.switched else None

    @property
    def extra_groups(self) -> list[int] | None:
        # Only root may change the list, and must: root's groups are not for this user.
        return [] if self.switched else None

    def own(self, path: Path) -> None:
        """Gives `path` and all below it to this user. A link itself is given, not its end."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder, name), self.uid, self.gid, follow_symlinks=False)


def choose(directory: Path, data: Path) -> Account:
    """Ourselves; as root, the owner of the cluster, else of the directory, else a system user.

    Raises EmbeddedError where root is the only user there is.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switched=False)
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, switched=True)
    # initdb looks its user up by name, so a bare number from the file system will not do.
    users = {entry.pw_uid: entry for entry in reversed(pwd.getpwall()) if entry.pw_uid != 0}
    names = {entry.pw_name: entry for entry in users.values()}
    theirs = users.get(directory.stat().st_uid) if directory.exists() else None
    known = (names[name] for name in ("postgres", "nobody", *names) if name in names)
    chosen = theirs or next(known, None)
    if chosen is None:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and there is no other user here to run it as. "
            "Add a user, run Regie as one, or set REGIE_DATABASE_URL."
        )
    return Account(chosen.pw_uid, chosen.pw_gid, switched=True)
