"""Syntax and normal form of e-mail addresses, as the library `email-validator` decides them.

Most addresses are plain: ASCII, no quotes, a host name of ordinary labels. One RE2 expression accepts those, another
one refuses what is wrong at first sight, and nothing else is to be decided about either. All others go through the
library, value by value. `test_email_parity.py` compares both ways on generated and adversarial input.

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
# No @, a second one, or an empty label or atom: the library refuses each, whatever else is in such a text.
_BAD = (
    r"^[\x20-?A-~]*$"
    r"|^[A-Za-z0-9_!#$%&'*+/=?^`{|}~.-]*@[A-Za-z0-9_!#$%&'*+/=?^`{|}~.-]*@[A-Za-z0-9_!#$%&'*+/=?^`{|}~.@-]*$"
)
_ONE_AT = r"^[A-Za-z0-9_!#$%&'*+/=?^`{|}~.-]*@[A-Za-z0-9_!#$%&'*+/=?^`{|}~.-]*$"
_EMPTY_PART = r"^[.@]|\.\.|\.@|@\.|[.@]$"


@dataclass(frozen=True)
class ParsedAddresses:
    """What the syntax of addresses says, in the order of the input.

    Attributes:
        normalized: the address to use and to compare by; null where the syntax is bad.
        ascii: the address in ASCII; null where it has none.
        local: its part before the @.
        domain: its domain in ASCII, as DNS takes it.
        is_special: whether the syntax is bad only because the domain is reserved, such as `.local`.
    """

    normalized: pa.StringArray
    ascii: pa.StringArray
    local: pa.StringArray
    domain: pa.StringArray
    is_special: pa.BooleanArray


class ParsedAddress(NamedTuple):
    """What the syntax of one address says: as `ParsedAddresses`, and what is wrong in the library's words."""

    normalized: str | None
    ascii: str | None
    local: str | None
    domain: str | None
    is_special: bool
    problem: str | None


def parsed(addresses: pa.StringArray) -> ParsedAddresses:
    """Return the normal forms of addresses, each a text with exactly one address and nulls as they are.

    Pass distinct values: an odd one costs some 30 microseconds, each time that it occurs.
    """
    plain = _is_plain(addresses)
    local, domain = _plain_parts(pc.if_else(plain, addresses, None))
    normalized = pc.binary_join_element_wise(local, domain, "@")
    columns = [normalized, normalized, local, domain, pc.and_not(plain, plain)]
    rest = pc.fill_null(pc.invert(plain), False)  # noqa: FBT003 - nulls stay null
    is_odd = pc.replace_with_mask(rest, rest, pc.invert(_is_bad(addresses.filter(rest))))
    if pc.any(is_odd).as_py():
        answers = [parsed_one(text)[:5] for text in addresses.filter(is_odd).to_pylist()]
        columns = [
            pc.replace_with_mask(column, is_odd, pa.array(values, column.type))
            for column, values in zip(columns, zip(*answers, strict=True), strict=True)
        ]
    return ParsedAddresses(*columns)


def parsed_one(text: str) -> ParsedAddress:
    """Return what the library says of one address."""
    try:
        address = validate_email(text, check_deliverability=False)
    except EmailSyntaxError as error:
        problem = str(error)
        return ParsedAddress(None, None, None, None, "special-use" in problem, problem)
    return ParsedAddress(
        address.normalized,
        address.ascii_email,
        address.local_part,
        address.ascii_domain,
        is_special=False,
        problem=None,
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


def _is_bad(addresses: pa.StringArray) -> pa.BooleanArray:
    """Return which addresses are wrong at first sight; false says nothing."""
    return pc.or_(
        pc.match_substring_regex(addresses, _BAD),
        pc.and_(
            pc.match_substring_regex(addresses, _ONE_AT),
            pc.match_substring_regex(addresses, _EMPTY_PART),
        ),
    )


def _plain_parts(plain: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """Return the local parts and the domains of plain addresses, lower where case does not count."""
    halves = pc.split_pattern(plain, "@")
    local, domain = pc.list_element(halves, 0), pc.list_element(halves, 1)
    is_service = pc.match_substring_regex(local, _SERVICE)
    return pc.if_else(is_service, pc.ascii_lower(local), local), pc.ascii_lower(domain)
