"""The catalogue in docs/webhooks.md: `python -m services.notifier.catalogue_page` writes it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from services.notifier.catalogue import CATALOGUE, TEST
from services.notifier.published import ALSO
from shared.events import type_name

BEGIN: Final = "<!-- catalogue: written by services/notifier/catalogue_page.py -->"
END: Final = "<!-- end of the catalogue -->"
PAGE: Final = Path(__file__).parents[2] / "docs" / "webhooks.md"


def table() -> str:
    """One line an event, in the order of the code."""
    lines = ["| type | when | `data` besides |", "| --- | --- | --- |"]
    for kind, told in CATALOGUE.items():
        fields = [each.rpartition(":")[2] for each in (*told.fields, *ALSO.get(kind, ()))]
        names = " ".join(f"`{name}`" for name in fields)
        lines.append(f"| `{type_name(kind.__name__)}` | {told.words} | {names} |")
    lines.append(f"| `{TEST}` | Somebody asked for a test. | `subscription_id` `message` |")
    return "\n".join(lines)


def written(page: str) -> str:
    """The page with the catalogue as it is now. Raises ValueError without its marks."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page lacks the marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
