"""How e-mail addresses and phone numbers are verified: the key `verification` of connections.yaml."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator

from crm_pipeline.settings.model import Model, problem

_WITH_PORT = re.compile(
    r"(?:\[(?P<v6>[^\]]+)\](?::(?P<port6>\d{1,5}))?|(?P<v4>[\d.]+):(?P<port>\d{1,5}))\Z", re.ASCII
)


@dataclass(frozen=True)
class Verification:
    """The choices for the stage `verified`.

    Attributes:
        dns: whether DNS is asked for mail servers.
        resolver: address of the resolver, such as 127.0.0.1:5300; "" for that of the system.
        queries: how many DNS queries a run may send.
        expires: after that time a verdict is made again.
        shared_from: a number that so many people have counts as shared.
    """

    dns: bool = False
    resolver: str = ""
    queries: int = 20_000
    expires: timedelta = timedelta(days=30)
    shared_from: int = 20


class VerificationModel(Model):
    """The key `verification`."""

    dns: bool = Verification.dns
    resolver: str = Verification.resolver
    queries: Annotated[int, Field(ge=1, le=10_000_000)] = Verification.queries
    expires_days: Annotated[int, Field(ge=1, le=3_650)] = Verification.expires.days
    shared_from: Annotated[int, Field(ge=2, le=1_000_000)] = Verification.shared_from

    @field_validator("resolver")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value and not _is_address(value):
            raise problem(
                "is no address of a DNS resolver",
                cure="Write an IP address, with a port where it is not 53: 127.0.0.1:5300 or [::1]:5300.",
            )
        return value

    def settings(self) -> Verification:
        """Return the dataclass."""
        return Verification(
            dns=self.dns,
            resolver=self.resolver,
            queries=self.queries,
            expires=timedelta(days=self.expires_days),
            shared_from=self.shared_from,
        )


def _is_address(text: str) -> bool:
    host, port = text, "53"
    if match := _WITH_PORT.match(text):
        host = match["v6"] or match["v4"]
        port = match["port6"] or match["port"] or port
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return 0 < int(port) < 65_536
