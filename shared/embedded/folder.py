"""The data directory: what lies where, who may enter, and who holds it.

<directory>/regie.lock          held while a Regie lives; its pid is written in it
<directory>/postgres.log
<directory>/postgres/           0700, of the user that runs PostgreSQL
    data/  password  socket/
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.embedded.account import Account
from shared.embedded.errors import DirectoryInUse, EmbeddedError

if sys.platform != "win32":
    import fcntl

PORT: Final = 5432
_LONGEST_SOCKET: Final = 103  # bytes: macOS takes 103, Linux 107
_PLAIN: Final = re.compile(r"[\w./~+=-]+", re.ASCII)  # others mean something in a list of hosts


class Folder:
    """The places inside one data directory. Making one touches no file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.root = self.directory / "postgres"
        self.data = self.root / "data"
        self.fresh = self.root / "data.new"
        self.password = self.root / "password"
        self.log = self.directory / "postgres.log"

    def prepare(self, account: Account) -> None:
        """Makes the folders that are missing. Raises EmbeddedError if they are someone else's."""
        own_folder(self.root, account)
        own_folder(self.socket, account)
        if self.data.exists():
            own_folder(self.data, account)  # PostgreSQL refuses one that a copy made looser

    @property
    def socket(self) -> Path:
        """The folder of the socket; elsewhere if a client could not name it in this directory.

        The other place has a fixed name, so that a person can find it again.
        """
        near = self.root / "socket"
        longest = len(os.fsencode(near / f".s.PGSQL.{PORT}"))
        if longest <= _LONGEST_SOCKET and _PLAIN.fullmatch(str(near)):
            return near
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return _short_folder() / f"regie-{os.geteuid()}-{name}"

    def leave(self) -> None:
        """Removes the socket's folder if it lies elsewhere; it is made anew at each start."""
        if not self.socket.is_relative_to(self.root):
            with suppress(OSError):
                self.socket.rmdir()

    def new_password(self, account: Account) -> None:
        """Writes a random password for the role `regie`, durably and for its owner's eyes only."""
        self.password.unlink(missing_ok=True)
        with os.fdopen(_create(self.password), "w") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n")
            file.flush()
            if account.switched:
                os.fchown(file.fileno(), account.uid, account.gid)
            os.fsync(file.fileno())

    def read_password(self) -> str:
        if not self.password.exists():
            raise EmbeddedError(f"{self.password} is missing. Bring it back from a backup.")
        return self.password.read_text().strip()

    def hold(self) -> int:
        """Takes the lock; closing the returned descriptor, or our death, lets it go.

        Raises DirectoryInUse.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.directory / "regie.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).strip()
            os.close(lock)
            pid = int(holder) if holder.isdigit() else None
            raise DirectoryInUse(self.directory, pid) from None
        except BaseException:
            os.close(lock)
            raise
        return lock


def own_folder(path: Path, account: Account) -> None:
    """A 0700 folder of the account's own. Raises EmbeddedError if it is anyone else's."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if account.switched and path.lstat().st_uid == 0:
        account.own(path)  # new, or a copy that root restored
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
        raise EmbeddedError(
            f"{path} is not a folder of the user that runs PostgreSQL (uid {account.uid}). "
            "Run Regie as the user that ran it first, or move that folder away."
        )
    path.chmod(0o700)


def _short_folder() -> Path:
    # Root's own TMPDIR may be closed to the user that runs PostgreSQL.
    wanted = Path(tempfile.gettempdir())
    is_long = len(os.fsencode(wanted)) > _LONGEST_SOCKET // 2
    return Path("/tmp") if is_long or os.geteuid() == 0 else wanted  # noqa: S108 - owner is checked


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
