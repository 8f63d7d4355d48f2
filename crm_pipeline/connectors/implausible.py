"""What a vendor said that cannot be true: ignored, told once, and listed by `check`."""

import threading

import structlog

_log = structlog.get_logger(__name__)
# Of this process: an account is opened anew for each object that is read.
_warned: set[tuple[str, str]] = set()
_warning = threading.Lock()


class ImplausibleValues:
    """What was strange in the answers to one account, by where it stood.

    Attributes:
        reasons: header or field -> why it is not believed; no text of the vendor's but a short one in quotes.
    """

    def __init__(self, connection: str) -> None:
        self._connection = connection
        self.reasons: dict[str, str] = {}

    def note(self, where: str, why: str) -> None:
        """Remember it, and warn if nobody has been warned yet."""
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
