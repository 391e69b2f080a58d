"""What the operator's files name: these addresses may be private (DESIGN 6, "Outgoing calls")."""

from __future__ import annotations

from pathlib import Path

from shared import yamlfile
from shared.errors import Misconfigured
from shared.named_targets import urls_in


def urls_in_policy(file: str) -> list[tuple[str, str]]:
    """(kind, URL) of all that the policy file loaded at start notifies at, each once; none without
    a file.

    Raises Misconfigured when it cannot be read.
    """
    if not file:
        return []
    try:
        source = Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"REGIE_POLICY_FILE: {file} cannot be read: {error}") from error
    found = urls_in(yamlfile.read(source, file).data)
    return list(dict.fromkeys((str(path[-1]), url) for path, url in found))
