"""Implausible values in a vendor's responses: ignored, logged once, and listed by `check`."""

import threading

import structlog

_log = structlog.get_logger(__name__)
# Of the whole process, because each object that is read opens an account of its own.
_warned: set[tuple[str, str]] = set()
_warning = threading.Lock()


class ImplausibleValues:
    """The implausible values in the responses to one account.

    Attributes:
        reasons: header or field -> why it is ignored; of the vendor's own texts only a short one in quotes.
    """

    def __init__(self, connection: str) -> None:
        self._connection = connection
        self.reasons: dict[str, str] = {}

    def note(self, where: str, why: str) -> None:
        """Keep the reason, and log a warning unless this process has already logged one."""
        if where in self.reasons:
            return
        self.reasons[where] = why
        with _warning:
            if (self._connection, where) in _warned:
                return
            _warned.add((self._connection, where))
        _log.warning(
            "ignored what cannot be true", connection=self._connection, where=where, why=why
        )
