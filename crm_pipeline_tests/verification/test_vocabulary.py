"""One table of rules turns reasons into verdicts; every word carries its sentence."""

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crm_pipeline.verification.reasons import flagged, listed, verdict_of, verdicts
from crm_pipeline.verification.vocabulary import (
    EMAIL_RULE,
    PHONE_RULE,
    EmailReason,
    EmailVerdict,
    Method,
    PhoneReason,
    PhoneType,
    PhoneVerdict,
    Term,
)

RULES: Mapping[str, Any] = {
    "emails": (EMAIL_RULE, EmailReason),
    "phones": (PHONE_RULE, PhoneReason),
}


@pytest.mark.parametrize("kind", RULES)
def test_each_reason_means_one_verdict(kind: str) -> None:
    """The table is complete, and only the confirmation of a provider means a confirmed mailbox or line."""
    rule, reasons = RULES[kind]
    assert list(rule) == list(reasons)
    best = {EmailVerdict.DELIVERABLE, PhoneVerdict.VALID}
    assert {reason for reason in rule if rule[reason] in best} <= {EmailReason.CONFIRMED}


@pytest.mark.parametrize(
    "words", [EmailVerdict, PhoneVerdict, EmailReason, PhoneReason, PhoneType, Method]
)
def test_every_word_has_its_own_sentence(words: type[Term]) -> None:
    """Comments, docs and the command line show them."""
    sentences = [word.description for word in words]
    assert len(set(sentences)) == len(sentences)
    assert all(sentence.endswith(".") and sentence[0].isupper() for sentence in sentences)


@pytest.mark.parametrize("page", ["operations.md", "analysts.md"])
@pytest.mark.parametrize("kind", RULES)
def test_the_docs_list_the_rules(kind: str, page: str) -> None:
    """The docs have exactly the words of the code, in its order, with their sentences and what reasons mean."""
    lines = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8").splitlines()
    rule, _ = RULES[kind]
    noun = {"emails": "an address", "phones": "a number"}[kind]
    known = [f"| `{word}` | {word.description} |" for word in type(next(iter(rule.values())))]
    assert rows_below(f"| verdict on {noun} | |", lines) == known
    reasons = [f"| `{reason}` | `{rule[reason]}` | {reason.description} |" for reason in rule]
    assert rows_below(f"| reason, of {noun} | verdict | |", lines) == reasons


def rows_below(head: str, lines: list[str]) -> list[str]:
    """Return the rows of the one table with a head."""
    [start] = [number for number, line in enumerate(lines) if line == head]
    return list(takewhile(lambda line: line.startswith("|"), lines[start + 2 :]))


@pytest.mark.parametrize("kind", RULES)
def test_the_strongest_reason_decides(kind: str) -> None:
    """For any two reasons, the verdict is the worse of theirs, in whatever order they stand; where nothing speaks
    against a value, a confirmation is stronger than what is not known."""
    rule: Mapping[Term, Term] = RULES[kind][0]
    best, unknown, *_ = order = list(type(next(iter(rule.values()))))
    for first in rule:
        for second in rule:
            lists = pa.array([[str(second), str(first)]])
            expected = max(rule[first], rule[second], key=order.index)
            if {rule[first], rule[second]} == {best, unknown}:
                expected = best
            assert verdicts(flagged(lists, rule), rule).to_pylist() == [str(expected)]
            assert verdict_of([first, second], rule) is expected


def test_lists_and_flags_are_the_same() -> None:
    """Reasons go through flags and back, chunks and empty lists included."""
    rows = [["typo", "not_checked"], [], ["bad_syntax"], ["disposable", "role", "not_checked"]]
    lists = pa.chunked_array(
        [pa.array(rows[:1]), pa.array(rows[1:]), pa.array([], pa.list_(pa.string()))]
    )
    assert listed(flagged(lists, EMAIL_RULE), EMAIL_RULE).to_pylist() == rows


def test_a_word_of_another_vocabulary_is_refused() -> None:
    """A stage that stored something else learns it."""
    with pytest.raises(ValueError, match="'shared' is not in the vocabulary"):
        flagged(pa.array([["shared"]]), EMAIL_RULE)
    with pytest.raises(ValueError, match="without a reason"):
        verdicts(np.zeros((1, len(EMAIL_RULE)), np.bool_), EMAIL_RULE)
