"""Send a request and return its response, or raise one of our errors. Nothing about any vendor.

TLS 1.2 is the floor, every request has time limits, redirects are not followed (an API that
redirects is misconfigured, and a token must not travel), and the vendor's `classify_response` decides once
whether a response is an error.

Errors of the HTTP library hold whole URLs and header values, and tracebacks print the cause of an error.
So ours never have them as a cause: only their texts, with secrets removed, are kept.
"""

import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from http.client import IncompleteRead
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import quote_plus, urljoin, urlsplit

import requests
import structlog
import urllib3

from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.kernel.errors import (
    ConnectionLost,
    CrmError,
    Fatal,
    ProtocolError,
    Retriable,
    VendorError,
)
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.wire import body, dates
from crm_pipeline.wire.bounds import Allowance, TooLarge, TooSlow
from crm_pipeline.wire.figures import shown
from crm_pipeline.wire.transport import PlainAdapter, TlsAdapter

_log = structlog.get_logger(__name__)
_MOST_MISSING = 1 << 53
# A longer wait is not believed; `wire.retry` says how long a request waits.
_LONGEST_WAIT_S = 86_400.0
_CONNECTIONS = 20  # more than the threads that ever read one account
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_QUERY = re.compile(r"\?[^\s'\")]+")
_CONNECTION = re.compile(r"^<?[\w.]*Connection(?:Pool)?(?:\(.*?\)| object at 0x\w+>): ")
_ADDRESS_ERRORS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidURL,
)
_TRANSPORT = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError)
_DROPPED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and between two bytes of a response."""

    connect_s: float = 10.0
    read_s: float = 120.0


@dataclass(frozen=True)
class Times:
    """When a request was sent, and when the head of its response had arrived, by our clock."""

    sent_at: datetime
    head_at: datetime


Observe = Callable[[requests.Response, Times], None]
ResponseClassifier = Callable[[requests.Response], CrmError | None]
Permit = Callable[[], AbstractContextManager[object]]
Trust = Callable[[str], bool]
"""Says whether a request, and with it our token, may go to an address."""


class _Session(requests.Session):
    """A session that ignores the targets of redirects, which may not even be addresses."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None


class HttpSession:
    """HTTP for one connection; safe with threads that each have their own request.

    Args:
        owner: the connection's name, for error texts.
        classify_response: returns the error of a response, None for a success.
        permit: entered around every request; the rate limiter.
        observe: called with every response, errors included (usage headers).
        bounds: how large responses may be and how long they may take.
        trusts: whether requests may go to an address; addresses in responses are not trusted by themselves.
        allow_http: plain HTTP is for the sandbox only.
        clock: measures the wait until a date in `Retry-After`.
    """

    def __init__(
        self,
        owner: str,
        *,
        classify_response: ResponseClassifier,
        permit: Permit = nullcontext,
        observe: Observe | None = None,
        timeouts: Timeouts | None = None,
        bounds: Bounds | None = None,
        trusts: Trust = lambda _: True,
        allow_http: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.owner = owner
        self._clock = clock or SystemClock()
        self.calls = 0
        self._has_warned_of_waits = False
        self._lock = threading.Lock()
        self._classify_response = classify_response
        self._permit = permit
        self._observe = observe
        self._timeouts = timeouts or Timeouts()
        self._bounds = bounds or Bounds()
        self._trusts = trusts
        self._session = _Session()
        self._headers = {**self._session.headers, "User-Agent": "crm-pipeline"}
        self._environment: dict[tuple[str, str], Mapping[str, Any]] = {}
        # Cookies are shared state: an API needs none, and threads would overwrite each other's.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.adapters.pop(
            "https://"
        )  # ours is mounted with the first address that needs it
        self._session.adapters.pop("http://")
        if allow_http:
            self._session.mount("http://", PlainAdapter(pool_maxsize=_CONNECTIONS))

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
        """Send one request and return its response, read to the end.

        Raises:
            ConnectionLost: no response came, or not all of it.
            CrmError: what `classify_response` makes of the response.
        """
        with self._permit():
            response, times = self._send(
                method, url, params=params, headers=headers, json=json, data=data
            )
            self._load(response)
        self._inspect(response, times)
        return response

    @contextmanager
    def stream(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
        """Send a GET and yield the response with its bytes as received (a gzip stays a gzip).

        Raises:
            ConnectionLost: the response ended before its announced length.
            CrmError: what `classify_response` makes of the response.
        """
        with self._permit():
            response, times = self._send("GET", url, params=params, headers=headers)
            try:
                if response.status_code >= 300:
                    self._load(response)
                self._inspect(response, times)
                yield response, self._chunks(response)
            finally:
                response.close()

    def _send(self, method: str, url: str, **arguments: Any) -> tuple[requests.Response, Times]:
        if not self._trusts(url):
            failure = self._untrusted(url)
            failure.was_sent = False
            raise failure
        with self._lock:
            self.calls += 1
            if url.lower().startswith("https:") and "https://" not in self._session.adapters:
                # Loading the machine's certificate authorities takes 20 ms, which plain http does not need.
                self._session.mount("https://", TlsAdapter(pool_maxsize=_CONNECTIONS))
        sent_at = self._clock.now()
        try:
            response = self._session.send(
                self._prepared(method, url, **arguments),
                timeout=(self._timeouts.connect_s, self._timeouts.read_s),
                allow_redirects=False,
                **self._settings(url),
            )
            return response, Times(sent_at, self._clock.now())
        except _TRANSPORT as error:
            failure = self._failure(url, error)
            failure.was_sent = not _is_before_sending(error)
        except UnicodeError:
            failure = self._bad_header(url)
            failure.was_sent = False
        except OSError as error:
            # The requests library raises this where REQUESTS_CA_BUNDLE names no file.
            failure = Fatal(
                f"{self.owner}: no request was sent to {_address(url)}: {redacted(str(error))}.",
                cure="Check the CA bundle (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE).",
            )
            failure.was_sent = False
        raise failure

    def _prepared(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
    ) -> requests.PreparedRequest:
        """Return a request, made without the session, which looks for logins and cookies each time."""
        prepared = requests.PreparedRequest()
        prepared.prepare(
            method=method,
            url=url,
            headers={**self._headers, **(headers or {})},
            json=json,
            data=data,
            # Without this, requests replaces our token by a login that stands in the address.
            auth=_unchanged,
        )
        if params:
            # Encoded here, because requests and urllib3 scan long values letter by letter, several times.
            query = "&".join(
                f"{_encoded(name)}={_encoded(value)}" for name, value in params.items()
            )
            prepared.url = f"{prepared.url}{'&' if '?' in url else '?'}{query}"
        return prepared

    def _settings(self, url: str) -> Mapping[str, Any]:
        """Return the proxy and the certificate authorities that the environment names for a host."""
        address = urlsplit(url)
        settings = self._environment.get((address.scheme, address.netloc))
        if settings is None:
            settings = self._session.merge_environment_settings(
                url, proxies={}, stream=True, verify=None, cert=None
            )
            self._environment[address.scheme, address.netloc] = settings
        return settings

    def _load(self, response: requests.Response) -> None:
        """Read a response to its end."""
        try:
            body.load(response, self._bounds)
        except _TRANSPORT as error:
            failure = self._failure(response.url, error)
        except (TooLarge, TooSlow) as excess:
            failure = self._exceeded(response.url, excess, "CRM_MAX_ANSWER")
        else:
            return
        response.close()
        raise failure

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the bytes as received; the vendor's failures become our errors, the reader's do not."""
        allowance = Allowance(self._bounds.file_bytes, self._bounds.file_s)
        chunks = body.pieces(response, allowance)
        while True:
            try:
                chunk = next(chunks, None)
            except _TRANSPORT as error:
                failure = self._failure(response.url, error)
                break
            except (TooLarge, TooSlow) as excess:
                failure = self._exceeded(response.url, excess, "CRM_MAX_FILE")
                break
            if chunk is None:
                return
            yield chunk
        raise failure

    def _inspect(self, response: requests.Response, times: Times) -> None:
        if self._observe is not None:
            self._observe(response, times)
        error: CrmError | None
        if response.status_code in _REDIRECTS:
            error = ProtocolError(
                f"{self.owner}: {_address(response.url)} redirects to {_target(response)}.",
                status=response.status_code,
                cure="Set login_url to the address that the account really lives at.",
            )
        else:
            error = self._classify_response(response)
        if isinstance(error, Retriable):
            error.retry_after_s = self._wait_s(response, error.retry_after_s)
        if error is not None:
            raise error

    def _wait_s(self, response: requests.Response, default_s: float | None) -> float | None:
        """Return the wait that the vendor asks for, or the default; warn once of a value that cannot be true."""
        text = response.headers.get("Retry-After", "")
        wait_s = dates.wait_s(text, response.headers.get("Date"), self._clock.now())
        if text and (wait_s is None or wait_s > _LONGEST_WAIT_S) and not self._has_warned_of_waits:
            self._has_warned_of_waits = True
            _log.warning(
                "Retry-After cannot be meant so",
                connection=self.owner,
                said=shown(text),
                taken_s=default_s if wait_s is None else _LONGEST_WAIT_S,
            )
        return default_s if wait_s is None else min(wait_s, _LONGEST_WAIT_S)

    def _failure(self, url: str, error: Exception) -> VendorError:
        """Return our error for an error of the HTTP library."""
        address = _address(url)
        if isinstance(error, requests.exceptions.InvalidHeader) and not isinstance(
            _origin(error), urllib3.exceptions.InvalidHeader
        ):
            return self._bad_header(url)
        if isinstance(error, _ADDRESS_ERRORS):
            return Fatal(
                f"{self.owner}: {address} is no https address.",
                cure="Plain http is allowed for connections with `sandbox: true` only.",
            )
        if isinstance(error, requests.exceptions.SSLError) and not isinstance(
            _origin(error), _DROPPED
        ):
            return Fatal(
                f"{self.owner}: no trusted TLS connection to {address}: {_words(error)}.",
                cure="Check the address, the clock and the CA bundle (REQUESTS_CA_BUNDLE).",
            )
        if isinstance(error, requests.exceptions.ProxyError):
            return ConnectionLost(
                f"{self.owner}: the proxy did not let a request through to {address}: {_words(error)}.",
                cure="Check HTTPS_PROXY and NO_PROXY, and that the proxy lets this host through.",
            )
        return ConnectionLost(
            f"{self.owner}: {address} did not answer, or not to the end: {_words(error)}.",
            cure="Check the address and the network; if it is the sandbox, start it: `crm-pipeline sandbox` in "
            "another terminal, or `crm-pipeline up`.",
        )

    def _exceeded(self, url: str, excess: TooLarge | TooSlow, variable: str) -> VendorError:
        is_size = isinstance(excess, TooLarge)
        unit, really = ("MB", "are that large") if is_size else ("S", "take that long")
        return Fatal(
            f"{self.owner}: the answer of {_address(url)} was broken off: {excess}.",
            cure="Nothing of it was kept. If answers really "
            f"{really}, set {variable}_{unit} higher; if not, report it to the vendor.",
        )

    def _untrusted(self, url: str) -> VendorError:
        return Fatal(
            f"{self.owner}: the vendor names {_address(url)} as the place to go on, which is neither the "
            "configured host nor one that the vendor documents. Nothing was sent there.",
            cure="Run again; if it persists, report it to the vendor: somebody may be reading along.",
        )

    def _bad_header(self, url: str) -> VendorError:
        return Fatal(
            f"{self.owner}: no request was sent to {_address(url)}: a header holds characters that "
            "headers may not hold.",
            cure="Look for line breaks, blanks and typographic signs in the secrets.",
        )


@lru_cache(maxsize=64)
def _encoded(text: str) -> str:
    return quote_plus(text)


def _target(response: requests.Response) -> str:
    """Return scheme and host of a redirect's target; the header may hold something else than an address."""
    try:
        target = urlsplit(urljoin(response.url, response.headers.get("Location", "")))
    except ValueError:
        return "an unreadable address"
    if not target.hostname:
        return "no host"
    return f"{target.scheme}://{target.hostname}"


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _address(url: str) -> str:
    """Return an address without user, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an unreadable address"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _origin(error: BaseException) -> BaseException:
    """Return the innermost error of the HTTP library's wrappers."""
    while True:
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if inner is None:
            return error
        error = inner


def _is_before_sending(error: Exception) -> bool:
    """Say whether a request failed while its connection was made, so that nothing of it was sent."""
    if isinstance(error, (requests.exceptions.ConnectTimeout, *_ADDRESS_ERRORS)):
        return True
    origin = _origin(error)
    if isinstance(error, requests.exceptions.SSLError):
        return not isinstance(origin, _DROPPED)
    return isinstance(
        origin, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    )


def _words(error: BaseException) -> str:
    """Return an error's text without the addresses, wrappers and secrets of the HTTP library."""
    error = _origin(error)
    if isinstance(error, IncompleteRead):
        return _missing(error)
    text = str(error.args[-1] if error.args else error)
    text = _QUERY.sub("?***", redacted(_CONNECTION.sub("", text)))
    return text.rstrip(".") or type(error).__name__


def _missing(error: IncompleteRead) -> str:
    """Say how much of a response came; `partial` is bytes in the standard library, their number in urllib3."""
    partial = cast("bytes | int", error.partial)
    received = partial if isinstance(partial, int) else len(partial)
    missing = error.expected
    if missing is None:
        return f"{received:,} bytes came, and no end"
    if missing > _MOST_MISSING:
        return f"{received:,} bytes came, and the announced length cannot be true"
    return f"{received:,} bytes came, {missing:,} are missing"
