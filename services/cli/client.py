"""HTTP to REGIE_URL with REGIE_KEY; a problem document becomes one line and exit status 1."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    import httpx

DataDir = Annotated[Path | None, typer.Option(help="Default: REGIE_DATA_DIR, or .regie.")]

# Into a pipe or a file, lines are as long as they are.
console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 240)
errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def base_url() -> str:
    return os.environ.get("REGIE_URL", "http://127.0.0.1:8080").rstrip("/")


def call(method: str, path: str, **request: Any) -> httpx.Response:
    """The answer, whose status is below 400 or among `accepted`; any other ends the command."""
    headers = _headers() | request.pop("headers", {})
    accepted = request.pop("accepted", ())
    with _client(timeout=30) as client:
        answer = client.request(method, path, headers=headers, **request)
    if answer.status_code >= 400 and answer.status_code not in accepted:
        fail(_words(answer))
    return answer


@contextmanager
def stream(method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
    """As `call`, but the answer is read within the block, as it comes."""
    headers = _headers() | request.pop("headers", {})
    accepted = request.pop("accepted", ())
    with (
        _client(timeout=120) as client,
        client.stream(method, path, headers=headers, **request) as answer,
    ):
        if answer.status_code >= 400:
            answer.read()
            if answer.status_code not in accepted:
                fail(_words(answer))
        yield answer


def _headers() -> dict[str, str]:
    key = os.environ.get("REGIE_KEY") or os.environ.get("REGIE_ADMIN_KEY", "")
    return {"Authorization": f"Bearer {key}"} if key else {}


@contextmanager
def _client(timeout: float) -> Iterator[httpx.Client]:
    """What goes wrong on the way ends the command, in words."""
    import httpx

    url = base_url()
    try:
        # trust_env off: a proxy of the environment has no business with our key.
        with httpx.Client(base_url=url, timeout=timeout, trust_env=False) as client:
            yield client
    except httpx.InvalidURL:
        fail(f"REGIE_URL is {url!r}: it should be like http://127.0.0.1:8080")
    except httpx.HTTPError as error:
        fail(
            f"no Regie answers at {url} ({type(error).__name__}): start one with `regie serve`, "
            "or set REGIE_URL"
        )


def get(path: str, **query: Any) -> Any:
    """The JSON at a path; empty parameters are left out."""
    return call("GET", path, params={name: value for name, value in query.items() if value}).json()


def fail(words: str, status: int = 1) -> NoReturn:
    errors.print(f"regie: {words}", style="red", markup=False)
    raise typer.Exit(status)


def _words(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        words = f"{problem['detail']} ({answer.status_code} {problem['name']})"
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url.path} answers {answer.status_code}: is REGIE_URL a Regie?"
    if answer.status_code == 401:
        words += "; set REGIE_KEY to it"
    return words
