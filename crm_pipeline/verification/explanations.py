"""Verdicts on one value, explained as a linter does: what was found, why it matters, and what to do about it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import pyarrow as pa

from crm_pipeline.kernel.text import on_one_line, shortened
from crm_pipeline.verification.countries import region_of
from crm_pipeline.verification.email_syntax import parsed_one
from crm_pipeline.verification.emails import judge_emails
from crm_pipeline.verification.mail_servers import DomainAnswer, apply_dns
from crm_pipeline.verification.phones import judge_phones
from crm_pipeline.verification.vocabulary import (
    EMAIL_RULE,
    PHONE_RULE,
    EmailReason,
    PhoneReason,
    PhoneType,
)

_MOST_SHOWN = 200


class Finding(NamedTuple):
    """One line of an explanation.

    Attributes:
        kind: `email` or `phone` of a value and its verdict, `reason` of a reason with the verdict that it means, or
            `country` of one that is not known.
        subject: the address or number as it was understood, or the word of the reason.
        verdict: the verdict.
        why: what that says.
        cure: what to do; "" where nothing is to be done.
    """

    kind: Literal["email", "phone", "reason", "country"]
    subject: str
    verdict: str
    why: str
    cure: str

    @property
    def what(self) -> str:
        """The subject and its verdict as one text."""
        return f"{self.subject}: {self.verdict}"


_COUNTRY_CURE = "Give its code of two letters, such as DE."
_EMAIL_CURES: Mapping[EmailReason, str] = {
    EmailReason.BAD_SYNTAX: "Ask for the address again, or look for it in the person's mails.",
    EmailReason.DAMAGED: "Look for the address in its source, and for where its characters are lost.",
    EmailReason.SPECIAL_USE: "Ask for the public address.",
    EmailReason.NO_DOMAIN: "Look for the company's present domain.",
    EmailReason.NO_MX: "Look for the company's present domain.",
    EmailReason.NULL_MX: "Ask for another address: this domain never takes mail.",
    EmailReason.PLACEHOLDER: "Empty the field, or ask for the address.",
    EmailReason.DISPOSABLE: "Ask for a lasting address before anything depends on it.",
    EmailReason.ROLE: "Look for the person's own address.",
    EmailReason.HOMOGRAPH: "Compare the domain with the company's, letter by letter, before you write.",
    EmailReason.UNKNOWN_TLD: "Check the end of the domain.",
    EmailReason.NOT_CHECKED: "To learn whether the domain receives mail: `verify --dns` for one address, `verification: {dns: on}` "
    "in connections.yaml for all.",
    EmailReason.DNS_FAILED: "Nothing to do for records: a refresh asks again. If it lasts, check `resolver` in connections.yaml "
    "and the network.",
    EmailReason.MAILBOX_NOT_FOUND: "Ask for the present address; the person may have left.",
    EmailReason.CATCH_ALL: "Write only where a bounce does no harm.",
    EmailReason.UNCONFIRMED: "Write only where a bounce does no harm, or ask another provider.",
}
_PHONE_CURES: Mapping[PhoneReason, str] = {
    PhoneReason.NOT_A_NUMBER: "Empty the field, or ask for the number.",
    PhoneReason.NO_REGION: "Fill the country of the record, or write the number with its country code.",
    PhoneReason.UNKNOWN_COUNTRY_CODE: "Check the digits behind the plus sign.",
    PhoneReason.NO_AREA_CODE: "Add the area code.",
    PhoneReason.TOO_SHORT: "Look for missing digits.",
    PhoneReason.TOO_LONG: "Look for two numbers in one, or an extension without its mark.",
    PhoneReason.INVALID_FOR_REGION: "Check the digits, and the country of the record.",
    PhoneReason.PLACEHOLDER: "Empty the field, or ask for the number.",
    PhoneReason.FICTION: "Empty the field, or ask for the number.",
    PhoneReason.LETTERS: "Write the number in digits.",
    PhoneReason.SHARED: "Look for the person's own number.",
    PhoneReason.PREMIUM_RATE: "Look for another number before you call.",
    PhoneReason.OTHER_COUNTRY: "Nothing to do where the person moved or travels; else check the country.",
}


def explain_email(value: str, answers: Mapping[str, DomainAnswer] | None = None) -> list[Finding]:
    """Return what is known about each address in a text.

    Args:
        value: as it stands in a field.
        answers: what DNS said about domains, where it was asked.
    """
    judged = apply_dns(judge_emails(_column(value)), answers or {})
    findings = []
    for row in judged.to_pylist():
        form = _shown(row["email_normalized"] or row["address"])
        is_same = row["address"] == value
        why = "Read as it stands." if is_same else f"Read as '{_shown(row['address'])}'."
        findings.append(Finding("email", form, row["verdict"], why, ""))
        for word in row["reasons"]:
            reason = EmailReason[word.upper()]
            why, cure = reason.description, _EMAIL_CURES.get(reason, "")
            if reason is EmailReason.BAD_SYNTAX:
                why = f"{why} {_shown(parsed_one(row['address']).problem or '')}".strip()
            if reason is EmailReason.TYPO:
                cure = f"Did you mean {row['suggestion']}?"
            findings.append(Finding("reason", str(reason), str(EMAIL_RULE[reason]), why, cure))
    return findings


def explain_phone(value: str, country: str = "") -> list[Finding]:
    """Return what is known about each number in a text.

    Args:
        value: as it stands in a field.
        country: code or name of the country that numbers without a country code are of; "" where none is known.
    """
    region = region_of(country) if country else None
    findings = []
    if country and not region:
        why = f"'{_shown(country)}' is no country that is known, or may be more than one."
        findings.append(Finding("country", "country", "unknown", why, _COUNTRY_CURE))
    for row in judge_phones(_column(value), pa.array([region], pa.string())).to_pylist():
        extension = f" extension {row['extension']}" if row["extension"] else ""
        form = f"{row['phone_e164'] or _shown(row['number'])}{extension}"
        findings.append(Finding("phone", form, row["verdict"], _kind(row), ""))
        for word in row["reasons"]:
            reason = PhoneReason[word.upper()]
            why, cure = reason.description, _PHONE_CURES.get(reason, "")
            findings.append(Finding("reason", str(reason), str(PHONE_RULE[reason]), why, cure))
    return findings


def _kind(row: Mapping[str, str | None]) -> str:
    """Return what kind of number a row is about."""
    kind, country = row["phone_type"], row["phone_country"]
    place = f" in {country}" if country and country != "001" else ""
    if not kind:
        return f"The kind of the number is not known{place}."
    return f"{kind}{place}: {PhoneType[kind.upper()].description}"


def _shown(text: str) -> str:
    """Return a foreign text for a line of ours: on one line, and not too long."""
    return shortened(on_one_line(text), _MOST_SHOWN)


def _column(value: str) -> pa.StringArray:
    """Return one text as a column; lone surrogates, which no text in UTF-8 has, are replaced."""
    return pa.array([value.encode(errors="surrogatepass").decode(errors="replace")])
