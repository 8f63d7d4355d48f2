"""DNS of the made-up world: who receives mail in it."""

from datetime import UTC, datetime

import dns.message
import dns.rcode
import pytest

from crm_sandbox.dns import Domain, dead_domains, reply_to, zone_of
from crm_sandbox.vocabulary import DISPOSABLE_DOMAINS, FREE_MAIL
from crm_sandbox.world import World

WORLD = World(7, 200, datetime(2026, 11, 1, tzinfo=UTC).replace(tzinfo=None))


def test_true_addresses_are_alive_and_others_dead() -> None:
    """Companies and providers receive mail, by an MX or at their address; slips and placeholders do not."""
    zone = zone_of(WORLD)
    alive = {*WORLD.companies()["domain"].to_pylist(), *FREE_MAIL, *DISPOSABLE_DOMAINS}
    assert {zone.found(name) for name in alive} == {Domain.MX, Domain.ADDRESS}
    assert {zone.found(name) for name in dead_domains()} == {None, Domain.NULL_MX, Domain.NOTHING}


@pytest.mark.parametrize(
    ("name", "kind", "records"),
    [
        ("gmail.com", "MX", ["10 mail.crm-sandbox.example."]),
        ("GMail.com", "MX", ["10 mail.crm-sandbox.example."]),
        ("gmail.com", "A", []),
        ("com", "SOA", ["ns.example. hostmaster.example. 1 7200 900 86400 300"]),
    ],
)
def test_questions_are_answered(name: str, kind: str, records: list[str]) -> None:
    """By type; an existing name without that type has an empty answer."""
    packet = reply_to(dns.message.make_query(name, kind).to_wire(), zone_of(WORLD))
    assert packet
    answer = dns.message.from_wire(packet)
    assert [record.to_text() for rrset in answer.answer for record in rrset] == records


def test_faults_and_noise() -> None:
    """A planted failure goes before what a name has; what is no question has no answer."""
    zone = zone_of(WORLD)
    question = dns.message.make_query("gmail.com", "MX").to_wire()
    zone.faults["gmail.com"] = Domain.SERVFAIL
    packet = reply_to(question, zone)
    assert packet
    assert dns.message.from_wire(packet).rcode() == dns.rcode.SERVFAIL
    zone.faults["*"] = Domain.SILENT
    zone.faults.pop("gmail.com")
    assert reply_to(question, zone) is None
    assert reply_to(b"\x00\x01", zone) is None
