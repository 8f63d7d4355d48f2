"""A version made from the one before equals one made of all that has landed, whatever landed in whatever order."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.stages.normalized import (
    DriftGuard,
    Normalized,
    arrivals,
    from_parent,
    kept,
    table_build,
)
from crm_pipeline.store.drift import Register
from crm_pipeline.store.landing import compaction, records
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Tables, replacement
from crm_pipeline_tests.stages.conftest import STAMP, Org, schema

EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "6"))
"""Plans made at random; the plans below it come on top. A campaign: `CRM_EXAMPLES=2000`."""
SCHEMAS = (
    schema("Contact", "LastName", "Birthdate:date"),
    schema("Contact", "LastName", "Birthdate:date", "Nick"),
)


@dataclass(frozen=True)
class Version:
    """A landed version of a record; a minute of None is a version without a modification time."""

    record: str
    minute: int | None = 1
    name: str = "x"
    born: str = "2000-01-02"
    is_deleted: bool = False


@dataclass(frozen=True)
class Read:
    """One commit. What it holds was requested so many minutes before the present."""

    versions: tuple[Version, ...]
    kind: str = "window"
    late: int = 0
    complete: bool = False


@dataclass(frozen=True)
class Merge:
    """Windows are merged."""


@dataclass(frozen=True)
class Change:
    """Something other than records changes: `field` or `mapping`."""

    what: str


@dataclass(frozen=True)
class Build:
    """A build of both tables."""


Step = Read | Merge | Change | Build


class World:
    """One landing, and two stores of tables: one whose versions are made from each other, one of whole versions."""

    def __init__(self, root: Path) -> None:
        self.org = Org(root / "data")
        self.org.objects["acme"] = {"Contact"}
        self.whole = Tables(root / "whole")
        self.guards = {
            False: self.org.guard,
            True: DriftGuard(Register(root / "whole", self.org.clock)),
        }
        self.tables = self.org.tables
        self.schema = SCHEMAS[0]
        self.from_parent = 0
        self.carry_out(Read(tuple(Version(name) for name in "abcdefgh")))
        self.carry_out(Build())

    def carry_out(self, step: Step) -> None:
        if isinstance(step, Read):
            self._read(step)
        elif isinstance(step, Merge):
            self.org.landing.merge("acme", "Contact")
        elif isinstance(step, Build):
            self._compare()
        elif step.what == "field":
            self.schema = SCHEMAS[1]
        else:
            self.org.mappings = {"Contact": {"LastName": "first_name"}}

    def _read(self, read: Read) -> None:
        self.org.clock.advance(60)
        now = self.org.clock.now()
        window = Window(now, now) if read.kind == "point" else Window(None, now)
        with self.org.landing.begin(
            "acme",
            "Contact",
            window,
            self.schema,
            kind=read.kind,  # type: ignore[arg-type]
        ) as writer:
            for versions in (read.versions[:2], read.versions[2:]):
                if versions:
                    at = now - timedelta(minutes=read.late)
                    batch = page(versions, self.schema.names)
                    writer.write([batch], shape="csv", route="rest", extracted_at=at)
            writer.commit(Counts(complete=read.complete))

    def _built(self, *, whole: bool) -> Normalized | str:
        """Build one of the tables; return the text of a refusal."""
        self.org.tables = self.whole if whole else self.tables
        self.org.guard = self.guards[whole]
        with pytest.MonkeyPatch.context() as patch:
            if whole:
                patch.setattr(table_build, "why_whole", lambda *_: "it is asked for")
            try:
                return self.org.normalize("contacts")
            except ContractError as error:
                return error.message

    def _compare(self) -> None:
        ours, theirs = self._built(whole=False), self._built(whole=True)
        if isinstance(ours, str) or isinstance(theirs, str):
            assert ours == theirs
            return
        assert ours.changed == theirs.changed
        assert rows_of(self.tables) == rows_of(self.whole)
        assert told(self.tables) == told(self.whole)
        version = self.tables.version("normalized/acme/contacts")
        assert version is not None
        self.from_parent += ours.changed and not version.meta["built"]["whole"]


def page(versions: Sequence[Version], names: Sequence[str]) -> pa.RecordBatch:
    texts = ["" if v.minute is None else f"2026-01-01T00:{v.minute:02d}:00.000Z" for v in versions]
    raw = {
        "Id": [v.record for v in versions],
        "IsDeleted": [str(v.is_deleted).lower() for v in versions],
        "CreatedDate": ["" for _ in versions],
        "LastName": [v.name for v in versions],
        "Birthdate": [v.born for v in versions],
        "Nick": [v.name * 2 for v in versions],
        "SystemModstamp": texts,
    }
    keys = {
        "_source_id": pa.array([v.record for v in versions], pa.string()),
        "_modified_at": records.instants(pa.array(texts, pa.string())).cast(STAMP),
        "_deleted": pa.array([v.is_deleted for v in versions], pa.bool_()),
    }
    columns = {name: pa.array(raw[name], pa.string()) for name in names}
    return pa.RecordBatch.from_pydict({**keys, **columns})


def rows_of(tables: Tables) -> list[tuple[Any, ...]]:
    """Return all rows, read with plain SQL from the files that the record of the version names."""
    version = tables.version("normalized/acme/contacts")
    assert version is not None
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        files = {
            part: [str(path) for path in getattr(version, part)]
            for part in ("base", "delta", "tombstones")
        }
        key = version.key[0]
        sql = f"SELECT * FROM read_parquet({files['base']}, union_by_name = true)"
        for part in ("delta", "tombstones"):
            if files[part]:
                sql += (
                    f" WHERE {key} NOT IN (SELECT {key} FROM read_parquet({files[part]}))".replace(
                        "WHERE", "AND" if " WHERE " in sql else "WHERE"
                    )
                )
        if files["delta"]:
            sql += f" UNION ALL BY NAME SELECT * FROM read_parquet({files['delta']})"
        rows = database.execute(f"FROM ({sql}) ORDER BY ALL").fetchall()
    assert len(rows) == version.rows
    return rows


def told(tables: Tables) -> dict[str, Any]:
    """Return what the version says of itself, without examples, which may be any of several."""
    version = tables.version("normalized/acme/contacts")
    assert version is not None
    own = {"built", "compared", "proofs", "judged_by", "results", "described"}
    said = {name: value for name, value in version.meta.items() if name not in own}
    results = [result[:3] for result in version.meta["results"]]
    return {**said, "results": sorted(results), "described": version.meta["described"]}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions be made from others however few rows there are, and windows be merged however few they are."""
    monkeypatch.setattr(from_parent, "MERGED_ABOVE", 100)
    monkeypatch.setattr(replacement, "MERGED_ABOVE", 100)
    monkeypatch.setattr(compaction, "KEPT", 1)
    monkeypatch.setattr(compaction, "FEWEST", 2)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def carried_out(plan: Sequence[Step]) -> int:
    """Carry out steps, with a build after the last one; return how many versions were made from others."""
    folder = Path(tempfile.mkdtemp())
    try:
        world = World(folder)
        for step in (*plan, Build()):
            world.carry_out(step)
        return world.from_parent
    finally:
        shutil.rmtree(folder)


version = st.builds(
    Version,
    st.sampled_from("abcz"),
    st.sampled_from([None, 0, 1, 1, 2, 3]),
    st.sampled_from(["x", "y", ""]),
    st.sampled_from(["2000-01-02", "", "soon"]),
    st.sampled_from([False, False, True]),
)
reads = st.builds(
    Read,
    st.lists(version, max_size=3).map(tuple),
    st.sampled_from(["window", "window", "window", "point"]),
    st.sampled_from([0, 0, 2, 5]),
)
whole_reads = reads.map(lambda read: replace(read, kind="window", complete=True))
steps = st.lists(
    st.one_of(
        reads,
        reads,
        reads,
        whole_reads,
        st.just(Merge()),
        st.just(Build()),
        st.just(Build()),
        st.sampled_from([Change("field"), Change("mapping")]),
    ),
    min_size=3,
    max_size=10,
)
_EDIT = Read((Version("a", 2, "y"),))
_GONE = Read((Version("a", None, is_deleted=True),))
_DELETED = Read((Version("a", 3, is_deleted=True),))
_BACK = Read((Version("a", 1, "back"),))
_ALL = Read(tuple(Version(name) for name in "abcd"), complete=True)


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps)
def test_whatever_lands_it_equals_a_whole_build(plan: list[Step]) -> None:
    """Edits, deletions, restores, late reads, reads by id, whole reads, merges, new fields and other mappings."""
    carried_out(plan)


@pytest.mark.parametrize(
    ("plan", "made"),
    [
        ((_EDIT, Build(), Read((Version("z"),)), Build(), Build()), 2),
        ((_EDIT, Build(), _BACK), 2),
        ((_GONE, Build(), _BACK, Build(), _GONE), 3),
        ((_DELETED, Build(), _BACK, Build(), Read((Version("a", 2, "y"),))), 3),
        ((_EDIT, Build(), Read((Version("a", 2, "late"),), late=5)), 2),
        ((_EDIT, _GONE, _EDIT, Merge(), Build(), _EDIT, Merge(), Build(), _DELETED), 3),
        ((Read((Version("a", 2, "y"), Version("a", 3, "z"))), Build(), _GONE), 2),
        ((Read((Version("b", born="soon"),)), Build(), Read((Version("b", 2),))), 2),
        ((_ALL, Build(), Read((Version("e", 0),)), Build(), _EDIT), 2),
        ((_ALL, _EDIT, Build(), Read((Version("f"),), "point"), Build(), _EDIT), 2),
        ((Change("field"), _EDIT, Build(), _EDIT), 1),
    ],
)
def test_known_plans(plan: Sequence[Step], made: int) -> None:
    """Each plan equals whole builds, and so many of its versions were made from others."""
    assert carried_out(plan) == made


def _by_stamps(versions: str) -> str:
    return (
        "(SELECT *, row_number() OVER (PARTITION BY _source_id ORDER BY _modified_at DESC NULLS LAST) = 1 "
        f"AS _is_best FROM {versions})"
    )


def _without_ends(versions: str) -> str:
    return kept.with_best(f"(SELECT * REPLACE (false AS _is_end) FROM {versions})")


def _without_voids(versions: str) -> str:
    return kept.with_best(f"(SELECT * REPLACE (false AS _is_void) FROM {versions})")


def _without_times(versions: str) -> str:
    place = "struct_pack(at := 0, sequence := _place.sequence, row := _place.row)"
    return kept.with_best(f"(SELECT * REPLACE ({place} AS _place) FROM {versions})")


def _only_best(versions: str) -> str:
    return f"SELECT *, false AS _is_many FROM {versions} WHERE _is_best"


def _only_places(versions: str) -> str:
    return (
        "(SELECT *, row_number() OVER (PARTITION BY _source_id ORDER BY _place DESC) = 1 AS _is_best "
        f"FROM {versions})"
    )


_LATE_END = Read((Version("a", 3, is_deleted=True),), late=5)


@pytest.mark.parametrize(
    ("name", "wrong", "plan"),
    [
        ("with_best", _by_stamps, (_EDIT, Build(), Read((Version("a", 2, "late"),), late=5))),
        ("with_best", _without_ends, (_GONE,)),
        ("with_best", _without_times, (_EDIT, Build(), Read((Version("a", 2, "late"),), late=5))),
        ("with_best", _without_voids, (_ALL, Build(), _LATE_END)),
        ("with_best", _only_places, (_EDIT, Build(), _BACK)),
        ("deciding", _only_best, (_GONE, _BACK, _EDIT, Build(), _GONE, Build(), _BACK)),
    ],
)
def test_wrong_ways_to_fold_are_found(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: Callable[[str], str], plan: Sequence[Step]
) -> None:
    """Stamps alone, no ends by tombstones, no times of requests, places alone, or only what counted before."""
    monkeypatch.setattr(arrivals, name, wrong)
    with pytest.raises(AssertionError):
        carried_out(plan)
