"""Running the rooms as one process: start in order, stop within a bound, end when a part dies."""

from __future__ import annotations

from shared.serving.process import Step, serve
from shared.serving.signals import stop_on_signals
from shared.serving.sockets import address_of, listen

__all__ = ["Step", "address_of", "listen", "serve", "stop_on_signals"]
