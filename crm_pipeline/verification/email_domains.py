"""What is known about the domains of e-mail addresses without asking anybody.

Domains are looked at once each, however many addresses they have. Those of two labels, which nearly all are, are
compared as columns; only deeper and internationalised ones are looked at by themselves.
"""

import unicodedata
from dataclasses import dataclass

import idna
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crm_pipeline.verification.mail_lists import (
    disposable_domains,
    free_domains,
    is_top_level,
    public_suffixes,
    typo_domains,
)
from crm_pipeline.verification.role_names import EXAMPLE_DOMAINS, PLACEHOLDER_WORDS

# Cyrillic letters that look like Latin ones in common fonts (the list that Chromium keeps for the same purpose).
_LATIN_LOOKALIKES = frozenset("аысԁеԍһіюјӏорԗԛѕԝхуъьҽпгѵѡ")
# Chinese, Japanese and Korean are written in several scripts at once.
_WRITTEN_TOGETHER = (
    {"CJK", "HIRAGANA", "KATAKANA", "LATIN"},
    {"CJK", "HANGUL", "LATIN"},
    {"CJK", "BOPOMOFO", "LATIN"},
)


@dataclass(frozen=True)
class DomainFacts:
    """What is known about domains, in the order of the input.

    Attributes:
        disposable: the domain or one that it is a part of hands out mailboxes to throw away.
        free: anybody gets a mailbox there.
        placeholder: the domain is kept for examples.
        blank_word: its first label is a word that says nothing, such as test; null for others.
        unknown_tld: its last part is not on the public suffix list.
        homograph: it mixes scripts, or imitates Latin letters.
        suggestion: the large provider that was meant; null where none is near.
    """

    disposable: NDArray[np.bool_]
    free: NDArray[np.bool_]
    placeholder: NDArray[np.bool_]
    blank_word: pa.StringArray
    unknown_tld: NDArray[np.bool_]
    homograph: NDArray[np.bool_]
    suggestion: pa.StringArray


def facts_about(domains: pa.StringArray) -> DomainFacts:
    """Return what is known about distinct domains, in ASCII and lower case, without nulls."""
    top = pc.replace_substring_regex(domains, r"^.*\.", "").dictionary_encode()
    known = np.array([is_top_level(name) for name in top.dictionary.to_pylist()], np.bool_)
    homograph = np.array(pc.match_substring_regex(domains, r"(?:^|\.)xn--"))
    coded = np.flatnonzero(homograph)
    homograph[coded] = [is_homograph(d) for d in domains.take(pa.array(coded)).to_pylist()]
    mistyped, meant = typo_domains()
    label = pc.replace_substring_regex(domains, r"\..*$", "")
    is_word = pc.is_in(label, value_set=pa.array(sorted(PLACEHOLDER_WORDS)))
    return DomainFacts(
        _are_disposable(domains),
        np.asarray(pc.is_in(domains, value_set=free_domains())),
        np.asarray(pc.is_in(domains, value_set=pa.array(sorted(EXAMPLE_DOMAINS)))),
        pc.if_else(is_word, label, pa.scalar(None, pa.string())),
        ~known[np.asarray(top.indices)] if len(domains) else np.zeros(0, np.bool_),
        homograph,
        meant.take(pc.index_in(domains, value_set=mistyped)),
    )


def _are_disposable(domains: pa.StringArray) -> NDArray[np.bool_]:
    """Return which domains are on the list, or a part of one that is and that somebody registered."""
    holds = np.array(pc.is_in(domains, value_set=disposable_domains()))
    above = domains
    rows = np.arange(len(domains))
    while True:
        is_deep = pc.greater(pc.count_substring(above, "."), 1)
        above, rows = pc.filter(above, is_deep), rows[np.asarray(is_deep)]
        if not len(rows):
            return holds
        above = pc.replace_substring_regex(above, r"^[^.]*\.", "")
        hits = np.flatnonzero(np.asarray(pc.is_in(above, value_set=disposable_domains())))
        names = above.take(pa.array(hits)).to_pylist()
        # Below a public suffix everybody has a domain of his own: the list means the suffix itself.
        own = [public_suffixes().publicsuffix(name) != name for name in names]
        holds[rows[hits]] |= np.array(own, np.bool_)


def is_homograph(domain: str) -> bool:
    """Return whether a label mixes scripts that are not written together, or is Cyrillic made to look Latin."""
    labels = [idna.decode(label) for label in domain.split(".")]
    top_is_latin = labels[-1].isascii()
    return any(
        _mixes_scripts(label)
        or (top_is_latin and _LATIN_LOOKALIKES.issuperset(label) and label != "")
        for label in labels
        if not label.isascii()
    )


def _mixes_scripts(label: str) -> bool:
    scripts = {unicodedata.name(c, "?").split(" ")[0] for c in label if c.isalpha()}
    return len(scripts) > 1 and not any(scripts <= written for written in _WRITTEN_TOGETHER)
