"""A request goes in; an answer or one of our errors comes out. Nothing about any vendor.

TLS 1.2 is the floor, every request has time limits, redirects are not followed (an API that
redirects is misconfigured, and a token must not travel), and the vendor's judge decides once
whether an answer is an error.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import structlog
import urllib3
from requests.adapters import HTTPAdapter

from crm_pipeline.kernel.errors import ConnectionLost, CrmError, Fatal, ProtocolError
from crm_pipeline.kernel.secret import redacted

_log = structlog.get_logger(__name__)
_CHUNK_BYTES = 1 << 20


class TlsAdapter(HTTPAdapter):
    """Transport that refuses anything older than TLS 1.2."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the connection pool with our TLS context."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        kwargs["ssl_context"] = context
        super().init_poolmanager(*args, **kwargs)


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and between two bytes of an answer."""

    connect_s: float = 10.0
    read_s: float = 120.0


Judge = Callable[[requests.Response], CrmError | None]
Permit = Callable[[], AbstractContextManager[object]]


class HttpSession:
    """HTTP for one connection, safe for threads that each hold their own request.

    Args:
        owner: the connection's name, for error texts.
        judge: turns an answer into an error, or None where it is a success.
        permit: entered around every request; the rate gate.
        observe: sees every answer, errors included (usage headers).
        allow_http: plain HTTP is for the sandbox only.
    """

    def __init__(
        self,
        owner: str,
        *,
        judge: Judge,
        permit: Permit = nullcontext,
        observe: Callable[[requests.Response], None] | None = None,
        timeouts: Timeouts | None = None,
        allow_http: bool = False,
        user_agent: str = "crm-pipeline",
    ) -> None:
        self.owner = owner
        self.calls = 0
        self._judge = judge
        self._permit = permit
        self._observe = observe
        self._timeouts = timeouts or Timeouts()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = user_agent
        self._session.mount("https://", TlsAdapter(pool_maxsize=16))
        if not allow_http:
            self._session.adapters.pop("http://")

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Mapping[str, str] | bytes | None = None,
    ) -> requests.Response:
        """Send one request and return its answer, read to the end.

        Raises:
            ConnectionLost: no answer, or not all of it.
            CrmError: what the judge says.
        """
        with self._permit(), self._answered(url):
            self.calls += 1
            response = self._session.request(
                method,
                url,
                params=params,
                headers=headers,
                json=json,
                data=data,
                timeout=(self._timeouts.connect_s, self._timeouts.read_s),
                allow_redirects=False,
            )
        self._inspect(response)
        return response

    @contextmanager
    def stream(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
        """GET and yield the answer with its bytes as received (a gzip stays a gzip).

        Raises:
            ConnectionLost: the answer ended before its announced length.
            CrmError: what the judge says.
        """
        with self._permit(), self._answered(url):
            self.calls += 1
            response = self._session.get(
                url,
                params=params,
                headers=headers,
                stream=True,
                timeout=(self._timeouts.connect_s, self._timeouts.read_s),
                allow_redirects=False,
            )
            try:
                self._inspect(response)
                yield response, response.raw.stream(_CHUNK_BYTES, decode_content=False)
            finally:
                response.close()

    def _inspect(self, response: requests.Response) -> None:
        if self._observe is not None:
            self._observe(response)
        error = self._judge(response)
        if error is None and 300 <= response.status_code < 400 and response.status_code != 304:
            error = ProtocolError(
                f"{self.owner}: {_place(response.url)} redirects elsewhere.",
                status=response.status_code,
                cure="Set login_url to the address that the account really lives at.",
            )
        if error is not None:
            raise error

    @contextmanager
    def _answered(self, url: str) -> Iterator[None]:
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise Fatal(
                f"{self.owner}: no trusted TLS connection to {_place(url)}: {_words(error)}.",
                cure="Check the address, the clock and the CA bundle (REQUESTS_CA_BUNDLE).",
            ) from error
        except requests.exceptions.InvalidSchema as error:
            raise Fatal(
                f"{self.owner}: {_place(url)} is not https.",
                cure="Plain http is allowed for connections with `sandbox: true` only.",
            ) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ConnectionLost(
                f"{self.owner}: {_place(url)} did not answer, or not to the end: {_words(error)}.",
                cure="Check the address and the network; for the sandbox: is it running?",
            ) from error


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _words(error: BaseException) -> str:
    """Say what happened without the object addresses and wrappers of the HTTP library."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        error = reason
    text = redacted(str(error.args[-1] if error.args else error))
    return text.split(">: ")[-1].rstrip(".") or type(error).__name__
