"""How the numbers of a field are written, where not plainly: `1,800.00`, `1.800,00`, `1'800.00` or `1 800,00`.

Which it is, is decided by all texts of the field together. Texts that agree on one way are read in that way;
of those that do not, and of such as can be read in two, none is guessed. A way that was found stays: a record that
is corrected must not give the others new meanings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from crm_pipeline.model.names import quoted
from crm_pipeline.model.numbers import NUMBER_FORMATS, is_number, is_plain, number
from crm_pipeline.stages.normalized.choices import chosen
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.store.tables import TableVersion
from crm_pipeline.store.tables.engine import Engine

UNCLEAR = " (its numbers are written in ways that do not agree, or that mean two things)"


@dataclass(frozen=True)
class NumberFormats:
    """What is known of how fields, `(object, field)`, write their numbers.

    Attributes:
        known: the fields that were looked at, each with the way of `NUMBER_FORMATS`; "" where none can be told.
        separated: of the latter, those that do hold separators.
        before: the way that a field had in the version before, where what is there now does not agree with it.
    """

    known: Mapping[tuple[str, str], str] = field(default_factory=dict)
    separated: frozenset[tuple[str, str]] = frozenset()
    before: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __add__(self, other: "NumberFormats") -> "NumberFormats":
        return NumberFormats(
            {**self.known, **other.known},
            self.separated | other.separated,
            {**self.before, **other.before},
        )

    @property
    def told(self) -> Mapping[tuple[str, str], str]:
        """What to say of the fields whose way cannot be told."""
        return {name: UNCLEAR for name in self.separated if not self.known[name]}

    @property
    def noted(self) -> list[list[str]]:
        """What a version notes: object, field and way of what is not written plainly."""
        return sorted(
            [*name, self.known[name] or self.before.get(name, "")] for name in self.separated
        )

    def over(self, feed: Feed) -> Feed:
        """Return a feed that reads its numbers so."""
        own = [name for name in self.known if name[0] == feed.one.object]
        ways = {name[1]: self.known[name] for name in own if self.known[name]}
        doubted = {name[1]: self.before[name] for name in own if name in self.before}
        return replace(feed, number_formats=ways, doubted_formats=doubted)


def noted_in(parent: TableVersion | None) -> dict[tuple[str, str], str]:
    """Return the fields whose numbers were written oddly before, with the way; earlier versions note none."""
    noted = parent.meta.get("number_formats", ()) if parent else ()
    return {(obj, name): way[0] if way else "" for obj, name, *way in noted}


def number_formats_of(
    engine: Engine, feed: Feed, folded: str, wanted: Mapping[tuple[str, str], str]
) -> NumberFormats:
    """Look at all texts of some fields and tell how their numbers are written.

    Args:
        engine: does the work.
        feed: of the object that the fields belong to.
        folded: the relation with the texts.
        wanted: fields with the way that each had before, "" where none is known; those of other objects and
            those that feed no column of numbers are passed over.
    """
    found = NumberFormats()
    own = {
        (obj, feed.one.linked.former(name)): way
        for (obj, name), way in wanted.items()
        if obj == feed.one.object
    }
    for entry in feed.mapped:
        column = feed.table.by_name.get(entry.column)
        name = (feed.one.object, entry.source)
        if name in own and column and is_number(column.type) and entry.is_whole:
            texts = f"(SELECT {chosen(feed, entry)} AS t FROM {folded})"
            found += _found(engine, texts, name, own[name])
    return found


def _found(engine: Engine, texts: str, name: tuple[str, str], before: str) -> NumberFormats:
    way, is_separated = _way(engine, texts, before)
    if before and not _keeps(engine, texts, before, way):
        return NumberFormats({name: ""}, frozenset({name}), {name: before})
    return NumberFormats({name: way}, frozenset({name} if is_separated else ()))


def _way(engine: Engine, texts: str, before: str) -> tuple[str, bool]:
    """Return the way in which all numbers among texts are written, and whether some are not plain.

    The way of before goes first, also where all are written plainly now: 1.234 stays a thousand and more.
    """
    plain = is_plain("t")
    fits = [one.fits("t") for one in NUMBER_FORMATS.values()]
    among = f"coalesce({plain} OR {' OR '.join(fits)}, false)"
    counted = ", ".join(f"count(*) FILTER (WHERE {each})" for each in fits)
    total, odd, *counts = engine.row(
        f"SELECT count(*), count(*) FILTER (WHERE NOT {plain}), {counted} FROM {texts} WHERE {among}"
    )
    candidates = [way for way, n in zip(NUMBER_FORMATS, counts, strict=True) if n == total]
    if before in candidates:
        return before, True
    if not odd:
        return "", False
    if not candidates or not _agree(engine, texts, candidates):
        return "", True
    return candidates[0], True


def _keeps(engine: Engine, texts: str, before: str, way: str) -> bool:
    """Say whether texts that fit the way of before mean the same now."""
    earlier = number(NUMBER_FORMATS[before].plain("t"), "DECIMAL(38,12)")
    now = number(NUMBER_FORMATS[way].plain("t") if way else "t", "DECIMAL(38,12)")
    moved = f"{earlier} IS DISTINCT FROM {now}"
    found = engine.row(
        f"SELECT count(*) FROM {texts} WHERE {NUMBER_FORMATS[before].fits('t')} AND {moved}"
    )
    return not found[0]


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
