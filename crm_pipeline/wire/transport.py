"""HTTP connections with TLS 1.2 or newer and a time limit on headers.

A time limit between two bytes lets a server send one byte a second for ever. The standard library reads the status
line and the headers in one call, and likewise the chunk sizes and the trailer of a body. So the time is limited
below those calls, at each read of the socket.
"""

import http.client
import io
import ssl
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from crm_pipeline.wire.bounds import Allowance

HEADERS_S = 300.0
"""From the request to the end of the response's headers. The longest call of a vendor takes two minutes."""


class _PunctualReader(io.RawIOBase):
    """Reads a socket until the time for the headers, or for the body, is over."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._until_s = time.monotonic() + HEADERS_S
        self.allowance: Allowance | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.allowance is not None:
            self.allowance.take(0)
        elif time.monotonic() > self._until_s:
            raise ConnectionAbortedError(f"the headers took longer than {HEADERS_S:.0f} s")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        super().close()
        self._raw.close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.reader = _PunctualReader(self.fp.detach())
        self.fp = io.BufferedReader(self.reader)


def bounded(raw: Any, allowance: Allowance) -> None:
    """Apply the body's allowance of time to all further reads of a response.

    Args:
        raw: the response of urllib3.
        allowance: of the body; a late read raises TooSlow.
    """
    raw._original_response.reader.allowance = allowance  # noqa: SLF001 - urllib3 names it nowhere else


class _PlainConnection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: dict[str, type] = {"http": _PlainPool, "https": _TlsPool}


class PlainAdapter(HTTPAdapter):
    """Transport with a time limit on headers."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool with our connection classes."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Make the pool behind a proxy with our connection classes."""
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class TlsAdapter(PlainAdapter):
    """A `PlainAdapter` that refuses anything older than TLS 1.2."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool with our TLS context."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        kwargs["ssl_context"] = context
        super().init_poolmanager(*args, **kwargs)
