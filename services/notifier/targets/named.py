"""What the operator's files name: these addresses may be private (DESIGN 6, "Outgoing calls")."""

from __future__ import annotations

from pathlib import Path

from shared import yamlfile
from shared.errors import Misconfigured
from shared.named_targets import webhooks_in


def webhooks_in_policy(file: str) -> list[str]:
    """The webhooks of the policy file loaded at start, each once; none without a file.

    Raises Misconfigured when it cannot be read.
    """
    if not file:
        return []
    try:
        source = Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"REGIE_POLICY_FILE: {file} cannot be read: {error}") from error
    return list(dict.fromkeys(url for _, url in webhooks_in(yamlfile.read(source, file).data)))
