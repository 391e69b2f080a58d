"""Every error Regie raises on purpose, and what the one who catches it may do.

RegieError
├── Misconfigured            start-up cannot go on; a person has to change a file or a variable
├── Refused                  the caller's request; becomes an RFC 9457 problem
│   ├── Unauthenticated      401  no key, a wrong key, a wrong signature
│   ├── Forbidden            403
│   ├── NotFound             404
│   ├── Conflict             409
│   ├── Gone                 410
│   ├── PreconditionFailed   412
│   ├── TooLarge             413
│   ├── Invalid              422
│   ├── PreconditionRequired 428
│   └── TooMany              429
├── Unreadable               rightly signed, but we cannot read it: parked, never lost
├── Unavailable              a dependency is away; try again
│   ├── BrokerUnavailable
│   ├── DatabaseUnavailable
│   ├── BlobsUnavailable
│   └── ProviderUnavailable  a provider's own server, which its webhook sends us to
├── Fenced                   a newer owner holds the partition; drop the work and claim again
├── Stuck                    work waits, dependencies answer, nothing moves: the process must end
├── SendError                a provider did not take a message; says whether to try again
└── FetchError               a file that stayed with its provider could not be fetched
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class RegieError(Exception):
    """The root. `retryable` says whether the same call may succeed later, unchanged."""

    retryable: ClassVar[bool] = False


class Misconfigured(RegieError):
    """A file or a variable is wrong. The message names it and says what would be right."""


class Refused(RegieError):
    """A request we will not carry out. Becomes a problem document with `status` and `name`.

    `detail` tells the caller what to do next; `extra` holds further members of the problem;
    `headers` go on the response.
    """

    status: ClassVar[int] = 400
    name: ClassVar[str] = "bad-request"

    def __init__(
        self,
        detail: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problem = name or self.name
        self.headers = dict(headers or {})
        self.extra = extra


class Unauthenticated(Refused):
    status, name = 401, "unauthenticated"


class Forbidden(Refused):
    status, name = 403, "forbidden"


class NotFound(Refused):
    status, name = 404, "not-found"


class Conflict(Refused):
    status, name = 409, "conflict"


class Gone(Refused):
    status, name = 410, "gone"


class PreconditionFailed(Refused):
    status, name = 412, "version-changed"


class TooLarge(Refused):
    status, name = 413, "too-large"


class Invalid(Refused):
    status, name = 422, "invalid"


class PreconditionRequired(Refused):
    status, name = 428, "version-required"


class TooMany(Refused):
    status, name = 429, "too-many-requests"


class Unreadable(RegieError):
    """A rightly signed body, or one item of it, that no parser of ours understands."""


class Unavailable(RegieError):
    """A dependency does not answer. Nothing was accepted; the caller may try again."""

    retryable = True


class BrokerUnavailable(Unavailable):
    """The log could not be written or read within its deadline."""


class DatabaseUnavailable(Unavailable):
    """PostgreSQL could not be reached."""


class BlobsUnavailable(Unavailable):
    """The blob store could not make the bytes durable."""


class ProviderUnavailable(Unavailable):
    """What a provider's webhook needs besides itself (its keys, its file) could not be had now."""


class Fenced(RegieError):
    """Another consumer took this partition over (its epoch is higher)."""


class Stuck(RegieError):
    """A consumer or the relay stands still although nothing hinders it (`shared.progress`)."""


class SendError(RegieError):
    """A provider or target did not take a message.

    code         short and stable: window_closed token throttled rejected …
    again        the same message may be sent again (nothing was delivered)
    doubtful     it may have been delivered: never sent again blindly
    retry_after  seconds the provider asked us to wait
    one_reader   the wait is for messages to this person, not for the whole account
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        again: bool = False,
        doubtful: bool = False,
        retry_after: float | None = None,
        one_reader: bool = False,
    ) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.again = again
        self.doubtful = doubtful
        self.retry_after = retry_after
        self.one_reader = one_reader


class FetchError(RegieError):
    """A file could not be had from its provider.

    code         short and stable: gone token too_large refused unreachable …
    again        it may be there later
    retry_after  seconds the provider asked us to wait
    """

    def __init__(
        self, code: str, reason: str, *, again: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.again = again
        self.retry_after = retry_after
