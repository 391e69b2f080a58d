"""What the environment says (DESIGN 6). Read once, at start."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from shared.durations import Duration
from shared.errors import Misconfigured


class Settings(BaseModel):
    """The `REGIE_…` variables, with their defaults. Times in seconds, sizes in bytes."""

    model_config = {"frozen": True, "extra": "ignore"}

    database_url: str = Field(default="", repr=False)
    kafka_bootstrap: str = ""
    kafka_security_protocol: str = "PLAINTEXT"
    kafka_sasl_mechanism: str = ""
    kafka_sasl_username: str = ""
    kafka_sasl_password: str = Field(default="", repr=False)
    kafka_ca_file: str = ""
    instance_id: str = ""
    channels_file: str = ""
    policy_file: str = ""
    admin_key: str = Field(default="", repr=False)
    data_dir: Path = Path(".regie")
    blobs: str = ""
    allow_private_targets: str = ""
    public_url: str = ""
    keep_events: Duration = Duration(7, "d")
    log_format: Literal["", "json", "console"] = ""

    @field_validator("admin_key")
    @classmethod
    def _long_enough(cls, value: str) -> str:
        if value and len(value) < 32:
            raise ValueError("needs at least 32 characters: `openssl rand -base64 32` makes one")
        return value

    @field_validator("keep_events")
    @classmethod
    def _some_time(cls, value: Duration) -> Duration:
        if not timedelta(hours=1) <= value.timedelta() <= timedelta(days=90):
            raise ValueError("the feed keeps events for 1h to 90d")
        return value

    @property
    def embedded(self) -> bool:
        """Whether PostgreSQL is ours, in the data directory."""
        return not self.database_url

    @property
    def instance(self) -> str:
        """A name for this process in positions, leases and logs."""
        return self.instance_id or f"{socket.gethostname()}-{os.getpid()}"

    @property
    def blob_folder(self) -> Path:
        return Path(self.blobs) if self.blobs else self.data_dir / "blobs"


def read_settings(env: Mapping[str, str], **given: object) -> Settings:
    """Settings from `REGIE_*`; `given` (command-line options) wins. Raises Misconfigured."""
    values: dict[str, object] = {
        name: env[variable]
        for name in Settings.model_fields
        if (variable := f"REGIE_{name.upper()}") in env
    }
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = (f"REGIE_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise Misconfigured("\n".join(lines)) from error
