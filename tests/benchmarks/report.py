"""What was measured, under which conditions: as a table to read and a file to compare with."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = ("fastapi", "uvicorn", "uvloop", "aiokafka", "asyncpg", "sqlalchemy", "msgspec")


@dataclass(frozen=True)
class Figure:
    """One row: our rate and the yardstick's in each round, taken turn by turn.

    target      the ratio to reach (DESIGN section 10);  least: the one to show for now
    conditions  what this row was measured with
    """

    work: str
    engine: str
    ours: Sequence[float]
    bare: Sequence[float]
    target: float
    least: float
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The median of the rounds' own ratios: a noisy neighbour slows both halves of a round."""
        return statistics.median(a / b for a, b in zip(self.ours, self.bare, strict=True))

    @property
    def verdict(self) -> str:
        if self.ratio >= self.target:
            return "reached"
        return "enough for now" if self.ratio >= self.least else "TOO LOW"

    def cells(self) -> list[str]:
        return [
            self.work,
            self.engine,
            f"{statistics.median(self.ours):,.0f}",
            f"{statistics.median(self.bare):,.0f}",
            f"{self.ratio:.2f}",
            f"{self.target:.2f} ({self.least:.2f})",
            self.verdict,
        ]


HEADINGS: Final = (
    "work", "engine", "Regie, messages/s", "bare, messages/s", "ratio", "target (least)", "",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """The conditions that hold for all rows."""
    return {
        "cores": os.cpu_count(),
        "load average at start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in PACKAGES},
    }


def progress(figure: Figure) -> str:
    """A line as soon as it is known."""
    return f"{figure.work}, {figure.engine}: {figure.ratio:.2f} of the bare one ({figure.verdict})"


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table, aligned for the terminal as well."""
    rows = [list(HEADINGS), *(figure.cells() for figure in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = [_line(row, widths) for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def conditions(figures: Sequence[Figure], around: Mapping[str, Any]) -> str:
    lines = ["Conditions: " + ", ".join(f"{name} {value}" for name, value in around.items())]
    for figure in figures:
        words = ", ".join(f"{name} {value}" for name, value in figure.conditions.items())
        lines.append(f"- {figure.work}, {figure.engine}: {words}")
    return "\n".join(lines)


def write(path: Path, figures: Sequence[Figure], around: Mapping[str, Any]) -> None:
    rows = [{**asdict(f), "ratio": round(f.ratio, 3), "verdict": f.verdict} for f in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"conditions": around, "figures": rows}, indent=2) + "\n")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"
