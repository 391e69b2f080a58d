"""The demo's two files, and the secrets and ports they are read with."""

from __future__ import annotations

import atexit
import base64
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SINK_PORT: Final = 9911  # where policy.yaml says that the teams are
SMTP_PORT: Final = 9912


def demo_files() -> tuple[Path, Path, dict[str, str]]:
    """The channels file, the policy file, and the variables to read them with.

    The secrets are new each time. Where another program has the usual ports, others are taken.
    """
    sink, smtp = _port(SINK_PORT), _port(SMTP_PORT)
    made_up = {
        "DEMO_MAILGUN_SIGNING_KEY": f"key-{secrets.token_hex(16)}",
        "DEMO_META_APP_SECRET": secrets.token_hex(16),
        "DEMO_META_VERIFY_TOKEN": secrets.token_urlsafe(16),
        "DEMO_META_ACCESS_TOKEN": f"EAAB{secrets.token_hex(24)}",
        "DEMO_TWILIO_AUTH_TOKEN": secrets.token_hex(16),
        "DEMO_PORTAL_SECRET": f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
        "DEMO_SINK_PORT": str(sink),
        "DEMO_SMTP_PORT": str(smtp),
    }
    return HERE / "channels.yaml", _policy(sink), made_up


def _policy(sink: int) -> Path:
    """A policy names its addresses in full, so another port takes another file. With the usual
    one it stays the same from start to start, and no new version is made."""
    policy = HERE / "policy.yaml"
    if sink == SINK_PORT:
        return policy
    folder = Path(tempfile.mkdtemp(prefix="regie-demo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    moved = folder / policy.name
    moved.write_text(policy.read_text("utf-8").replace(f":{SINK_PORT}/", f":{sink}/"), "utf-8")
    return moved


def _port(usual: int) -> int:
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return usual  # taken, and nothing else to be had: listening there will say so
