"""DNS of the made-up world over UDP: which domains receive mail, by an MX, by an address, or not at all.

Every domain that a true address of the world has is alive; those of slips and placeholders are dead. What a domain is
follows from the world alone, so that verdicts can be compared with the truth. `Zone.faults` plants resolvers that fail.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from socketserver import BaseRequestHandler, ThreadingUDPServer
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from crm_sandbox.vocabulary import DISPOSABLE_DOMAINS, FREE_MAIL, PLACEHOLDER_MAILS, TYPO_DOMAINS
from crm_sandbox.world import World

_TTL_S = 300
_ADDRESS = "192.0.33.8"  # an address that everybody reaches; nobody connects to it
_WITHOUT_MX = 20  # one company in so many receives mail at its address


class Domain(StrEnum):
    """What a domain has, or what a question about it gets."""

    MX = "mx"
    ADDRESS = "address"
    NULL_MX = "null_mx"
    LOCAL_MX = "local_mx"
    ZERO_MX = "zero_mx"
    NOTHING = "nothing"
    TOP_LEVEL = "top_level"
    SERVFAIL = "servfail"
    SILENT = "silent"


@dataclass
class Zone:
    """All names that exist; others get NXDOMAIN.

    Attributes:
        domains: what each name has.
        faults: names whose questions fail, whatever they have; "*" stands for all.
    """

    domains: dict[str, Domain]
    faults: dict[str, Domain] = field(default_factory=dict)

    def found(self, name: str) -> Domain | None:
        """Return what a question about a name gets; None if it does not exist."""
        fault = self.faults.get(name) or self.faults.get("*")
        return fault or self.domains.get(name)


def zone_of(world: World) -> Zone:
    """Return the domains of a world."""
    companies = world.companies()["domain"].to_pylist()
    domains = {
        name: Domain.MX if index % _WITHOUT_MX else Domain.ADDRESS
        for index, name in enumerate(companies)
    }
    domains |= dict.fromkeys((*FREE_MAIL, *DISPOSABLE_DOMAINS), Domain.MX)
    # A placeholder's domain is owned by somebody, who takes no mail; every third one is nobody's.
    for index, address in enumerate(PLACEHOLDER_MAILS):
        if index % 3:
            domains[address.partition("@")[2]] = (Domain.NULL_MX, Domain.NOTHING)[index % 3 - 1]
    domains |= {name.rpartition(".")[2]: Domain.TOP_LEVEL for name in (*domains, "gmail.co")}
    return Zone(domains)


def dead_domains() -> frozenset[str]:
    """Return the domains of slips and placeholders: no mail to them arrives."""
    return frozenset({*TYPO_DOMAINS, *(mail.partition("@")[2] for mail in PLACEHOLDER_MAILS)})


def reply_to(packet: bytes, zone: Zone) -> bytes | None:
    """Return the answer to one packet; None where there is none."""
    try:
        question = dns.message.from_wire(packet)
        name, kind = question.question[0].name, question.question[0].rdtype
    except (dns.exception.DNSException, IndexError):
        return None
    found = zone.found(name.to_text(omit_final_dot=True).lower())
    if found is Domain.SILENT:
        return None
    answer = dns.message.make_response(question)
    answer.flags |= dns.flags.RA
    if found is Domain.SERVFAIL:
        answer.set_rcode(dns.rcode.SERVFAIL)
    elif found is None:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    elif record := _RECORDS.get((found, kind)):
        answer.answer.append(dns.rrset.from_text(name, _TTL_S, "IN", kind, record))
    return answer.to_wire()


_RECORDS: Mapping[tuple[Domain, int], str] = {
    (Domain.MX, dns.rdatatype.MX): "10 mail.crm-sandbox.example.",
    (Domain.NULL_MX, dns.rdatatype.MX): "0 .",
    (Domain.LOCAL_MX, dns.rdatatype.MX): "0 localhost.",
    (Domain.ZERO_MX, dns.rdatatype.MX): "0 0.0.0.0.",
    (Domain.ADDRESS, dns.rdatatype.A): _ADDRESS,
    (Domain.TOP_LEVEL, dns.rdatatype.SOA): "ns.example. hostmaster.example. 1 7200 900 86400 300",
}


class DnsServer:
    """Answers questions about a zone on this machine, from `start` to `stop`."""

    def __init__(self, zone: Zone, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.zone = zone
        self.questions = 0

        class Handler(BaseRequestHandler):
            def handle(handler) -> None:  # noqa: N805 - `self` is the server
                packet, socket = handler.request
                self.questions += 1
                reply = reply_to(packet, self.zone)
                if reply:
                    socket.sendto(reply, handler.client_address)

        self._server = ThreadingUDPServer((host, port), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def resolver(self) -> str:
        """Host and port, as resolvers are written in settings."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End it, and close its port."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *problem: object) -> None:
        self.stop()
