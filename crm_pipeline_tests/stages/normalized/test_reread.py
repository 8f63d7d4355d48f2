"""Records that landed under other rules are read again under the current rules, and quarantined records are retried."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.model.mapping import FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.stages.normalized.reread import Rereader
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing import Landing, records
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.rereads import Rereads
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.scrub import scrub
from crm_pipeline_tests.rot.flips import flip_bit

OWNERS = Schema(
    "owners", "Owners", (Field("id", "Id", "string"), Field("active", "Active", "bool"))
)
MAP = ObjectMap("owners", "users", (FieldMap("id", "source_id"),))


class Rules:
    """A connector's rules, of which the versions differ in what counts as deleted."""

    def __init__(self, version: int, *, inactive_is_deleted: bool) -> None:
        self.version = version
        self.calls = 0
        self.origins: set[str | None] = set()
        self._inactive_is_deleted = inactive_is_deleted

    def of(
        self, obj: str, schema: Schema, raw: pa.RecordBatch, *, origin: str | None, **_: Any
    ) -> pa.RecordBatch:
        self.calls += 1
        self.origins.add(origin)
        seen = [json.loads(text) for text in raw.column("record").to_pylist()]
        gone = [self._inactive_is_deleted and not one.get("active", True) for one in seen]
        ids = [str(one["id"]) if "id" in one else None for one in seen]
        columns = [
            pa.array(ids, pa.string()),
            pa.nulls(len(seen), records.TIMESTAMP),
            pa.array(gone),
        ]
        return pa.RecordBatch.from_arrays(columns, names=list(records.KEY_COLUMNS))


WRONG = Rules(1, inactive_is_deleted=True)


@pytest.fixture
def users(org):
    """An account whose users were read while inactive ones counted as deleted."""
    org.maps = (MAP,)
    org.rules = WRONG
    return org


def read(
    org, *people: dict[str, Any], rejects: tuple[Reject, ...] = (), complete: bool = True
) -> None:
    org.clock.advance(60)
    org.objects.setdefault("acme", set()).add("owners")
    raw = pa.record_batch({"record": [json.dumps(one) for one in people]})
    keys = WRONG.of("owners", OWNERS, raw, origin="")
    batch = pa.RecordBatch.from_arrays(
        [*keys.columns, *raw.columns], names=[*keys.schema.names, "record"]
    )
    window = Window(None, org.clock.now())
    with org.landing.begin("acme", "owners", window, OWNERS, reader=WRONG.version) as writer:
        if people:
            writer.write([batch], shape="json", route="list", extracted_at=org.clock.now())
        writer.quarantine(rejects, extracted_at=org.clock.now())
        writer.commit(Counts(complete=complete))


def state(org, rules: Rules | None) -> list[tuple[str, bool]]:
    org.normalize("users", keys=rules)
    return org.rows("users", "source_id, is_deleted")


def test_a_mended_rule_reaches_what_has_landed(users):
    """Two users were deleted because they may not log in; the next build revives them, without a read."""
    read(users, {"id": 1}, {"id": 2, "active": False}, {"id": 3, "active": False})
    assert state(users, WRONG) == [("1", False), ("2", True), ("3", True)]
    mended = Rules(2, inactive_is_deleted=False)
    assert state(users, mended) == [("1", False), ("2", False), ("3", False)]
    assert mended.origins == {""}
    calls = mended.calls
    assert not users.normalize("users", keys=mended).changed
    assert mended.calls == calls  # what came of a batch is known from then on


def test_rules_that_say_the_same_build_nothing_anew(users):
    """A new version whose keys are the old ones changes no table and copies no batch."""
    read(users, {"id": 1}, {"id": 2, "active": False})
    assert state(users, WRONG) == [("1", False), ("2", True)]
    same = Rules(2, inactive_is_deleted=True)
    assert not users.normalize("users", keys=same).changed
    assert not list(users.landing.folder("acme", "owners").glob("reread/2/*.parquet"))


def test_batches_stay_as_they_landed(users):
    """Batches are not changed: copies are stored beside them, and replaced when newer rules come."""
    read(users, {"id": 2, "active": False})
    folder = users.landing.folder("acme", "owners")
    before = {path: path.read_bytes() for path in folder.glob("????-??/*")}
    for version in (2, 3):
        state(users, Rules(version, inactive_is_deleted=False))
    assert {path: path.read_bytes() for path in folder.glob("????-??/*")} == before
    assert [path.name for path in (folder / "reread").iterdir()] == ["3"]


def test_batches_of_before_there_were_versions_are_read_again(users):
    """Batches from before rules had versions have no origin, and are read again without one."""
    read(users, {"id": 2, "active": False})
    for path in users.landing.folder("acme", "owners").glob("windows/*.json"):
        commit = json.loads(path.read_text())
        del commit["checksum"]
        for batch in commit["batches"]:
            del batch["reader"], batch["origin"]
        path.write_text(json.dumps(commit))
    rules = Rules(2, inactive_is_deleted=False)
    users.landing._commits.clear()
    assert state(users, rules) == [("2", False)]
    assert rules.origins == {None}


def quarantined(users) -> None:
    rejects = (
        Reject("no reader knew it", b'{"id": 7, "active": false}', "7"),
        Reject("the record is not UTF-8", b'{"id": 8, "x": "\xff"}', "8"),
        Reject("the record has no id", b'{"active": true}'),
    )
    read(users, {"id": 1}, rejects=rejects)


def test_a_newer_reader_tries_what_was_set_aside(users):
    """A quarantined record that can be read now becomes a row; others stay in quarantine."""
    quarantined(users)
    assert state(users, WRONG) == [("1", False), ("7", True)]
    assert state(users, Rules(2, inactive_is_deleted=False)) == [("1", False), ("7", False)]
    [kept] = users.landing.quarantine("acme", "owners").glob("????-??/*.parquet")
    assert pq.read_table(kept).num_rows == 3


def test_a_complete_read_deletes_by_absence_only_if_all_of_it_could_be_read(users):
    """Absence deletes nothing while the read has quarantined records without an id."""
    read(users, {"id": 1}, {"id": 9})
    quarantined(users)
    assert state(users, WRONG) == [("1", False), ("7", True), ("9", False)]


def test_once_all_of_a_complete_read_can_be_read_absence_counts(users):
    """Absence counts once all quarantined records can be read."""
    read(users, {"id": 1}, {"id": 9})
    read(users, {"id": 1}, rejects=(Reject("no reader knew it", b'{"id": 7}'),))
    assert state(users, None) == [("1", False), ("9", False)]
    assert state(users, WRONG) == [("1", False), ("7", False), ("9", True)]


def test_a_row_of_csv_that_was_set_aside_is_tried_again(users):
    """A quarantined row of CSV is retried by its cells, if there are as many as fields."""
    users.clock.advance(60)
    users.objects["acme"] = {"owners"}

    class CsvRules(Rules):
        def of(self, obj, schema, raw, **given):
            texts = [json.dumps({"id": row["id"]}) for row in raw.to_pylist()]
            return super().of(
                obj, schema, pa.record_batch({"record": texts}), origin=given["origin"]
            )

    with users.landing.begin("acme", "owners", Window(None, users.clock.now()), OWNERS) as writer:
        rows = [Reject("1 cell", b'"5","a ""b"""'), Reject("3 cells", b"1,2,3")]
        writer.quarantine(rows, shape="csv")
        writer.commit(Counts())
    assert state(users, CsvRules(1, inactive_is_deleted=False)) == [("5", False)]


def test_a_damaged_batch_is_named_while_it_is_read_again(users):
    """A damaged batch is found and named while it is read again."""
    read(users, {"id": 2, "active": False})
    [path] = users.landing.folder("acme", "owners").glob("????-??/*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptFile, match=path.name):
        state(users, Rules(2, inactive_is_deleted=False))


def restarted(users) -> None:
    """Forget which files were compared, as a new process has."""
    users.landing = Landing(users.data, users.clock)


def test_a_damaged_file_of_what_was_set_aside_becomes_no_row(users):
    """The checksum of a quarantine file is compared before it is retried; the cure names both of its files."""
    quarantined(users)
    [path] = users.landing.quarantine("acme", "owners").glob("????-??/*.parquet")
    right = pq.read_table(path)
    forged = [row | {"_raw": row["_raw"].replace(b"7", b"6")} for row in right.to_pylist()]
    pq.write_table(pa.Table.from_pylist(forged, right.schema), path)
    with pytest.raises(CorruptFile, match=path.name) as caught:
        state(users, WRONG)
    assert "remove both files: `crm-pipeline backfill acme --object owners`" in caught.value.cure
    path.unlink()
    path.with_suffix(".json").unlink()
    assert state(users, WRONG) == [("1", False)]


@pytest.mark.parametrize(
    ("suffix", "how"), [(".parquet", "cut"), (".parquet", "gone"), (".json", "gone")]
)
@pytest.mark.parametrize("is_older", [False, True])
def test_half_of_what_was_set_aside(users, suffix: str, how: str, is_older: bool):
    """If either file of quarantined records is gone or cut off, the error has a cure, with or without a checksum."""
    quarantined(users)
    [path] = users.landing.quarantine("acme", "owners").glob("????-??/*.parquet")
    if is_older:
        record = json.loads(path.with_suffix(".json").read_text())
        older = {key: record[key] for key in record if key not in ("sha256", "bytes", "checksum")}
        path.with_suffix(".json").write_text(json.dumps(older))
    damaged = path.with_suffix(suffix)
    kept = damaged.read_bytes()
    damaged.unlink()
    if how == "cut":
        damaged.write_bytes(kept[:-30])
    with pytest.raises(CorruptFile, match=damaged.name) as caught:
        state(users, WRONG)
    assert "remove both files" in caught.value.cure
    if how == "gone":
        assert found_by_scrub(users) == {damaged.name: "it is gone"}


def found_by_scrub(users) -> dict[str, str]:
    return {one.path.name: one.problem for one in scrub(users.data).corruption}


@pytest.mark.parametrize("pattern", ["reread/2/*.parquet", "reread/2/index.json"])
@pytest.mark.parametrize("how", ["flipped", "gone"])
@pytest.mark.parametrize("place", ["landing", "quarantine"])
def test_what_was_read_again_is_made_anew_where_it_is_damaged(users, pattern, how, place):
    """Damaged copies are made again from the originals, and nothing stops; `scrub` and the log name them."""
    read(users, {"id": 2, "active": False}, rejects=(Reject("no reader knew it", b'{"id": 7}'),))
    alive = Rules(2, inactive_is_deleted=False)
    assert state(users, alive) == [("2", False), ("7", False)]
    assert scrub(users.data).corruption == ()
    [path] = getattr(users.landing, place if place == "quarantine" else "folder")(
        "acme", "owners"
    ).glob(pattern)
    flip_bit(path) if how == "flipped" else path.unlink()
    is_silent = how == "gone" and path.name == "index.json"  # nobody knows that there was one
    if not is_silent:
        assert list(found_by_scrub(users)) == [path.name]
    restarted(users)
    read(users, {"id": 4}, complete=False)
    with capture_logs() as logs:
        assert state(users, alive) == [("2", False), ("4", False), ("7", False)]
    warnings = [str(log) for log in logs if log["log_level"] == "warning"]
    assert is_silent or any(str(path) in log for log in warnings)
    assert scrub(users.data).corruption == ()


def test_copies_without_a_note_of_them_harm_nobody(users):
    """Files of a process that was killed before it wrote its notes are written again."""
    read(users, {"id": 2, "active": False})
    alive = Rules(2, inactive_is_deleted=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rereads, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            state(users, alive)
    assert [path.suffix for path in users.data.rglob("reread/2/*")] == [".parquet"]
    assert scrub(users.data).corruption == ()
    assert state(users, alive) == [("2", False)]


def interrupted(_: Rereads) -> None:
    raise KeyboardInterrupt


def test_a_build_reads_one_note_however_many_batches_there_are(users, monkeypatch):
    """The notes of all batches are one file per object, and no batch is hashed again."""
    for number in range(5):
        read(users, {"id": number, "active": number > 2}, complete=False)
    quarantined(users)
    rules = Rules(2, inactive_is_deleted=False)
    state(users, rules)
    opened: list[Path] = []

    def noted(path: Path, *, cure: str = "") -> dict[str, Any]:
        opened.append(path)
        return files.read_sealed(path, cure=cure)[0]

    restarted(users)
    windows = users.landing.windows("acme", "owners")
    monkeypatch.setattr(files, "read_json", noted)
    monkeypatch.setattr(FileSum, "of", None)
    again = Rereader(users.landing, "acme", "owners", rules).read(windows)
    assert [path.name for path in opened] == ["index.json", "index.json"]
    assert sum(batch.is_copy for batch in again.batches) == 4
    assert sum(again.recovered.values()) == 1
