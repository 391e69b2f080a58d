"""Who may use the operator's routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from shared.security import Caller, caller

Operator = Annotated[Caller, Depends(caller("operator"))]
