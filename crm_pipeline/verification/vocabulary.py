"""The closed vocabulary of verification: verdicts, reasons, types of numbers, and which reason means which verdict.

Verdict and reasons are two axes: the verdict says what to do with an address or a number, the reasons say what is known
about it. One table for each kind turns reasons into the verdict, and nothing else does. What speaks against a value
decides, the worst first; then a confirmation; what only says how little is known comes last.
Every member carries the sentence that comments of columns, the docs and the command line show.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self


class Term(StrEnum):
    """A word of a closed vocabulary, with a sentence that says what it means."""

    description: str

    def __new__(cls, word: str, description: str) -> Self:
        """Return a member that is its word and carries its sentence."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.description = description
        return member


class EmailVerdict(Term):
    """What to do with an e-mail address, best first."""

    DELIVERABLE = "deliverable", "A mailbox was confirmed; only a provider of verification says so."
    UNKNOWN = "unknown", "Nothing speaks against the address, and nobody has confirmed its mailbox."
    RISKY = "risky", "The address can work, but a known sign speaks against mailing it unseen."
    UNDELIVERABLE = "undeliverable", "Mail to the address cannot arrive."


class PhoneVerdict(Term):
    """What to do with a telephone number, best first."""

    VALID = "valid", "A connected line was confirmed; only a provider of verification says so."
    UNKNOWN = (
        "unknown",
        "The number fits its country's numbering plan; whether it answers is not known.",
    )
    RISKY = "risky", "The number can be dialled, but a known sign speaks against it."
    INVALID = "invalid", "The number cannot be dialled: no numbering plan has it."


class EmailReason(Term):
    """What is known about an e-mail address."""

    BAD_SYNTAX = "bad_syntax", "The text is no address that mail systems take."
    DAMAGED = "damaged", "Characters of the text were lost before it came here (U+FFFD)."
    SPECIAL_USE = (
        "special_use",
        "The domain is reserved and never receives mail, such as .local or .test.",
    )
    NO_DOMAIN = "no_domain", "DNS says that the domain does not exist."
    NO_MX = "no_mx", "The domain exists and has neither a mail server nor an address."
    NULL_MX = (
        "null_mx",
        "The domain declares that it receives no mail (RFC 7505), or names no mail server but localhost.",
    )
    PLACEHOLDER = (
        "placeholder",
        "The address fills a field that somebody had to fill, such as test@test.com.",
    )
    TYPO = (
        "typo",
        "The domain looks like a slip in the name of a large provider; `suggestion` has that.",
    )
    DISPOSABLE = "disposable", "The domain hands out mailboxes that are thrown away within hours."
    ROLE = "role", "The mailbox belongs to a function such as sales or postmaster, not to a person."
    HOMOGRAPH = (
        "homograph",
        "The domain mixes scripts or imitates Latin letters with those of another one.",
    )
    UNKNOWN_TLD = (
        "unknown_tld",
        "The domain's last part is no top-level domain of the public suffix list.",
    )
    FREE_PROVIDER = (
        "free_provider",
        "Anybody gets a mailbox at this domain; it tells nothing about a company.",
    )
    NOT_CHECKED = "not_checked", "Nobody has asked DNS about the domain."
    DNS_FAILED = "dns_failed", "DNS gave no usable answer about the domain; it is asked again soon."
    ACCEPTS_MAIL = "accepts_mail", "The domain has mail servers; its mailbox was not asked for."
    ACCEPTS_BY_ADDRESS = (
        "accepts_by_address",
        "The domain has no MX, and an address that mail falls back to.",
    )
    CONFIRMED = "confirmed", "A provider of verification asked for the mailbox, and it is there."
    MAILBOX_NOT_FOUND = (
        "mailbox_not_found",
        "A provider of verification asked for the mailbox, and it is not there.",
    )
    CATCH_ALL = "catch_all", "The domain takes mail for every mailbox, whether it exists or not."
    UNCONFIRMED = "unconfirmed", "A provider knows the address and could not confirm its mailbox."
    GIBBERISH = "gibberish", "The part before the @ looks made by a program."
    SMTP_BLOCKED = "smtp_blocked", "The domain's mail servers did not let the provider ask."
    NO_RESULT = "no_result", "A provider was asked and cannot say anything about the address."


class PhoneReason(Term):
    """What is known about a telephone number."""

    NOT_A_NUMBER = "not_a_number", "The text holds no telephone number."
    NO_REGION = (
        "no_region",
        "The number has no country code, and the country of the record is not known.",
    )
    UNKNOWN_COUNTRY_CODE = "unknown_country_code", "No country has the code behind the plus sign."
    NO_AREA_CODE = "no_area_code", "The number can be dialled within its own area only."
    TOO_SHORT = "too_short", "The number has fewer digits than any of its country."
    TOO_LONG = "too_long", "The number has more digits than any of its country."
    INVALID_FOR_REGION = "invalid_for_region", "The country's numbering plan has no such number."
    PLACEHOLDER = (
        "placeholder",
        "The digits fill a field that somebody had to fill, such as 0000000.",
    )
    FICTION = "fiction", "The number is from a range that is kept free for films and books."
    LETTERS = (
        "letters",
        "The number is written with letters, which may stand for other digits than read.",
    )
    SHARED = "shared", "Very many records have this number; it is a switchboard or an invention."
    PREMIUM_RATE = "premium_rate", "Calls to the number are charged at a premium rate."
    OTHER_COUNTRY = "other_country", "The number is from another country than its record."
    NOT_CHECKED = (
        "not_checked",
        "Nobody has asked the telephone network whether the line is connected.",
    )


class PhoneType(Term):
    """Kinds of telephone numbers, as numbering plans tell them apart."""

    FIXED_LINE = "fixed_line", "A line at a place."
    MOBILE = "mobile", "A mobile telephone."
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile", "The plan does not tell lines and mobiles apart."
    TOLL_FREE = "toll_free", "The called party pays."
    PREMIUM_RATE = "premium_rate", "The caller pays a premium."
    SHARED_COST = "shared_cost", "Caller and called party share the cost."
    VOIP = "voip", "A line over the Internet, at no fixed place."
    PERSONAL_NUMBER = "personal_number", "A number that follows a person to other lines."
    PAGER = "pager", "A pager."
    UAN = "uan", "A number of a whole company."
    VOICEMAIL = "voicemail", "Access to voice mail."


class Method(Term):
    """How a verdict was found."""

    OFFLINE = "offline", "From the text and from lists, without asking anybody."
    DNS = "dns", "The domain's mail servers were looked up as well; no mail server was contacted."
    PROVIDER = "provider", "A provider of verification was asked."


EMAIL_RULE: Mapping[EmailReason, EmailVerdict] = {
    EmailReason.BAD_SYNTAX: EmailVerdict.UNDELIVERABLE,
    EmailReason.DAMAGED: EmailVerdict.UNDELIVERABLE,
    EmailReason.SPECIAL_USE: EmailVerdict.UNDELIVERABLE,
    EmailReason.NO_DOMAIN: EmailVerdict.UNDELIVERABLE,
    EmailReason.NO_MX: EmailVerdict.UNDELIVERABLE,
    EmailReason.NULL_MX: EmailVerdict.UNDELIVERABLE,
    EmailReason.PLACEHOLDER: EmailVerdict.RISKY,
    EmailReason.TYPO: EmailVerdict.RISKY,
    EmailReason.DISPOSABLE: EmailVerdict.RISKY,
    EmailReason.ROLE: EmailVerdict.RISKY,
    EmailReason.HOMOGRAPH: EmailVerdict.RISKY,
    EmailReason.UNKNOWN_TLD: EmailVerdict.RISKY,
    EmailReason.FREE_PROVIDER: EmailVerdict.UNKNOWN,
    EmailReason.NOT_CHECKED: EmailVerdict.UNKNOWN,
    EmailReason.DNS_FAILED: EmailVerdict.UNKNOWN,
    EmailReason.ACCEPTS_MAIL: EmailVerdict.UNKNOWN,
    EmailReason.ACCEPTS_BY_ADDRESS: EmailVerdict.UNKNOWN,
    EmailReason.CONFIRMED: EmailVerdict.DELIVERABLE,
    EmailReason.MAILBOX_NOT_FOUND: EmailVerdict.UNDELIVERABLE,
    EmailReason.CATCH_ALL: EmailVerdict.RISKY,
    EmailReason.UNCONFIRMED: EmailVerdict.RISKY,
    EmailReason.GIBBERISH: EmailVerdict.UNKNOWN,
    EmailReason.SMTP_BLOCKED: EmailVerdict.UNKNOWN,
    EmailReason.NO_RESULT: EmailVerdict.UNKNOWN,
}
PHONE_RULE: Mapping[PhoneReason, PhoneVerdict] = {
    PhoneReason.NOT_A_NUMBER: PhoneVerdict.INVALID,
    PhoneReason.NO_REGION: PhoneVerdict.UNKNOWN,
    PhoneReason.UNKNOWN_COUNTRY_CODE: PhoneVerdict.INVALID,
    PhoneReason.NO_AREA_CODE: PhoneVerdict.RISKY,
    PhoneReason.TOO_SHORT: PhoneVerdict.INVALID,
    PhoneReason.TOO_LONG: PhoneVerdict.INVALID,
    PhoneReason.INVALID_FOR_REGION: PhoneVerdict.INVALID,
    PhoneReason.PLACEHOLDER: PhoneVerdict.RISKY,
    PhoneReason.FICTION: PhoneVerdict.INVALID,
    PhoneReason.LETTERS: PhoneVerdict.RISKY,
    PhoneReason.SHARED: PhoneVerdict.RISKY,
    PhoneReason.PREMIUM_RATE: PhoneVerdict.RISKY,
    PhoneReason.OTHER_COUNTRY: PhoneVerdict.UNKNOWN,
    PhoneReason.NOT_CHECKED: PhoneVerdict.UNKNOWN,
}
