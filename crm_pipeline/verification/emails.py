"""Verdicts on e-mail addresses from their text and from lists: what may be mailed, and why not."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crm_pipeline.verification.email_domains import facts_about
from crm_pipeline.verification.email_syntax import ParsedAddresses, parsed
from crm_pipeline.verification.email_texts import addresses_of
from crm_pipeline.verification.parts import readable
from crm_pipeline.verification.reasons import Flags, column, listed, no_flags, verdicts
from crm_pipeline.verification.role_names import PLACEHOLDER_WORDS, ROLE_NAMES
from crm_pipeline.verification.vocabulary import EMAIL_RULE, EmailReason, Method

_GMAIL = pa.array(["gmail.com", "googlemail.com"])


def judge_emails(values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Return a verdict on each address of each value.

    Args:
        values: distinct texts; a field may hold several addresses. A null has no row, any other value at least one.

    Returns:
        value, position, address as written, email_normalized, email_ascii, domain, match_key, verdict, reasons,
        suggestion and method, in the order of the values. The normal forms are null where the syntax is bad.
    """
    texts = readable(values)
    parts = addresses_of(texts)
    addresses = parsed(parts.text)
    flags, suggestion = _judged(addresses)
    return pa.table(
        {
            "value": texts.take(pa.array(parts.field)),
            "position": pa.array(parts.position),
            "address": parts.text,
            "email_normalized": addresses.normalized,
            "email_ascii": addresses.ascii,
            "domain": addresses.domain,
            "match_key": match_keys(addresses),
            "verdict": verdicts(flags, EMAIL_RULE),
            "reasons": listed(flags, EMAIL_RULE),
            "suggestion": suggestion,
            "method": pa.array([str(Method.OFFLINE)]).take(pa.array(np.zeros(len(flags), np.int8))),
        }
    )


def match_keys(addresses: ParsedAddresses) -> pa.StringArray:
    """Return what two spellings of one mailbox have in common: for comparing, never for mailing.

    Case is folded; at Gmail dots and what follows a plus do not count, and its two domains are one.
    """
    local = pc.utf8_lower(addresses.local)
    is_gmail = pc.is_in(addresses.domain, value_set=_GMAIL)
    short = pc.replace_substring(pc.replace_substring_regex(local, r"\+.*$", ""), ".", "")
    is_gmail = pc.and_(is_gmail, pc.greater(pc.binary_length(short), 0))
    return pc.binary_join_element_wise(
        pc.if_else(is_gmail, short, local),
        pc.if_else(is_gmail, pa.scalar("gmail.com"), addresses.domain),
        "@",
    )


def _judged(addresses: ParsedAddresses) -> tuple[Flags, pa.StringArray]:
    """Return the reasons that hold for each address, and what may have been meant instead."""
    flags = no_flags(len(addresses.domain), EMAIL_RULE)
    coded = addresses.domain.dictionary_encode()
    facts = facts_about(coded.dictionary)
    is_bad = np.asarray(addresses.domain.is_null())
    codes = np.asarray(coded.indices.fill_null(0))

    def of_domain(fact: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return ~is_bad & (fact[codes] if len(fact) else False)

    is_special = _true(pc.match_substring(addresses.problem, "special-use"))
    suggestion = facts.suggestion.take(coded.indices)
    found: Mapping[EmailReason, NDArray[np.bool_]] = {
        EmailReason.BAD_SYNTAX: is_bad & ~is_special,
        EmailReason.SPECIAL_USE: is_special,
        EmailReason.PLACEHOLDER: of_domain(facts.example) | _are_placeholders(addresses),
        EmailReason.TYPO: np.asarray(suggestion.is_valid()),
        EmailReason.DISPOSABLE: of_domain(facts.disposable),
        EmailReason.ROLE: _are_roles(addresses.local),
        EmailReason.HOMOGRAPH: of_domain(facts.homograph),
        EmailReason.UNKNOWN_TLD: of_domain(facts.unknown_tld),
        EmailReason.FREE_PROVIDER: of_domain(facts.free),
        EmailReason.NOT_CHECKED: ~is_bad,
    }
    for reason, holds in found.items():
        flags[:, column(reason, EMAIL_RULE)] = holds
    local = addresses.local
    return flags, pc.binary_join_element_wise(local, suggestion, "@")


def _are_roles(local: pa.StringArray) -> NDArray[np.bool_]:
    name = pc.replace_substring_regex(pc.utf8_lower(local), r"\+.*$", "")
    return _true(pc.is_in(name, value_set=pa.array(sorted(ROLE_NAMES))))


def _are_placeholders(addresses: ParsedAddresses) -> NDArray[np.bool_]:
    """Return which addresses have the same word on both sides, one that says nothing, such as test@test.com."""
    label = pc.replace_substring_regex(addresses.domain, r"\..*$", "")
    is_word = pc.is_in(label, value_set=pa.array(sorted(PLACEHOLDER_WORDS)))
    return _true(pc.and_(is_word, pc.equal(pc.utf8_lower(addresses.local), label)))


def _true(holds: pa.BooleanArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(holds, False))  # noqa: FBT003 - the parameter has no other form
