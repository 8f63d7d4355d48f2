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
from crm_pipeline.verification.role_names import EXAMPLE_DOMAINS

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
        example: the domain is kept for examples.
        unknown_tld: its last part is not on the public suffix list.
        homograph: it mixes scripts, or imitates Latin letters.
        suggestion: the large provider that was meant; null where none is near.
    """

    disposable: NDArray[np.bool_]
    free: NDArray[np.bool_]
    example: NDArray[np.bool_]
    unknown_tld: NDArray[np.bool_]
    homograph: NDArray[np.bool_]
    suggestion: pa.StringArray


def facts_about(domains: pa.StringArray) -> DomainFacts:
    """Return what is known about distinct domains, in ASCII and lower case, without nulls."""
    disposable = np.array(pc.is_in(domains, value_set=disposable_domains()))
    deep = np.flatnonzero(np.asarray(pc.count_substring(domains, ".")) > 1)
    if len(deep):
        listed = set(disposable_domains().to_pylist())
        names = domains.take(pa.array(deep)).to_pylist()
        disposable[deep] = [not listed.isdisjoint(_above(name)) for name in names]
    top = pc.replace_substring_regex(domains, r"^.*\.", "").dictionary_encode()
    known = np.array([is_top_level(name) for name in top.dictionary.to_pylist()], np.bool_)
    homograph = np.array(pc.match_substring_regex(domains, r"(?:^|\.)xn--"))
    coded = np.flatnonzero(homograph)
    homograph[coded] = [is_homograph(d) for d in domains.take(pa.array(coded)).to_pylist()]
    mistyped, meant = typo_domains()
    return DomainFacts(
        disposable,
        np.asarray(pc.is_in(domains, value_set=free_domains())),
        np.asarray(pc.is_in(domains, value_set=pa.array(sorted(EXAMPLE_DOMAINS)))),
        ~known[np.asarray(top.indices)] if len(domains) else np.zeros(0, np.bool_),
        homograph,
        meant.take(pc.index_in(domains, value_set=mistyped)),
    )


def _above(domain: str) -> list[str]:
    """Return a domain and those that it is a part of, down to the one that was registered."""
    registered = public_suffixes().privatesuffix(domain) or domain
    labels = domain.split(".")
    least = registered.count(".") + 1
    return [".".join(labels[at:]) for at in range(len(labels) - least + 1)]


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
