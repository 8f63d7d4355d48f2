"""Reasons as a table of flags, and back: one row for each verdict, one column for each reason.

What decides about many addresses or numbers works on flags; lists of words and verdicts are made from them at the end.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm_pipeline.verification.vocabulary import Term

Flags = NDArray[np.bool_]
R = TypeVar("R", bound=Term)
V = TypeVar("V", bound=Term)


def no_flags(count: int, rule: Mapping[R, V]) -> Flags:
    """Return flags of which none is set."""
    return np.zeros((count, len(rule)), np.bool_)


def column(reason: R, rule: Mapping[R, V]) -> int:
    """Return the column of a reason."""
    return list(rule).index(reason)


def listed(flags: Flags, rule: Mapping[R, V]) -> pa.ListArray:
    """Return the reasons of each row as a list of words, in the order of the vocabulary."""
    _, words = np.nonzero(flags)
    ends = np.concatenate([[0], np.cumsum(flags.sum(axis=1))])
    values = pa.array([str(reason) for reason in rule]).take(pa.array(words))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


def flagged(lists: pa.ListArray | pa.ChunkedArray, rule: Mapping[R, V]) -> Flags:
    """Return the flags of lists of words.

    Raises:
        ValueError: a word is not in the vocabulary.
    """
    whole = pa.chunked_array([lists]) if isinstance(lists, pa.Array) else lists
    flags = no_flags(len(whole), rule)
    table = pa.array([str(reason) for reason in rule])
    begin = 0
    for chunk in whole.chunks:
        columns = np.asarray(chunk.flatten().dictionary_encode().indices)
        words = chunk.flatten().dictionary_encode().dictionary.to_pylist()
        known = np.array([_index(word, table.to_pylist()) for word in words], np.int64)
        sizes = np.asarray(chunk.value_lengths().fill_null(0))
        rows = np.repeat(np.arange(begin, begin + len(chunk)), sizes)
        flags[rows, known[columns] if len(words) else columns] = True
        begin += len(chunk)
    return flags


def _index(word: str, words: list[str]) -> int:
    if word not in words:
        raise ValueError(
            f"The reason {word!r} is not in the vocabulary; known: {', '.join(words)}."
        )
    return words.index(word)


def verdicts(flags: Flags, rule: Mapping[R, V]) -> pa.StringArray:
    """Return the verdict of each row: the strongest that one of its reasons means.

    Raises:
        ValueError: a row has no reason.
    """
    if not flags.any(axis=1).all():
        raise ValueError("A verdict without a reason was asked for; give each row at least one.")
    strength = by_strength(rule)
    rank = np.array([strength.index(verdict) for verdict in rule.values()], np.int8)
    strongest = np.where(flags, rank, 0).max(axis=1, initial=0)
    return pa.array([str(verdict) for verdict in strength]).take(pa.array(strongest))


def by_strength(rule: Mapping[R, V]) -> list[V]:
    """Return the verdicts of a rule, the weakest first.

    They are declared best first. That nothing is known is weaker than a confirmation, and what speaks against a value
    is stronger than both.
    """
    confirmed, unknown, *against = type(next(iter(rule.values())))
    return [unknown, confirmed, *against]


def verdict_of(reasons: Iterable[R], rule: Mapping[R, V]) -> V:
    """Return the verdict that some reasons mean together.

    Raises:
        ValueError: there is no reason.
    """
    return max((rule[reason] for reason in reasons), key=by_strength(rule).index)
