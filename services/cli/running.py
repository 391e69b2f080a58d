"""Running a command's coroutine, and turning what goes wrong into one line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from services.cli.client import fail
from shared.embedded.errors import EmbeddedError
from shared.errors import Misconfigured, Refused, RegieError
from shared.settings import Settings, read_settings

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Its result; an error that a person can mend becomes a line and exit status 1."""
    try:
        return asyncio.run(work)
    except Refused as error:
        fail(error.detail)
    except (RegieError, EmbeddedError, OSError) as error:
        fail(str(error))


def settings_of(data_dir: Path | None = None) -> Settings:
    """The environment's settings, with the data directory of the command line."""
    try:
        return read_settings(os.environ, data_dir=data_dir)
    except Misconfigured as error:
        fail(str(error))
