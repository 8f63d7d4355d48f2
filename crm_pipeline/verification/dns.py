"""Asks DNS which domains receive mail (RFC 5321, section 5): MX, else an address; null MX means none (RFC 7505).

The only module here that reaches out. A resolver that fails, refuses or keeps silent says nothing about a domain, and
neither does one that does not see the Internet: that a domain does not exist counts only where the resolver knows its
top-level domain. No mail server is contacted.
"""

import ipaddress
import re
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zlib import crc32

import dns.exception
import dns.name
import dns.resolver
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.verification.mail_lists import is_top_level
from crm_pipeline.verification.mail_servers import AnswerCache, DomainAnswer
from crm_pipeline.verification.vocabulary import EmailReason

_DAY_S = 86_400.0
_PROBE_WITHOUT_TOP_LEVEL = "com"
_SAVED_AT_ONCE = 200
_NO_NAMES = frozenset({"localhost", "invalid"})
"""Top-level domains that are reserved and lead to nobody else (RFC 6761)."""


@dataclass(frozen=True)
class DnsSettings:
    """How DNS is asked.

    Attributes:
        resolver: address of the resolver, such as 127.0.0.1:5300 or [::1]:53; "" for that of the system.
        timeout_s: how long one query may take, tries included.
        max_queries: how many queries one run may send; domains that are left are asked in the next one.
        concurrency: how many queries are under way at once.
        max_failures: after so many failed queries in a row a run asks no more: the resolver is down.
        accepts_kept_s: for how long it counts that a domain receives mail.
        missing_kept_s: for how long it counts that it does not.
        failed_kept_s: after how long a domain is asked again about which DNS failed.
    """

    resolver: str = ""
    timeout_s: float = 3.0
    max_queries: int = 20_000
    concurrency: int = 8
    max_failures: int = 25
    accepts_kept_s: float = 7 * _DAY_S
    missing_kept_s: float = 3 * _DAY_S
    failed_kept_s: float = 900.0

    def kept_s(self, reason: EmailReason) -> float:
        """Return for how long an answer may be used."""
        if reason is EmailReason.DNS_FAILED:
            return self.failed_kept_s
        is_missing = reason in {EmailReason.NO_DOMAIN, EmailReason.NO_MX, EmailReason.NULL_MX}
        return self.missing_kept_s if is_missing else self.accepts_kept_s


class MailServers:
    """Knows which domains receive mail: from its cache, else from DNS.

    Args:
        settings: how DNS is asked.
        cache: where answers are kept.
        clock: says when answers expire.
    """

    def __init__(self, settings: DnsSettings, cache: AnswerCache, clock: Clock) -> None:
        self._settings = settings
        self._cache = cache
        self._clock = clock

    def answers(self, domains: pa.Array | pa.ChunkedArray) -> Mapping[str, DomainAnswer]:
        """Return what DNS says about domains, in ASCII; nulls and repetitions are left out.

        A domain that could not be asked in this run, because its queries are used up, is not in the result.

        Raises:
            ConfigError: the resolver of the settings is no address, or the system has none.
        """
        wanted = sorted(pc.unique(domains).drop_null().to_pylist())
        known = dict(self._cache.get(wanted, self._clock.now()))
        missing = [domain for domain in wanted if domain not in known]
        if not missing:
            return known
        # In another order each time: a zone that fails would keep those behind it from ever being asked.
        salt = self._clock.now().isoformat()
        missing.sort(key=lambda domain: crc32(f"{salt} {domain}".encode()))
        run = _Run(self._settings)
        with ThreadPoolExecutor(self._settings.concurrency, "dns") as threads:
            for start in range(0, len(missing), _SAVED_AT_ONCE):
                batch = missing[start : start + _SAVED_AT_ONCE]
                fresh = self._dated(zip(batch, threads.map(run.reason, batch), strict=True))
                self._cache.put(fresh.values())
                known |= fresh
        return known

    def _dated(self, reasons: Iterable[tuple[str, EmailReason | None]]) -> dict[str, DomainAnswer]:
        now = self._clock.now()
        return {
            domain: DomainAnswer(
                domain, reason, now, now + timedelta(seconds=self._settings.kept_s(reason))
            )
            for domain, reason in reasons
            if reason
        }


class _Failed(Exception):
    """DNS gave no usable answer."""


class _RunEnded(Exception):
    """The queries of this run are used up, or the resolver is down."""


class _Run:
    """The queries of one run; used by several threads."""

    def __init__(self, settings: DnsSettings) -> None:
        self._settings = settings
        self._resolver = _resolver(settings)
        self._lock = threading.Lock()
        self._queries = 0
        self._failures = 0
        self._sees_top_level: dict[str, bool] = {}

    def reason(self, domain: str) -> EmailReason | None:
        """Return what DNS says about a domain; None where it was not asked."""
        try:
            return self._asked(domain)
        except _Failed:
            return EmailReason.DNS_FAILED
        except _RunEnded:
            return None

    def _asked(self, domain: str) -> EmailReason:
        try:
            servers = self._query(domain, "MX")
            if not servers:
                return self._by_address(domain)
        except dns.resolver.NXDOMAIN:
            self._require_internet(domain)
            return EmailReason.NO_DOMAIN
        is_null = all(_leads_nowhere(server.exchange) for server in servers)
        return EmailReason.NULL_MX if is_null else EmailReason.ACCEPTS_MAIL

    def _by_address(self, domain: str) -> EmailReason:
        try:
            is_reachable = any(self._is_reachable(domain, kind) for kind in ("A", "AAAA"))
        except dns.resolver.NXDOMAIN as error:  # it exists when asked for MX: somebody is wrong
            raise _Failed from error
        return EmailReason.ACCEPTS_BY_ADDRESS if is_reachable else EmailReason.NO_MX

    def _is_reachable(self, domain: str, kind: str) -> bool:
        """Return whether a domain has an address that others than its own network reach."""
        addresses = (ipaddress.ip_address(record.address) for record in self._query(domain, kind))
        return any(address.is_global for address in addresses)

    def _require_internet(self, domain: str) -> None:
        """Raise where the resolver does not even know a top-level domain: it would deny everything."""
        top = domain.rpartition(".")[2]
        top = top if is_top_level(top) else _PROBE_WITHOUT_TOP_LEVEL
        if top not in self._sees_top_level:
            try:
                self._sees_top_level[top] = bool(self._query(top, "SOA"))
            except dns.resolver.NXDOMAIN:
                self._sees_top_level[top] = False
        if not self._sees_top_level[top]:
            raise _Failed

    def _query(self, name: str, kind: str) -> list[Any]:
        """Return the records of a name; none where it has none of that kind.

        Raises:
            dns.resolver.NXDOMAIN: the name does not exist.
            _Failed: there is no usable answer.
            _RunEnded: nothing more is asked in this run.
        """
        with self._lock:
            is_down = self._failures >= self._settings.max_failures
            if is_down or self._queries >= self._settings.max_queries:
                raise _RunEnded
            self._queries += 1
        try:
            answer = self._resolver.resolve(
                f"{name}.", kind, raise_on_no_answer=False, lifetime=self._settings.timeout_s
            )
        except dns.resolver.NXDOMAIN:
            self._failures = 0
            raise
        except (dns.exception.DNSException, OSError) as error:
            with self._lock:
                self._failures += 1
            raise _Failed from error
        self._failures = 0
        return list(answer.rrset or ())


def _leads_nowhere(server: dns.name.Name) -> bool:
    """Return whether nobody's mail server is named: the null MX, or the sender's own machine, as was usual before."""
    name = server.to_text(omit_final_dot=True).lower()
    if server == dns.name.root or name.rpartition(".")[2] in _NO_NAMES:
        return True
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        return False


def _resolver(settings: DnsSettings) -> dns.resolver.Resolver:
    """Return a resolver that asks as the settings say.

    Raises:
        ConfigError: its address is none, or the system has no resolver.
    """
    if not settings.resolver:
        try:
            resolver = dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration as error:
            raise ConfigError(
                "DNS is switched on, and this system has no resolver configured.",
                cure="Give one, such as resolver: 127.0.0.1:53, or switch DNS off.",
            ) from error
    else:
        resolver = dns.resolver.Resolver(configure=False)
        host, resolver.port = parsed_resolver(settings.resolver)
        resolver.nameservers = [host]
    resolver.timeout = settings.timeout_s / 2  # so that a lost packet is sent again
    return resolver


def parsed_resolver(text: str) -> tuple[str, int]:
    """Return host and port of a resolver such as 127.0.0.1:5300, [::1]:53 or 10.0.0.2.

    Raises:
        ConfigError: the text has no such form.
    """
    form = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?|([^:]+)(?::(\d{1,5}))?|(.*)", text.strip())
    host, port = "", 0
    if form:
        host, port = form[1] or form[3] or form[5], int(form[2] or form[4] or 53)
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        address = ""
    if not address or not 0 < port < 65_536:
        raise ConfigError(
            f"resolver '{text}' is no address of a DNS resolver.",
            cure="Write an IP address, with a port where it is not 53: 127.0.0.1:5300 or [::1]:5300.",
        )
    return address, port
