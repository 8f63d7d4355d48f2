"""The stage with the rules of the product: without DNS, with it, and with a resolver that fails."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from crm_pipeline import verification
from crm_pipeline.settings.verification import Verification
from crm_pipeline.stages.verified import Choices, Verified, verifiers, verify
from crm_pipeline.stages.verified.library import library_verifiers
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.stages.conftest import Org, schema
from crm_sandbox.dns import DnsServer, Domain, Zone

CONTACT = schema("Contact", "LastName", "Email:email", "Phone:phone", "MailingCountry")
TOP = {"org": Domain.TOP_LEVEL}
DOMAINS = {"alive.org": Domain.MX, "mute.org": Domain.NULL_MX, **TOP}


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with DnsServer(Zone(dict(DOMAINS))) as running:
        yield running


def landed(org: Org, **emails: str) -> None:
    rows = [
        {"Id": f"003{name}", "LastName": name, "Email": email} for name, email in emails.items()
    ]
    org.land(CONTACT, rows)
    org.normalize("contacts")


def verified(org: Org, settings: Verification, database: Database | None = None) -> Verified:
    with org.engine() as engine:
        return verify(
            org.tables,
            engine,
            library_verifiers(settings, org.clock, database),
            Choices({}, expires=timedelta(days=30)),
            wanted=["normalized/acme/contacts"],
            now=org.clock.now(),
        )


def rows(org: Org, columns: str) -> list[tuple[Any, ...]]:
    version = org.tables.version("verified/email_verdicts")
    assert version
    with org.engine() as engine:
        return engine.rows(
            f"SELECT {columns} FROM {Tables.relation(version)} ORDER BY value, position"
        )


def test_without_dns_nothing_is_deliverable_or_asked(org: Org) -> None:
    """Several addresses in one field are counted from one, and the main one is the first."""
    landed(org, A="Jane <jane@alive.org>; joe@gmial.com", B="nobody")
    done = verified(org, Verification())
    assert rows(org, "position, address, verdict, method") == [
        (1, "jane@alive.org", "unknown", "offline"),
        (2, "joe@gmial.com", "risky", "offline"),
        (1, "nobody", "undeliverable", "offline"),
    ]
    points = done.versions["contact_points"]
    with org.engine() as engine:
        main = f"SELECT normalized FROM {Tables.relation(points)} WHERE is_primary ORDER BY ALL"
        assert engine.rows(main) == [("jane@alive.org",), (None,)]


def test_dns_is_asked_once_for_each_domain(org: Org, dns: DnsServer, database: Database) -> None:
    """A later run asks about new domains only, whichever process it is in; a dead domain is undeliverable."""
    settings = Verification(dns=True, resolver=dns.resolver)
    landed(org, A="a@alive.org", B="b@mute.org", C="c@gone.org")
    verified(org, settings, database)
    assert rows(org, "value, verdict, method") == [
        ("a@alive.org", "unknown", "dns"),
        ("b@mute.org", "undeliverable", "dns"),
        ("c@gone.org", "undeliverable", "dns"),
    ]
    asked = dns.questions
    landed(org, D="d@alive.org")
    assert verified(org, settings, database).judged["email"] == 1
    assert dns.questions == asked
    assert rows(org, "value, method")[-1] == ("d@alive.org", "dns")


def test_a_resolver_that_fails_says_nothing(org: Org, dns: DnsServer, database: Database) -> None:
    """Its verdicts are unknown, and are made again after an hour, not before."""
    settings = Verification(dns=True, resolver=dns.resolver)
    dns.zone.faults["*"] = Domain.SERVFAIL
    landed(org, A="a@gone.org")
    verified(org, settings, database)
    assert rows(org, "verdict, reasons") == [("unknown", ["dns_failed"])]
    dns.zone.faults.clear()
    assert not verified(org, settings, database).changed
    org.clock.advance(3_700)
    assert verified(org, settings, database).judged["email"] == 1
    assert rows(org, "verdict, reasons") == [("undeliverable", ["no_domain"])]


def test_switching_dns_on_judges_again(org: Org, dns: DnsServer, database: Database) -> None:
    """What was judged offline is judged with DNS as soon as it is asked."""
    landed(org, A="a@gone.org")
    verified(org, Verification())
    settings = Verification(dns=True, resolver=dns.resolver)
    assert verified(org, settings, database).judged["email"] == 1
    assert rows(org, "verdict") == [("undeliverable",)]


def test_what_was_judged_by_a_clock_that_was_ahead_is_judged_again(
    org: Org, dns: DnsServer, database: Database
) -> None:
    """Answers and verdicts from a year ahead count no more once the clock is right; what replaces them is kept."""
    settings = Verification(dns=True, resolver=dns.resolver)
    landed(org, A="a@alive.org")
    org.clock.advance(366 * 86_400)
    verified(org, settings, database)
    org.clock.advance(-366 * 86_400)
    dns.zone.domains["alive.org"] = Domain.NULL_MX
    assert verified(org, settings, database).judged["email"] == 1
    assert rows(org, "verdict, checked_at") == [("undeliverable", org.clock.now())]
    asked = dns.questions
    landed(org, B="b@alive.org")
    verified(org, settings, database)
    assert dns.questions == asked


def test_an_answer_that_dns_cannot_give_is_not_used(
    org: Org, dns: DnsServer, database: Database
) -> None:
    """A row with a reason of something else, or of nothing, is replaced by what DNS says."""
    names = ["alive.org", "mute.org"]
    now, later = org.clock.now(), org.clock.now() + timedelta(days=9)
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO crm_state.dns_answers SELECT unnest(%s), unnest(%s), %s, %s",
            (names, ["typo", "\ufffd"], now, later),
        )
    landed(org, A="a@alive.org", B="b@mute.org")
    verified(org, Verification(dns=True, resolver=dns.resolver), database)
    assert rows(org, "value, verdict") == [
        ("a@alive.org", "unknown"),
        ("b@mute.org", "undeliverable"),
    ]


def test_values_are_judged_in_batches_that_fit_arrow(org: Org, monkeypatch: Any) -> None:
    """However many parts long texts have, a batch with their copies stays below the end of Arrow's arrays."""
    monkeypatch.setattr(verifiers, "_BATCH_BYTES", 2_000_000)
    texts = {
        name: ";".join(f"{name}{n}@x.org" for n in range(count))
        for name, count in zip("ABCDE", (1, 120, 150, 1, 200), strict=True)
    }
    landed(org, **texts)
    sizes: list[int] = []
    judge = verification.judge_emails

    def counted(values: Any) -> Any:
        done = judge(values)
        sizes.append(done["value"].nbytes)
        return done

    monkeypatch.setattr(verification, "judge_emails", counted)
    verified(org, Verification())
    assert max(sizes) < 2_000_000
    expected = [(value, len(value.split(";"))) for value in sorted(texts.values())]
    assert rows(org, "DISTINCT value, count(*) OVER (PARTITION BY value) AS position") == expected
