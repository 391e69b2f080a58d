"""One child process: it ends when we end, and we learn when it does."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from shared.embedded.account import Account
from shared.embedded.errors import EmbeddedError
from shared.embedded.log import Log

_SET_PARENT_DEATH_SIGNAL: Final = 1
_FAST, _IMMEDIATE, _AT_ONCE = 10.0, 5.0, 5.0  # seconds given to each way of ending


class Process:
    """A server or initdb of ours, in a session of its own: Ctrl-C reaches us and not it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        # A thread and not the loop's child watcher: the exit is seen under any loop, and from
        # several of them. It is a daemon, as nothing may keep the interpreter from ending.
        self._ended: Future[int] = Future()
        self._ended.set_running_or_notify_cancel()
        threading.Thread(target=self._watch, name=f"embedded-{self.pid}", daemon=True).start()

    @classmethod
    def spawn(cls, command: Sequence[str], folder: Path, account: Account, log: Log) -> Process:
        """Starts `command` in `folder`.

        Call it on a thread that lives as long as the child should: Linux ends the child with
        the thread that made it.
        """
        keep = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        return cls(
            subprocess.Popen(  # noqa: S603 - our own command
                command,
                cwd=folder,  # entered as ourselves, before the user is switched
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **keep},  # and no secrets
                stdin=subprocess.DEVNULL,
                stdout=log.descriptor,
                stderr=log.descriptor,
                start_new_session=True,
                user=account.user,
                group=account.group,
                extra_groups=account.extra_groups,
                umask=0o077,
                preexec_fn=_tie_to_us(),  # noqa: PLW1509 - it takes no lock
            )
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._ended.done()

    async def wait(self) -> int:
        """The exit status, once it has ended: negative for a signal."""
        return await asyncio.wrap_future(self._ended)

    async def stop(self) -> None:
        """Ends it: fast (sessions are cut, all is written), then immediately, then by force."""
        for number, patience in (
            (signal.SIGINT, _FAST),
            (signal.SIGQUIT, _IMMEDIATE),
            (signal.SIGKILL, _AT_ONCE),
        ):
            if self.running:
                self._process.send_signal(number)
            try:
                await asyncio.wait_for(self.wait(), patience)
                return
            except TimeoutError:
                continue
        raise EmbeddedError(f"process {self.pid} does not end; its disk may hang. Look at it.")

    def _watch(self) -> None:
        self._ended.set_result(self._process.wait())


def _tie_to_us() -> Callable[[], None] | None:
    """Runs in the child, after the user is switched, as that would undo it, and before exec."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    us = os.getpid()

    def tie() -> None:
        prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != us:  # we died before the tie was made
            os._exit(1)

    return tie
