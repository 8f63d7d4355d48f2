"""Every error that this package raises on purpose.

::

    CrmError
    ├── ConfigError (ValueError)        connections.yaml or the environment is wrong
    │   ├── SecretMissing               an environment variable with a secret is not set
    │   └── UnknownName                 a name that is not among the known ones
    ├── StoreError                      files, DuckDB or PostgreSQL
    │   ├── DatabaseUnavailable         PostgreSQL cannot be reached
    │   ├── DiskFull                    a file cannot be written for lack of room
    │   ├── CommitConflict              somebody else committed first
    │   ├── CorruptFile                 a file of ours cannot be read
    │   └── UnfitValue                  a value that DuckDB cannot take
    ├── ContractError (ValueError)      a staged table breaks its contract; the current version stays
    ├── CountMismatch                   the vendor's count and ours differ
    ├── TooManyRejects                  more records of a window cannot be read than is allowed
    ├── BudgetExhausted                 our share of the vendor's call budget is spent
    │   └── AllowanceSpent              what a piece of work may cost is spent
    ├── WouldWait                       a permit of the rate limiter is not free, and the caller does not wait
    └── VendorError                     the vendor answered with an error, or not at all
        ├── Retriable                   the same request may succeed later
        │   ├── ConnectionLost (ConnectionError)
        │   ├── Throttled
        │   ├── Unavailable
        │   └── MalformedResponse         a response that is not what the vendor documents
        ├── SessionExpired              log in again once, then retry
        ├── ReadLost                    the vendor no longer has the job or page: start the read again
        ├── Fatal                       no retry will help
        │   ├── AuthFailed (PermissionError)
        │   ├── NotPermitted (PermissionError)
        │   ├── Rejected (ValueError)   the vendor refused the request
        │   │   └── UnknownField        a field was removed between describe and read
        │   ├── JobFailed               an asynchronous job ended badly
        │   └── ProtocolError           a response that the vendor's documentation does not allow
        └── Skippable                   this object cannot be read; the others go on

A text names the thing, what was expected and what to do (`cure`). Texts never carry secrets or
personal data. This module escapes the control characters of quoted text and shortens the vendor's messages.
"""

import difflib
from collections.abc import Iterable
from typing import Any

from crm_pipeline.kernel.text import printable, shortened, vendor_text

_VENDOR_MESSAGE_CHARACTERS = 2_000
_VENDOR_CODE_CHARACTERS = 100


class CrmError(Exception):
    """Base of all errors raised on purpose; `cure` says what to do about it."""

    def __init__(self, message: str, *, cure: str = "") -> None:
        self.message = printable(message)
        self.cure = printable(cure)
        super().__init__(self.message)

    def __str__(self) -> str:
        # A message often ends with the vendor's words, which need not end with a full stop.
        end = "." if self.cure and self.message[-1:].isalnum() else ""
        return f"{self.message}{end} {self.cure}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        # By default pickle rebuilds an exception from its text alone, but most of ours take more
        # arguments. An exception that cannot be rebuilt breaks a whole pool of worker processes.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[CrmError], args: tuple[Any, ...], state: dict[str, Any]) -> CrmError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(CrmError, ValueError):
    """The configuration is wrong; nothing was changed."""


class SecretMissing(ConfigError):
    """An environment variable that should hold a secret is not set.

    Args:
        variable: the one that was asked for.
        others: further variables of the same owner that are not set.
        owner: what needs them.
    """

    def __init__(self, variable: str, *others: str, owner: str) -> None:
        names = " and ".join((variable, *others))
        noun, verb, them = ("variables", "are", "them") if others else ("variable", "is", "it")
        super().__init__(
            f"{owner} needs the environment {noun} {names}, which {verb} not set.",
            cure=f"Export {names} or add {them} to the file .env beside connections.yaml.",
        )
        self.variable = variable


class UnknownName(ConfigError):
    """A name that is not among the known ones; the text lists them and suggests the closest."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        names = sorted(known)
        shown = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
        close = difflib.get_close_matches(name, names, n=1)
        location = f" in {where}" if where else ""
        super().__init__(
            f"unknown {kind} '{name}'{location}; known: {shown or 'none'}.",
            cure=f"Did you mean '{close[0]}'?" if close else "",
        )
        self.name = name


class StoreError(CrmError):
    """An operation on files, DuckDB or PostgreSQL failed."""


class DatabaseUnavailable(StoreError):
    """PostgreSQL cannot be reached or started.

    Attributes:
        on_the_way: an open connection broke during a transaction.
    """

    on_the_way = False


class DiskFull(StoreError):
    """A disk has no room left; the text names it."""


class CommitConflict(StoreError):
    """Somebody else committed a version of the same table first."""


class CorruptFile(StoreError):
    """A file that this package wrote cannot be read back."""


class UnfitValue(StoreError):
    """DuckDB read a value that it cannot convert; the text never quotes the value."""


class ContractError(CrmError, ValueError):
    """A staged table breaks its contract; the current version stays.

    Attributes:
        failures: one `(rule, failing rows, example keys)` per broken rule; never field values.
    """

    def __init__(
        self, message: str, *, failures: Iterable[tuple[str, int, list[str]]] = (), cure: str = ""
    ) -> None:
        super().__init__(message, cure=cure)
        self.failures = list(failures)


class CountMismatch(CrmError):
    """The vendor's count of a window differs from the records landed; the window is not committed."""


class TooManyRejects(CrmError):
    """More records of a window cannot be read than is allowed; the window is not committed."""


class BudgetExhausted(CrmError):
    """Our share of the vendor's call budget is spent.

    Attributes:
        wait_s: the time until some is free again.
        limit: the name of the limit that is spent, where it is known.
    """

    def __init__(self, message: str, *, wait_s: float, cure: str = "", limit: str = "") -> None:
        super().__init__(message, cure=cure)
        self.wait_s = wait_s
        self.limit = limit


class AllowanceSpent(BudgetExhausted):
    """A call would cost more than its caller allowed for a piece of work; it was not made."""


class WouldWait(CrmError):
    """The caller does not wait for the rate limiter, and a permit is not free at once; nothing was sent.

    Attributes:
        wait_s: the time until it may be worth trying again.
        limit: the name of the limit that is short; "" where another thread was quicker.
    """

    def __init__(self, message: str, *, wait_s: float, cure: str = "", limit: str = "") -> None:
        super().__init__(message, cure=cure)
        self.wait_s = wait_s
        self.limit = limit


class VendorError(CrmError):
    """The vendor answered with an error, or did not answer.

    Attributes:
        status: HTTP status, or None where there was no response.
        code: the vendor's own error code, or "".
        was_sent: whether the request may have reached the vendor; False where it certainly did not.
    """

    was_sent = True

    def __init__(
        self, message: str, *, status: int | None = None, code: str = "", cure: str = ""
    ) -> None:
        super().__init__(shortened(message, _VENDOR_MESSAGE_CHARACTERS), cure=cure)
        self.status = status
        self.code = vendor_text(code, _VENDOR_CODE_CHARACTERS)


class Retriable(VendorError):
    """The same request may succeed later.

    Attributes:
        most_attempts: the most tries, where more do not help; None leaves that to the retry policy.
    """

    most_attempts: int | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        cure: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, cure=cure)
        self.retry_after_s = retry_after_s


class ConnectionLost(Retriable, ConnectionError):
    """The connection failed, timed out, or ended before the response was complete."""


class Throttled(Retriable):
    """The vendor asked us to slow down; `retry_after_s` is the vendor's figure, if it gave one."""


class Unavailable(Retriable):
    """The vendor has a problem of its own (HTTP 5xx and similar)."""


class MalformedResponse(Retriable):
    """A response that is not what the vendor documents: cut off, a web page, other types.

    A server behind a proxy often answers correctly at the next try, and seldom at the fifth.
    """

    most_attempts = 3

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        cure: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        usual = "Run again; if it persists, report it to the vendor with the time of the run."
        super().__init__(
            message, status=status, code=code, cure=cure or usual, retry_after_s=retry_after_s
        )


class SessionExpired(VendorError):
    """The access token is no longer valid: log in once, then retry once."""


class ReadLost(VendorError):
    """The vendor no longer has a job or a page of its result; the read starts again."""


class Fatal(VendorError):
    """No retry will help; a human or a configuration change is needed."""


class AuthFailed(Fatal, PermissionError):
    """The vendor refuses the credentials."""


class NotPermitted(Fatal, PermissionError):
    """The login is valid, but has no permission for this."""


class Rejected(Fatal, ValueError):
    """The vendor refused the request as invalid."""


class UnknownField(Rejected):
    """A selected field does not exist, or no longer."""


class JobFailed(Fatal):
    """An asynchronous job of the vendor ended without a result."""


class ProtocolError(Fatal):
    """A response that the vendor's documentation does not allow, such as a repeated page token."""

    def __init__(
        self, message: str, *, status: int | None = None, code: str = "", cure: str = ""
    ) -> None:
        usual = "Run again; if it persists, report it to the vendor with the time of the run."
        super().__init__(message, status=status, code=code, cure=cure or usual)


class Skippable(VendorError):
    """This object cannot be read from this account; the others go on."""
