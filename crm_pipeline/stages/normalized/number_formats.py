"""How the numbers of a field are written, where not plainly: `1,800.00`, `1.800,00`, `1'800.00` or `1 800,00`.

Which it is, is decided by all texts of the field together. Texts that agree on one way are read in that way;
of those that do not, and of such as can be read in two, none is guessed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from crm_pipeline.model.names import quoted
from crm_pipeline.model.numbers import NUMBER_FORMATS, is_number, is_plain, number
from crm_pipeline.stages.normalized.choices import chosen
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.store.engine import Engine

UNCLEAR = " (its numbers are written in ways that do not agree, or that mean two things)"


@dataclass(frozen=True)
class NumberFormats:
    """What is known of how fields, `(object, field)`, write their numbers.

    Attributes:
        known: the fields that were looked at, each with the way of `NUMBER_FORMATS`; "" where none can be told.
        separated: of the latter, those that do hold separators.
    """

    known: Mapping[tuple[str, str], str] = field(default_factory=dict)
    separated: frozenset[tuple[str, str]] = frozenset()

    def __add__(self, other: "NumberFormats") -> "NumberFormats":
        return NumberFormats({**self.known, **other.known}, self.separated | other.separated)

    @property
    def told(self) -> Mapping[tuple[str, str], str]:
        """What to say of the fields whose way cannot be told."""
        return {name: UNCLEAR for name in self.separated if not self.known[name]}

    def over(self, feed: Feed) -> Feed:
        """Return a feed that reads its numbers so."""
        ways = {
            name: way for (obj, name), way in self.known.items() if way and obj == feed.one.object
        }
        return replace(feed, number_formats=ways)


def number_formats_of(
    engine: Engine, feed: Feed, folded: str, wanted: Iterable[str]
) -> NumberFormats:
    """Look at all texts of some fields and tell how their numbers are written.

    Args:
        engine: does the work.
        feed: of the object that the fields belong to.
        folded: the relation with the texts.
        wanted: names of fields; those that feed no column of numbers are passed over.
    """
    names = set(wanted)
    found = NumberFormats()
    for entry in feed.mapped:
        column = feed.table.by_name.get(entry.column)
        if entry.source in names and column and is_number(column.type) and entry.is_whole:
            texts = f"(SELECT {chosen(feed, entry)} AS t FROM {folded})"
            name = (feed.one.object, entry.source)
            way, is_separated = _way(engine, texts)
            found += NumberFormats({name: way}, frozenset({name} if is_separated else ()))
    return found


def _way(engine: Engine, texts: str) -> tuple[str, bool]:
    """Return the way in which all numbers among texts are written, and whether some are not plain."""
    plain = is_plain("t")
    fits = [one.fits("t") for one in NUMBER_FORMATS.values()]
    among = f"coalesce({plain} OR {' OR '.join(fits)}, false)"
    counted = ", ".join(f"count(*) FILTER (WHERE {each})" for each in fits)
    total, odd, *counts = engine.row(
        f"SELECT count(*), count(*) FILTER (WHERE NOT {plain}), {counted} FROM {texts} WHERE {among}"
    )
    if not odd:
        return "", False
    candidates = [way for way, n in zip(NUMBER_FORMATS, counts, strict=True) if n == total]
    if not candidates or not _agree(engine, texts, candidates):
        return "", True
    return candidates[0], True


def _agree(engine: Engine, texts: str, candidates: Sequence[str]) -> bool:
    """Say whether texts mean the same numbers in all of some ways."""
    read = {way: number(NUMBER_FORMATS[way].plain("t"), "DECIMAL(38,12)") for way in candidates}
    listed = ", ".join(f"{sql} AS {quoted(way)}" for way, sql in read.items())
    apart = [
        f"{quoted(one)} IS DISTINCT FROM {quoted(other)}"
        for one, other in combinations(candidates, 2)
    ]
    if not apart:
        return True
    found = engine.row(
        f"SELECT count(*) FROM (SELECT {listed} FROM {texts}) WHERE {' OR '.join(apart)}"
    )
    return not found[0]
