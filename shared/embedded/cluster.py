"""The cluster: made once, whole or not at all, and served with settings for a small machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from shared.embedded.account import Account
from shared.embedded.errors import EmbeddedError
from shared.embedded.folder import PORT, Folder, own_folder
from shared.embedded.install import MAJOR, Install
from shared.embedded.log import Log
from shared.embedded.process import Process

ROLE: Final = "regie"

_SETTINGS: Final = {
    # On the command line, so that no file in the directory weakens them.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    # A small machine.
    "shared_buffers": "128MB",
    "max_connections": "100",
    "jit": "off",
    "io_workers": "2",
    "max_logical_replication_workers": "0",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    # The log is for what goes wrong; it holds no statement and no value of a row.
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


async def create(folder: Folder, install: Install, account: Account, log: Log) -> None:
    """Makes the cluster beside its place and moves it there when it is complete.

    So an interrupted first start leaves nothing that looks like data.
    """
    shutil.rmtree(folder.fresh, ignore_errors=True)
    own_folder(folder.fresh, account)
    folder.new_password(account)
    initdb = Process.spawn(_initdb(folder, install), folder.fresh, account, log)
    try:
        status = await initdb.wait()
    except BaseException:
        await initdb.stop()
        raise
    if status:
        shutil.rmtree(folder.fresh, ignore_errors=True)
        raise log.failure(f"initdb could not make a database (exit status {status})")
    folder.fresh.rename(folder.data)
    _sync(folder.root)


def check_version(folder: Folder) -> None:
    """Raises EmbeddedError if `data` is no cluster of the major version we bring."""
    stamp = folder.data / "PG_VERSION"
    if not stamp.exists():
        raise EmbeddedError(f"{folder.data} holds no database. Restore a backup or move it away.")
    found = stamp.read_text().strip()
    if found != MAJOR:
        raise EmbeddedError(
            f"{folder.data} was made by PostgreSQL {found}, and this Regie brings {MAJOR}. "
            f"Dump it with PostgreSQL {found} and restore it into a new --data-dir."
        )


def serve(folder: Folder, install: Install, account: Account, log: Log) -> Process:
    """Starts the server; it does not answer yet."""
    near = folder.socket.is_relative_to(folder.root)
    sockets = "../socket" if near else f'"{folder.socket}"'  # relative for the reason of `_name`
    settings = {**_SETTINGS, "unix_socket_directories": sockets}
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(install.postgres), "-D", _name(folder.data), *flags]
    return Process.spawn(command, folder.data, account, log)


def _initdb(folder: Folder, install: Install) -> list[str]:
    return [
        str(install.initdb),
        f"--pgdata={_name(folder.fresh)}",
        f"--username={ROLE}",
        "--pwfile=../password",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
    ]


def _name(path: Path) -> str:
    """How PostgreSQL is told of `path`, which is its working folder.

    Started by root, its user may not reach the folder by name, say below /root. On Linux this
    link leads there all the same, and nobody's rights need to be loosened.
    """
    return "/proc/self/cwd" if sys.platform == "linux" else str(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
