"""A version made from the one before equals one made of all that has landed, whatever landed in whatever order."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors.hubspot.mapping import MAPPING as HUBSPOT_MAPPING
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ContractError, CorruptFile
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.stages.normalized import (
    DriftGuard,
    Normalized,
    arrivals,
    from_parent,
    kept,
    table_build,
)
from crm_pipeline.store.drift import Register
from crm_pipeline.store.files import checksums
from crm_pipeline.store.landing import compaction, records
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Tables, replacement
from crm_pipeline_tests.stages.conftest import STAMP, Org, in_utc, schema

EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "3"))
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

    @property
    def bare(self) -> "Version":
        """The same as a list of deletions has it: without values."""
        return replace(self, name="", born="", is_deleted=True)


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
    """One landing, and two stores of tables: one whose versions are made from each other, one of whole versions.

    Every world begins with the same read and build, which are carried out once and copied.
    """

    def __init__(self, root: Path, begun: Path | None = None) -> None:
        if begun is not None:
            shutil.copytree(begun, root, dirs_exist_ok=True)
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
        if begun is not None:
            self.org.clock.advance(60)
            return
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
        assert facts_of(self.tables) == facts_of(self.whole)
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
    files = {
        part: [str(path) for path in getattr(version, part)]
        for part in ("base", "delta", "tombstones")
    }
    key = version.key[0]
    sql = f"SELECT * FROM read_parquet({files['base']}, union_by_name = true)"
    for part in ("delta", "tombstones"):
        if files[part]:
            sql += f" WHERE {key} NOT IN (SELECT {key} FROM read_parquet({files[part]}))".replace(
                "WHERE", "AND" if " WHERE " in sql else "WHERE"
            )
    if files["delta"]:
        sql += f" UNION ALL BY NAME SELECT * FROM read_parquet({files['delta']})"
    rows = in_utc().execute(f"FROM ({sql}) ORDER BY ALL").fetchall()
    assert len(rows) == version.rows
    return rows


def facts_of(tables: Tables) -> dict[str, Any]:
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
    monkeypatch.setattr(from_parent, "FEW_RECORDS", 0)
    monkeypatch.setattr(from_parent, "MERGED_ABOVE", 100)
    monkeypatch.setattr(replacement, "MERGED_ABOVE", 100)
    monkeypatch.setattr(compaction, "KEPT", 1)
    monkeypatch.setattr(compaction, "FEWEST", 2)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the world that all others are copies of."""
    return tmp_path_factory.mktemp("begun") / "world"


def carried_out(plan: Sequence[Step], begun: Path) -> int:
    """Carry out steps, with a build after the last one; return how many versions were made from others."""
    if not begun.exists():
        World(begun)
    folder = Path(tempfile.mkdtemp())
    try:
        world = World(folder, begun)
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
    st.lists(st.one_of(version, version, version.map(lambda v: v.bare)), max_size=3).map(tuple),
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
_MARKED = Read((Version("a", None).bare,))
_LISTED = Read((Version("a", 4).bare,))
_ALL = Read(tuple(Version(name) for name in "abcd"), complete=True)


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps)
def test_whatever_lands_it_equals_a_whole_build(begun: Path, plan: list[Step]) -> None:
    """Edits, deletions, restores, late reads, reads by id, whole reads, merges, new fields and other mappings."""
    carried_out(plan, begun)


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
        ((_MARKED, Build(), _BACK, Build(), _MARKED), 3),
        ((_LISTED, Build(), Read((Version("a", 2, "late"),)), Build(), Merge(), _LISTED), 3),
        ((_EDIT, _DELETED, Build(), _LISTED, Build(), Merge(), _MARKED), 3),
        (
            (
                _EDIT,
                Merge(),
                Build(),
                Read((Version("z").bare, Version("a").bare, _MARKED.versions[0])),
            ),
            2,
        ),
    ],
)
def test_known_plans(begun: Path, plan: Sequence[Step], made: int) -> None:
    """Each plan equals whole builds, and so many of its versions were made from others."""
    assert carried_out(plan, begun) == made


def _by_stamps(versions: str) -> str:
    return (
        "(SELECT *, row_number() OVER (PARTITION BY _source_id ORDER BY _modified_at DESC NULLS LAST, _place) "
        f"= 1 AS _is_best FROM {versions})"
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


def _nothing_kept(*_: object) -> None:
    return None


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
        ("paired", _nothing_kept, (_MARKED,)),
    ],
)
def test_wrong_ways_to_fold_are_found(
    monkeypatch: pytest.MonkeyPatch,
    begun: Path,
    name: str,
    wrong: Callable[[str], str],
    plan: Sequence[Step],
) -> None:
    """Stamps alone, no ends by tombstones, no times of requests, places alone, only what counted before, or deleted
    records without the values that they had."""
    monkeypatch.setattr(arrivals, name, wrong)
    with pytest.raises(AssertionError):
        carried_out(plan, begun)


def built_of(org: Org, table: str) -> dict[str, Any]:
    """Build a table, and return what its version says of how it was built."""
    org.normalize(table)
    version = org.tables.version(f"normalized/acme/{table}")
    assert version is not None
    found: dict[str, Any] = version.meta["built"]
    return found


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with a version that was made from the one before."""
    org = Org(tmp_path_factory.mktemp("followed") / "data")
    land_names(org, {"003A": "a", "003B": "b"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_parent, "FEW_RECORDS", 0)
        patch.setattr(from_parent, "MERGED_ABOVE", 100)
        patch.setattr(replacement, "MERGED_ABOVE", 100)
        org.normalize("contacts")
        land_names(org, {"003A": "c"})
        assert not built_of(org, "contacts")["whole"]
    return org.data


@pytest.mark.parametrize("part", ["base", "kept", "kept_delta", "odd", "places", "delta"])
def test_a_damaged_version_is_followed_by_a_whole_one(
    followed: Path, tmp_path: Path, part: str
) -> None:
    """Whichever file of the version before is damaged, the next one is made whole, says why, and is right."""
    shutil.copytree(followed, tmp_path / "data", symlinks=True)
    org = Org(tmp_path / "data")
    org.objects["acme"] = {"Contact"}
    org.clock.advance(120)
    version = org.tables.version("normalized/acme/contacts")
    assert version is not None
    paths = {"base": version.base, "delta": version.delta, **version.beside}[part]
    content = bytearray(paths[0].read_bytes())
    content[len(content) // 2] ^= 1
    paths[0].chmod(0o600)
    paths[0].write_bytes(content)
    land_names(org, {"003B": "d"})
    built = built_of(org, "contacts")
    assert built["whole"]
    assert paths[0].name in built["because"]
    assert org.rows("contacts", "last_name") == [("c",), ("d",)]


def test_values_of_a_damaged_file_are_not_taken(org: Org) -> None:
    """The file with the last values of a deleted record is compared with its checksum before they are read."""
    land_names(org, {"003A": "a", "003B": "b"})
    org.normalize("contacts")
    [batch] = org.landing.batches("acme", "Contact")
    content = bytearray(batch.path.read_bytes())
    content[len(content) // 2] ^= 1
    batch.path.chmod(0o600)
    batch.path.write_bytes(content)
    at = f"{org.clock.now() + timedelta(minutes=1):%Y-%m-%dT%H:%M:%S.000Z}"
    org.land(SCHEMAS[0], [{"Id": "003A", "IsDeleted": "true", "SystemModstamp": at}])
    with pytest.raises(CorruptFile, match=re.escape(batch.path.name)):
        org.normalize("contacts")


def land_names(org: Org, names: Mapping[str, str]) -> None:
    """Land contacts by id and last name, modified just now."""
    at = f"{org.clock.now() + timedelta(minutes=1):%Y-%m-%dT%H:%M:%S.000Z}"
    rows = [{"Id": i, "LastName": name, "SystemModstamp": at} for i, name in names.items()]
    org.land(SCHEMAS[0], rows)


def test_bases_are_hashed_once_a_day(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that nobody wrote since is not hashed by a new process within a day, and is after it."""
    hashed: list[str] = []
    sha256 = checksums._sha256

    def noting(file: Any) -> str:
        hashed.extend([Path(file.name).name] if "normalized" in file.name else [])
        return sha256(file)

    monkeypatch.setattr(checksums, "_sha256", noting)
    land_names(org, {"003A": "a", "003B": "b"})
    org.normalize("contacts")
    for days, is_hashed in ((0, False), (2, True), (0, False)):
        org.clock.advance(days * 86_400)
        land_names(org, {"003A": f"after {days}"})
        org.tables = Tables(org.data)
        hashed.clear()
        assert not built_of(org, "contacts")["whole"]
        assert ("base-00000.parquet" in hashed) == is_hashed


HUBSPOT = Schema(
    "contacts",
    "Contact",
    (
        Field("id", "Record ID", "id"),
        Field("updatedAt", "Updated", "datetime", "timestamp"),
        Field("archived", "Archived", "bool", "boolean"),
        *(
            Field(name, name, "string", path=("properties", name))
            for name in ("lastname", "hs_merged_object_ids")
        ),
    ),
)


def person(
    number: int, minute: int, name: str, merged: str = "", *, archived: bool = False
) -> dict[str, Any]:
    return {
        "id": str(number),
        "properties": {"lastname": name, "hs_merged_object_ids": merged},
        "updatedAt": f"2026-01-02T03:{minute:02d}:00.000Z",
        "archived": archived,
    }


def test_merged_records_follow_their_winners(org: Org, tmp_path: Path) -> None:
    """A loser is deleted when a later read names it in a winner, follows another winner, and keeps it ever after."""
    org.maps = HUBSPOT_MAPPING
    whole, ours = Tables(tmp_path / "whole"), org.tables
    steps = [
        [person(n, 1, "x") for n in range(1, 7)],
        [person(1, 2, "wins", "2")],
        [person(3, 3, "wins later", "1;2"), person(9, 3, "new")],
        [person(3, 4, "without its field"), person(2, 5, "read again")],
        [person(3, 6, "archived", archived=True)],
        [person(5, 7, "wins", "4;77")],
    ]
    for number, records_read in enumerate(steps):
        org.land_records(HUBSPOT, records_read)
        org.tables = ours
        assert built_of(org, "contacts")["whole"] == (number == 0)
        rows, said = rows_of(ours), facts_of(ours)
        org.tables = whole
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(table_build, "why_whole", lambda *_: "it is asked for")
            org.normalize("contacts")
        assert rows_of(whole) == rows
        assert facts_of(whole) == said
    org.tables = ours
    merged = org.rows("contacts", "source_id, merged_into", "acme")
    assert [(i, into) for i, into in merged if into] == [
        ("1", "acme:contacts:3"),
        ("2", "acme:contacts:3"),
        ("4", "acme:contacts:5"),
    ]


@pytest.mark.parametrize("vendor", ["salesforce", "hubspot", "pipedrive", "zoho"])
def test_sql_over_one_row_looks_at_one_row(vendor: str) -> None:
    """SQL over rows that is said to look at single rows has no window, group, join or second look at the rows."""
    for entry in connector(vendor).mapping:
        if entry.over_one_row and entry.over_rows:
            words = set(entry.over_rows.upper().replace("(", " ( ").split())
            assert not words & {
                "OVER",
                "GROUP",
                "JOIN",
                "WHERE",
                "UNION",
                "LIMIT",
                "WITH",
            }
            assert entry.over_rows.count("{rows}") == 1
