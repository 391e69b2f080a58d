"""One mapping of a policy file, as a class: what every section of it is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from shared.yamlfile import Path


class Within(ValueError):
    """Something wrong further inside a section: the message is told at that place and line."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class Section(BaseModel):
    """One mapping of the file: its keys are the fields, or their aliases, and no others."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )
