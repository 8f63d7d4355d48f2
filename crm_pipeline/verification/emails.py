"""Verdicts on e-mail addresses from their text and from lists: what may be mailed, and why not."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crm_pipeline.verification.email_domains import facts_about
from crm_pipeline.verification.email_syntax import ParsedAddresses, parsed
from crm_pipeline.verification.email_texts import addresses_of
from crm_pipeline.verification.parts import REPLACEMENT, readable
from crm_pipeline.verification.reasons import Flags, column, listed, no_flags, verdicts
from crm_pipeline.verification.role_names import ROLE_NAMES
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
    flags[:, column(EmailReason.DAMAGED, EMAIL_RULE)] = _true(
        pc.match_substring(parts.text, REPLACEMENT)
    )
    return pa.table(
        {
            "value": parts.of(texts),
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
    local = _folded(addresses.local)
    keys = pc.binary_join_element_wise(local, addresses.domain, "@")
    is_gmail = pc.and_(
        pc.is_in(addresses.domain, value_set=_GMAIL), pc.match_substring_regex(local, r"^\.*[^.+]")
    )
    short = pc.replace_substring(_untagged(local.filter(is_gmail)), ".", "")
    return pc.replace_with_mask(
        keys, is_gmail, pc.binary_join_element_wise(short, "gmail.com", "@")
    )


def _judged(addresses: ParsedAddresses) -> tuple[Flags, pa.StringArray]:
    """Return the reasons that hold for each address, and what may have been meant instead."""
    flags = no_flags(len(addresses.domain), EMAIL_RULE)
    coded = addresses.domain.dictionary_encode()
    facts = facts_about(coded.dictionary)
    is_bad = np.asarray(addresses.domain.is_null())
    codes = np.asarray(coded.indices.fill_null(len(coded.dictionary)))

    def of_domain(fact: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.append(fact, np.False_).take(codes)

    is_special = np.asarray(addresses.is_special.fill_null(False))  # noqa: FBT003
    suggestion = facts.suggestion.take(coded.indices)
    local = _folded(addresses.local)
    blank = _true(pc.equal(local, facts.blank_word.take(coded.indices)))
    found: Mapping[EmailReason, NDArray[np.bool_]] = {
        EmailReason.BAD_SYNTAX: is_bad & ~is_special,
        EmailReason.SPECIAL_USE: is_special,
        EmailReason.PLACEHOLDER: of_domain(facts.placeholder) | blank,
        EmailReason.TYPO: np.asarray(suggestion.is_valid()),
        EmailReason.DISPOSABLE: of_domain(facts.disposable),
        EmailReason.ROLE: _are_roles(local),
        EmailReason.HOMOGRAPH: of_domain(facts.homograph),
        EmailReason.UNKNOWN_TLD: of_domain(facts.unknown_tld),
        EmailReason.FREE_PROVIDER: of_domain(facts.free),
        EmailReason.NOT_CHECKED: ~is_bad,
    }
    for reason, holds in found.items():
        flags[:, column(reason, EMAIL_RULE)] = holds
    return flags, pc.binary_join_element_wise(addresses.local, suggestion, "@")


def _are_roles(local: pa.StringArray) -> NDArray[np.bool_]:
    """Return which folded local parts are names of functions, a tag behind a plus aside."""
    names = pa.array(sorted(ROLE_NAMES))
    holds = _true(pc.is_in(local, value_set=names))
    tagged = np.flatnonzero(_true(pc.match_substring(local, "+")))
    holds[tagged] = np.asarray(pc.is_in(_untagged(local.take(pa.array(tagged))), value_set=names))
    return holds


def _folded(local: pa.StringArray) -> pa.StringArray:
    is_ascii = pc.all(pc.string_is_ascii(local), min_count=0).as_py()
    return pc.ascii_lower(local) if is_ascii else pc.utf8_lower(local)


def _untagged(local: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(local, r"\+.*$", "")


def _true(holds: pa.BooleanArray) -> NDArray[np.bool_]:
    return np.array(pc.fill_null(holds, False))  # noqa: FBT003 - the parameter has no other form
