"""Find out the number format of a field whose numbers are not written plainly: `1,800.00`, `1.800,00`, `1 800,00`.

All texts of the field together decide. If one format fits all of them, they are read in it. If none fits, or several
fit and would give different numbers, nothing is guessed. A format stays once it is found, because a correction of
one record must not change the numbers of others.
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
    """The number formats of fields, `(object, field)`.

    Attributes:
        formats: the format in `NUMBER_FORMATS` of each examined field; "" where it is plain or unclear.
        separated: the examined fields that have numbers with separators.
        before: the format of a field in the version before, where its texts contradict that format now.
    """

    formats: Mapping[tuple[str, str], str] = field(default_factory=dict)
    separated: frozenset[tuple[str, str]] = frozenset()
    before: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __add__(self, other: "NumberFormats") -> "NumberFormats":
        return NumberFormats(
            {**self.formats, **other.formats},
            self.separated | other.separated,
            {**self.before, **other.before},
        )

    @property
    def hints(self) -> Mapping[tuple[str, str], str]:
        """Text about each field whose format is unclear."""
        return {name: UNCLEAR for name in self.separated if not self.formats[name]}

    @property
    def to_meta(self) -> list[list[str]]:
        """Object, field and format of the fields that are not written plainly, for a version's meta."""
        return sorted(
            [*name, self.formats[name] or self.before.get(name, "")] for name in self.separated
        )

    def over(self, feed: Feed) -> Feed:
        """Return a feed that reads its numbers in these formats."""
        own = [name for name in self.formats if name[0] == feed.landed.object]
        ways = {name[1]: self.formats[name] for name in own if self.formats[name]}
        doubted = {name[1]: self.before[name] for name in own if name in self.before}
        return replace(feed, number_formats=ways, doubted_formats=doubted)


def stored_formats(parent: TableVersion | None) -> dict[tuple[str, str], str]:
    """Return the fields whose numbers were not written plainly in a version, with the format, if it has one."""
    stored = parent.meta.get("number_formats", ()) if parent else ()
    return {(obj, name): way[0] if way else "" for obj, name, *way in stored}


def number_formats_of(
    engine: Engine, feed: Feed, folded: str, earlier: Mapping[tuple[str, str], str]
) -> NumberFormats:
    """Examine all texts of some fields and return their number formats.

    Args:
        engine: runs the SQL.
        feed: the object that the fields belong to.
        folded: the relation with the texts.
        earlier: the fields, each with its format in the version before, "" for none; fields of other objects
            and fields that feed no column of numbers are skipped.
    """
    formats = NumberFormats()
    own = {
        (obj, feed.landed.linked.current_name(name)): way
        for (obj, name), way in earlier.items()
        if obj == feed.landed.object
    }
    for entry in feed.mapped:
        column = feed.table.by_name.get(entry.column)
        name = (feed.landed.object, entry.source)
        if name in own and column and is_number(column.type) and entry.is_whole:
            texts = f"(SELECT {chosen(feed, entry)} AS t FROM {folded})"
            formats += _format_of(engine, texts, name, own[name])
    return formats


def number_fields_of(feed: Feed) -> frozenset[str]:
    """Return the fields of an object, `<object>.<field>`, whose texts decide together in which format they are read."""
    return frozenset(
        f"{feed.landed.object}.{entry.source}"
        for entry in feed.mapped
        if (column := feed.table.by_name.get(entry.column))
        and is_number(column.type)
        and entry.is_whole
    )


def _format_of(engine: Engine, texts: str, name: tuple[str, str], before: str) -> NumberFormats:
    way, is_separated = _way(engine, texts, before)
    if before and not _is_consistent(engine, texts, before, way):
        return NumberFormats({name: ""}, frozenset({name}), {name: before})
    return NumberFormats({name: way}, frozenset({name} if is_separated else ()))


def _way(engine: Engine, texts: str, before: str) -> tuple[str, bool]:
    """Return the format that fits all numbers among texts, and whether some are not plain.

    The format of before counts first, even if all numbers are plain now: 1.234 stays 1,234.
    """
    plain = is_plain("t")
    fits = [form.fits("t") for form in NUMBER_FORMATS.values()]
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


def _is_consistent(engine: Engine, texts: str, before: str, way: str) -> bool:
    """Say whether texts that fit the format of before give the same numbers in the format of now."""
    then = number(NUMBER_FORMATS[before].plain("t"), "DECIMAL(38,12)")
    now = number(NUMBER_FORMATS[way].plain("t") if way else "t", "DECIMAL(38,12)")
    differs = f"{then} IS DISTINCT FROM {now}"
    count = engine.row(
        f"SELECT count(*) FROM {texts} WHERE {NUMBER_FORMATS[before].fits('t')} AND {differs}"
    )
    return not count[0]


def _agree(engine: Engine, texts: str, candidates: Sequence[str]) -> bool:
    """Say whether texts give the same numbers in all of some formats."""
    read = {way: number(NUMBER_FORMATS[way].plain("t"), "DECIMAL(38,12)") for way in candidates}
    listed = ", ".join(f"{sql} AS {quoted(way)}" for way, sql in read.items())
    differences = [
        f"{quoted(left)} IS DISTINCT FROM {quoted(right)}"
        for left, right in combinations(candidates, 2)
    ]
    if not differences:
        return True
    count = engine.row(
        f"SELECT count(*) FROM (SELECT {listed} FROM {texts}) WHERE {' OR '.join(differences)}"
    )
    return not count[0]
