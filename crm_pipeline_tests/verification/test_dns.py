"""What DNS says of domains, over UDP from an emulated resolver; and what it does not say when it fails."""

from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa
import pytest

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.verification import (
    DnsSettings,
    EmailReason,
    MailServers,
    MemoryCache,
    apply_dns,
    judge_emails,
)
from crm_pipeline.verification.dns import parsed_resolver
from crm_sandbox.dns import DnsServer, Domain, Zone

DOMAINS = {
    "alive.org": Domain.MX,
    "old.org": Domain.ADDRESS,
    "silent.org": Domain.NOTHING,
    "closed.org": Domain.NULL_MX,
    "own.org": Domain.LOCAL_MX,
    "zero.org": Domain.ZERO_MX,
    "xn--bcher-kva.de": Domain.MX,
    "org": Domain.TOP_LEVEL,
    "de": Domain.TOP_LEVEL,
    "com": Domain.TOP_LEVEL,
}
SAID = {
    "alive.org": EmailReason.ACCEPTS_MAIL,
    "old.org": EmailReason.ACCEPTS_BY_ADDRESS,
    "silent.org": EmailReason.NO_MX,
    "closed.org": EmailReason.NULL_MX,
    "own.org": EmailReason.NULL_MX,
    "zero.org": EmailReason.NULL_MX,
    "xn--bcher-kva.de": EmailReason.ACCEPTS_MAIL,
    "gone.org": EmailReason.NO_DOMAIN,
    "gone.con": EmailReason.NO_DOMAIN,
}


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer(Zone(dict(DOMAINS))) as running:
        yield running


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock("2026-11-01T12:00:00Z")


def mail_servers(server: DnsServer, clock: FrozenClock, **changes: float) -> MailServers:
    settings = DnsSettings(resolver=server.resolver, **{"timeout_s": 5.0, **changes})  # type: ignore[arg-type]
    return MailServers(settings, MemoryCache(), clock)


def reasons(servers: MailServers, *domains: str | None) -> dict[str, EmailReason]:
    answers = servers.answers(pa.array(domains, pa.string()))
    return {name: answer.reason for name, answer in answers.items()}


def test_domains_are_what_they_have(server: DnsServer, clock: FrozenClock) -> None:
    """MX, else an address; null MX (or localhost as the server), neither of them, and no domain at all."""
    assert reasons(mail_servers(server, clock), *SAID, None, "alive.org") == SAID


@pytest.mark.parametrize("fault", [Domain.SERVFAIL, Domain.SILENT])
@pytest.mark.parametrize("domain", ["alive.org", "gone.org", "closed.org"])
def test_a_resolver_that_fails_says_nothing(
    fault: Domain, domain: str, server: DnsServer, clock: FrozenClock
) -> None:
    """SERVFAIL and silence are never `undeliverable`, not even about a domain that is dead."""
    server.zone.faults[domain] = fault
    servers = mail_servers(server, clock, timeout_s=0.1 if fault is Domain.SILENT else 5.0)
    assert reasons(servers, domain) == {domain: EmailReason.DNS_FAILED}
    judged = judge_emails(pa.array([f"jane@{domain}"]))
    assert apply_dns(judged, servers.answers(judged["domain"]))["verdict"].to_pylist() == [
        "unknown"
    ]


def test_a_failure_half_way_says_nothing(clock: FrozenClock) -> None:
    """A domain without MX whose address cannot be asked for is not dead."""

    class HalfWay(Zone):
        def found(self, name: str) -> Domain | None:
            asked.append(name)
            return Domain.NOTHING if len(asked) == 1 else Domain.SERVFAIL

    asked: list[str] = []
    with DnsServer(HalfWay({})) as running:
        assert reasons(mail_servers(running, clock), "old.org") == {
            "old.org": EmailReason.DNS_FAILED
        }


def test_a_domain_that_is_there_for_one_question_only(clock: FrozenClock) -> None:
    """A server that has a domain when asked for MX, and not when asked for addresses, says nothing."""

    class Contradicting(Zone):
        def found(self, name: str) -> Domain | None:
            asked.append(name)
            is_top = name == "org"
            return Domain.TOP_LEVEL if is_top else (Domain.NOTHING if len(asked) == 1 else None)

    asked: list[str] = []
    with DnsServer(Contradicting({})) as running:
        assert reasons(mail_servers(running, clock), "old.org") == {
            "old.org": EmailReason.DNS_FAILED
        }


def test_a_zone_that_fails_does_not_keep_others_from_being_asked(
    server: DnsServer, clock: FrozenClock
) -> None:
    """Domains of one broken zone fail in a row and end the run; in one of the next ones the others are asked all the same."""
    broken = [f"d{i}.broken.org" for i in range(12)]
    whole = [f"e{i}.org" for i in range(12)]
    server.zone.faults |= dict.fromkeys(broken, Domain.SERVFAIL)
    server.zone.domains |= dict.fromkeys(whole, Domain.MX)
    servers = mail_servers(server, clock, max_failures=5, concurrency=1)
    answers: dict[str, EmailReason] = {}
    for _ in range(8):
        answers |= reasons(servers, *broken, *whole)
        clock.advance(3_600)
    assert {answers.get(name) for name in whole} == {EmailReason.ACCEPTS_MAIL}


def test_a_resolver_without_the_internet_says_nothing(clock: FrozenClock) -> None:
    """One that denies every name, top-level domains too, does not make all addresses undeliverable."""
    with DnsServer(Zone({"intranet": Domain.MX})) as running:
        expected = dict.fromkeys(["alive.org", "gone.con"], EmailReason.DNS_FAILED)
        assert reasons(mail_servers(running, clock), *expected) == expected


def test_a_resolver_that_is_down_ends_the_run(server: DnsServer, clock: FrozenClock) -> None:
    """After a few failures in a row nothing more is asked: thousands of domains would wait for nothing."""
    server.zone.faults["*"] = Domain.SERVFAIL
    servers = mail_servers(server, clock, max_failures=5, concurrency=1)
    assert len(reasons(servers, *(f"d{i}.org" for i in range(50)))) == 5


def test_queries_have_a_ceiling(server: DnsServer, clock: FrozenClock) -> None:
    """What is left is not checked in this run, and asked in the next one."""
    names = [f"company{i}.org" for i in range(6)]
    server.zone.domains |= dict.fromkeys(names, Domain.MX)
    servers = mail_servers(server, clock, max_queries=4, concurrency=2)
    first = servers.answers(pa.array(names))
    assert (len(first), server.questions) == (4, 4)
    judged = judge_emails(pa.array([f"jane@{name}" for name in names]))
    words = apply_dns(judged, first)["reasons"].to_pylist()
    assert sorted(words) == [["accepts_mail"]] * 4 + [["not_checked"]] * 2
    assert len(servers.answers(pa.array(names))) == 6
    assert server.questions == 6


@pytest.mark.parametrize(
    ("domain", "kept_s"),
    [("alive.org", 7 * 86_400), ("gone.org", 3 * 86_400), ("broken.org", 900)],
)
def test_answers_are_kept(
    domain: str, kept_s: float, server: DnsServer, clock: FrozenClock
) -> None:
    """Good and bad answers for days, failures for minutes; then DNS is asked again."""
    server.zone.faults["broken.org"] = Domain.SERVFAIL
    servers = mail_servers(server, clock)
    answer = servers.answers(pa.array([domain]))[domain]
    assert answer.expires_at - answer.checked_at == timedelta(seconds=kept_s)
    asked = server.questions
    clock.advance(kept_s - 1)
    servers.answers(pa.array([domain]))
    assert server.questions == asked
    clock.advance(2)
    servers.answers(pa.array([domain]))
    assert server.questions > asked


def test_verdicts_follow_from_both(server: DnsServer, clock: FrozenClock) -> None:
    """The worst reason decides; what nobody asked about stays; DNS never makes an address deliverable."""
    texts = ["jane@alive.org", "sales@alive.org", "jane@gone.org", "a@b", "eve@unasked.org"]
    judged = judge_emails(pa.array(texts))
    answers = mail_servers(server, clock).answers(pa.array(["alive.org", "gone.org"]))
    rows = apply_dns(judged, answers).select(["verdict", "reasons", "method"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("unknown", ["accepts_mail"], "dns"),
        ("risky", ["role", "accepts_mail"], "dns"),
        ("undeliverable", ["no_domain"], "dns"),
        ("undeliverable", ["bad_syntax"], "offline"),
        ("unknown", ["not_checked"], "offline"),
    ]
    assert apply_dns(judged, {}) == judged


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:5300", ("127.0.0.1", 5300)),
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("[::1]:5300", ("::1", 5300)),
        ("::1", ("::1", 53)),
    ],
)
def test_resolvers_are_addresses(text: str, expected: tuple[str, int]) -> None:
    """With and without a port, of both kinds."""
    assert parsed_resolver(text) == expected


@pytest.mark.parametrize("text", ["dns.example.org", "127.0.0.1:0", "127.0.0.1:99999", "", "1:2:x"])
def test_another_text_is_no_resolver(text: str) -> None:
    """The error names it and says what to write."""
    with pytest.raises(ConfigError, match="is no address of a DNS resolver"):
        parsed_resolver(text)
