"""Syntax and normal form of e-mail addresses, as the library `email-validator` decides them.

Most addresses are plain: ASCII, no quotes, a host name of ordinary labels. One RE2 expression accepts those, and
nothing else is to be decided about them. All others go through the library, value by value. Both ways give the same
answer for the same text; `test_email_parity.py` compares them with the library on generated and adversarial input.

The rules are those of email-validator 2.4 with `check_deliverability=False`: RFC 5321 and 6531 with its limits on
lengths, IDNA 2008 for domains, and no special-use names of IANA such as `.local`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailSyntaxError, validate_email
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

_ATOM = r"[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z])?"
_PLAIN = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP}$"
# Dashes in the third and fourth place of a label: Punycode, or forbidden. The library knows which.
_PUNYCODE = r"[@.][^.]{2}--"
_SPECIAL = rf"(?i)\.(?:{'|'.join(SPECIAL_USE_DOMAIN_NAMES)})$"
# RFC 2142: these names are one mailbox in upper and lower case.
_SERVICE = rf"(?i)^(?:{'|'.join(CASE_INSENSITIVE_MAILBOX_NAMES)})$"
_MOST_BYTES = 254


@dataclass(frozen=True)
class ParsedAddresses:
    """What the syntax of addresses says, in the order of the input.

    Attributes:
        normalized: the address to use and to compare by; null where the syntax is bad.
        ascii: the address in ASCII; null where it has none.
        local: its part before the @.
        domain: its domain in ASCII, as DNS takes it.
        problem: what is wrong, in the library's words; null where nothing is.
    """

    normalized: pa.StringArray
    ascii: pa.StringArray
    local: pa.StringArray
    domain: pa.StringArray
    problem: pa.StringArray


class ParsedAddress(NamedTuple):
    """What the syntax of one address says: one row of `ParsedAddresses`."""

    normalized: str | None
    ascii: str | None
    local: str | None
    domain: str | None
    problem: str | None


def parsed(addresses: pa.StringArray) -> ParsedAddresses:
    """Return the normal forms of addresses, each a text with exactly one address and nulls as they are.

    Pass distinct values: an odd one costs some 30 microseconds, each time that it occurs.
    """
    plain = pc.fill_null(_is_plain(addresses), True)  # noqa: FBT003 - nulls stay null on this way
    local, domain = _plain_parts(pc.if_else(plain, addresses, None))
    normalized = pc.binary_join_element_wise(local, domain, "@")
    columns = [normalized, normalized, local, domain, pa.nulls(len(addresses), pa.string())]
    if not pc.all(plain).as_py():
        is_odd = pc.invert(plain)
        odd = [parsed_one(text) for text in addresses.filter(is_odd).to_pylist()]
        columns = [
            pc.replace_with_mask(plain_column, is_odd, pa.array(values, pa.string()))
            for plain_column, values in zip(columns, zip(*odd, strict=True), strict=True)
        ]
    return ParsedAddresses(*columns)


def parsed_one(text: str) -> ParsedAddress:
    """Return what the library says of one address."""
    try:
        address = validate_email(text, check_deliverability=False)
    except EmailSyntaxError as error:
        return ParsedAddress(None, None, None, None, str(error))
    return ParsedAddress(
        address.normalized, address.ascii_email, address.local_part, address.ascii_domain, None
    )


def _is_plain(addresses: pa.StringArray) -> pa.BooleanArray:
    fits = pc.and_(
        pc.match_substring_regex(addresses, _PLAIN),
        pc.less_equal(pc.binary_length(addresses), _MOST_BYTES),
    )
    odd = pc.or_(
        pc.match_substring_regex(addresses, _PUNYCODE),
        pc.match_substring_regex(addresses, _SPECIAL),
    )
    return pc.and_not(fits, odd)


def _plain_parts(plain: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """Return the local parts and the domains of plain addresses, lower where case does not count."""
    halves = pc.split_pattern(plain, "@")
    local, domain = pc.list_element(halves, 0), pc.list_element(halves, 1)
    is_service = pc.match_substring_regex(local, _SERVICE)
    return pc.if_else(is_service, pc.ascii_lower(local), local), pc.ascii_lower(domain)
