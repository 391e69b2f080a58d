"""The listening socket: taken before anything else starts, so that a busy port says so at once."""

from __future__ import annotations

import errno
import socket

from shared.errors import Misconfigured


def listen(host: str, port: int) -> socket.socket:
    """Raises Misconfigured, saying what to do, when the address cannot be had. Port 0 is any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise Misconfigured(_words(error, host, port)) from error
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """The base URL under which this machine reaches it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _words(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use by another program: "
            f"stop that one, or choose another with --port"
        )
    if error.errno == errno.EACCES:
        return f"port {port} is for root only here: choose one above 1023 with --port"
    return f"cannot listen on {host} port {port} ({error.strerror}): choose another --host"
