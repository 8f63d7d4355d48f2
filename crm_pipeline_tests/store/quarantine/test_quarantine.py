"""Quarantine as one thing: what it lists, in which shape, and what a decision to drop rows changes."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.clock import FrozenClock, Window, format_instant
from crm_pipeline.kernel.errors import ConfigError, CorruptFile
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.outstanding import outstanding
from crm_pipeline.store.landing.records import TIMESTAMP
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.quarantine import Quarantine, Quarantined
from crm_pipeline.store.quarantine.reasons import masked
from crm_pipeline.store.scrub.landing import quarantine_checks

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"),))
NO_JSON, NO_UTF8 = "the record is no JSON", "the record is not UTF-8"


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path, FrozenClock(ORIGIN + timedelta(hours=24)))


@pytest.fixture
def store(landing: Landing) -> Quarantine:
    return Quarantine(landing)


def refuse(landing: Landing, *rejects: Reject, since_hour: int | None = None) -> datetime:
    """Commit a window with rejects, an hour after the one before; return when."""
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(3600)
    start = None if since_hour is None else ORIGIN + timedelta(hours=since_hour)
    with landing.begin("acme", "Contact", Window(start, landing.clock.now()), SCHEMA) as writer:
        writer.quarantine(rejects)
        return writer.commit(Counts()).committed_at


def leave_out(
    landing: Landing,
    stage: str,
    rows: Sequence[tuple[str, str, str]],
    at: datetime,
    table: str = "contacts",
) -> None:
    """Write `(id, reason, record)` as a build leaves rows out, in the form of all versions so far."""
    folder = files.make_folder(landing.quarantine("acme", "Contact") / "normalized")
    path = folder / f"{stage}-{table}-0123456789abcdef-unreadable.parquet"
    table_of_rows = pa.table(
        {
            "_reason": [row[1] for row in rows],
            "_source_id": [row[0] for row in rows],
            "_extracted_at": pa.array([at] * len(rows), TIMESTAMP),
            "_batch_id": ["b"] * len(rows),
            "_record_hash": pa.array([hash(row[2]) % 2**64 for row in rows], pa.uint64()),
            "record": [row[2] for row in rows],
        }
    )
    pq.write_table(table_of_rows, path)
    reasons = {reason: [row[1] for row in rows].count(reason) for _, reason, _ in rows}
    record = {
        "connection": "acme",
        "object": "Contact",
        "records": len(rows),
        "files": {path.name: FileSum.of(path).to_dict()},
        "reasons": reasons,
        "quarantined_at": format_instant(landing.clock.now()),
    }
    files.write_json(folder / f"{stage}-{table}-0123456789abcdef.json", record)


def listed(sets: Sequence[Quarantined]) -> list[tuple]:
    return [(each.stage, each.table, each.reason, each.records, each.is_dropped) for each in sets]


def test_every_stage_is_listed_in_one_shape(landing: Landing, store: Quarantine) -> None:
    """What could not be landed, what a build left out, and what breaks a contract, with id, age and the record."""
    at = refuse(landing, Reject(NO_JSON, b'{"a', "1"), Reject(NO_JSON, b"{?"))
    leave_out(landing, "normalized", [("2", "the record has no id", "{}")], ORIGIN)
    leave_out(landing, "contract", [("3", "amount: below 0", '{"amount":-1}')], ORIGIN, "de-als")
    sets = store.sets()
    assert listed(sets) == [
        *sorted(
            [
                ("normalized", "contacts", "the record has no id", 1, False),
                ("contract", "de-als", "amount: below 0", 1, False),
            ],
            key=lambda row: next(s.id for s in sets if s.stage == row[0]),
        ),
        ("landing", "", NO_JSON, 2, False),
    ]
    landed = sets[-1]
    assert (landed.since, landed.last_seen_at, landed.source_ids) == (at, at, ("1",))
    assert {each.since for each in sets[:-1]} == {ORIGIN}
    rows = [row for each in sets for row in store.rows(each).to_pylist()]
    assert {(row["_stage"], row["_source_id"], row["record"]) for row in rows} == {
        ("landing", "1", b'{"a'),
        ("landing", "", b"{?"),
        ("normalized", "2", b"{}"),
        ("contract", "3", b'{"amount":-1}'),
    }
    assert all(row["_since"] and Path(row["_file"]).exists() for row in rows)


def test_a_set_keeps_its_id_and_its_age(landing: Landing, store: Quarantine) -> None:
    """A record that each read sets aside again has the age of the first time, also where a read covers the one before."""
    first = refuse(landing, Reject(NO_JSON, b"old", "1"))
    [before] = store.sets()
    last = refuse(landing, Reject(NO_JSON, b"new", "1"))
    [after] = store.sets()
    assert (after.id, after.records) == (before.id, 1)
    assert (after.since, after.last_seen_at) == (first, last)
    assert outstanding(landing, "acme", "Contact").since == first
    assert store.rows(after).column("record").to_pylist() == [b"new"]


def test_dropped_rows_are_missing_no_more(landing: Landing, store: Quarantine) -> None:
    """Just these bytes: read again they stay dropped, with other bytes they are reported. Taken back, all is as before."""
    refuse(
        landing, Reject(NO_JSON, b"{a", "1"), Reject(NO_JSON, b"{?"), Reject(NO_UTF8, b"\xff", "2")
    )
    chosen = next(each for each in store.sets() if each.reason == NO_JSON)
    assert store.drop(chosen) == 2
    assert dict(outstanding(landing, "acme", "Contact").reasons) == {NO_UTF8: 1}
    refuse(landing, Reject(NO_JSON, b"{a", "1"), Reject(NO_JSON, b"{?"), since_hour=24)
    assert sorted(listed(store.sets())) == [
        ("landing", "", NO_JSON, 2, True),
        ("landing", "", NO_UTF8, 1, False),
    ]
    refuse(landing, Reject(NO_JSON, b"{b", "1"), since_hour=25)
    assert (NO_JSON, 1, False) in {each[2:] for each in listed(store.sets())}
    store.undo(store.find(chosen.id, is_dropped=True))
    assert outstanding(landing, "acme", "Contact").records == 3
    assert not any(each.is_dropped for each in store.sets())


def test_rows_of_builds_are_dropped_one_by_one(landing: Landing, store: Quarantine) -> None:
    """The next build writes the same rows anew, and a further one waits for a decision of its own."""
    rows = [("1", "r", "{1"), ("2", "r", "{2"), ("3", "other", "{3")]
    leave_out(landing, "normalized", rows, ORIGIN)
    chosen = next(each for each in store.sets() if each.reason == "r")
    assert store.drop(chosen) == 2
    leave_out(landing, "normalized", [*rows, ("4", "r", "{4")], ORIGIN)
    assert {(each.reason, each.records, each.is_dropped) for each in store.sets()} == {
        ("r", 2, True),
        ("r", 1, False),
        ("other", 1, False),
    }
    [new] = store.rows(store.find(chosen.id)).to_pylist()
    assert new["_source_id"] == "4"
    assert store.drop(store.find(chosen.id)) == 1
    assert store.find(chosen.id, is_dropped=True).records == 3


def test_what_earlier_versions_wrote_is_read(landing: Landing, store: Quarantine) -> None:
    """Files with texts only, and a state of what is missing without digests."""
    refuse(landing, Reject(NO_JSON, b'{"a', "1"))
    [path] = landing.quarantine("acme", "Contact").glob("*/*.parquet")
    record = files.read_json(path.with_suffix(".json"))
    pq.write_table(pq.read_table(path).select(["_reason", "_text", "_batch_id"]), path)
    kept = {k: v for k, v in record.items() if k not in {"sha256", "bytes", "unnamed", "shape"}}
    files.write_json(path.with_suffix(".json"), kept)
    state = {"version": 1, "through": None, "windows": []}
    files.write_json(landing.quarantine("acme", "Contact") / "outstanding.json", state)
    [chosen] = store.sets()
    assert (chosen.records, chosen.source_ids) == (1, ())
    assert store.rows(chosen).column("record").to_pylist() == [b'{"a']
    assert store.drop(chosen) == 1
    assert outstanding(landing, "acme", "Contact").records == 0


def test_rows_that_cannot_be_told_apart_are_not_dropped(
    landing: Landing, store: Quarantine
) -> None:
    """Where the file is damaged, their number is known and nothing else; a damaged decision does not count."""
    refuse(landing, Reject(NO_JSON, b"{a", "1"))
    [chosen] = store.sets()
    store.drop(chosen)
    [decision] = landing.root.glob("quarantine/acme/Contact/dropped/*.json")
    decision.write_bytes(decision.read_bytes().replace(b"acme", b"acne"))
    assert outstanding(landing, "acme", "Contact").records == 1
    [look] = [each.look for each in quarantine_checks(landing.root) if each.path == decision]
    with pytest.raises(CorruptFile):
        look()
    decision.unlink()
    for path in landing.quarantine("acme", "Contact").glob("*/*.parquet"):
        path.write_bytes(b"")
    landing.quarantine("acme", "Contact").joinpath("outstanding.json").unlink()
    [lost] = store.sets()
    assert (lost.records, store.rows(lost).num_rows) == (1, 0)
    with pytest.raises(ConfigError, match="cannot be told one from another"):
        store.drop(lost)
    with pytest.raises(ConfigError, match="no quarantined rows with the id 'ffffffff'"):
        store.find("ffffffff")


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        (rb'{"name":"Ada \ud83d","n":12}', r'{"xxxx":"xxx \ud8xx","x":99}'),
        ('{"näme":"Łódź \\u0041da"}'.encode(), r'{"xxxx":"xxxx \uxxxxxx"}'),
        (b'{"name":"M\xfcller', r'{"xxxx":"x\xhhxxxx'),
        (b'{"a":"\x01C:\\Ada"}', r'{"x":"\xhhx:\xxx"}'),
        (b"", ""),
    ],
)
def test_a_masked_record_shows_its_fault_and_nobody(received: bytes, shown: str) -> None:
    """Letters and digits of any script are replaced, escapes too; what is broken about them stays visible."""
    assert masked(received) == shown


def test_a_long_record_is_shown_around_its_fault() -> None:
    """The fault is in the part that is shown."""
    text = json.dumps({"name": "Ada " * 500}).encode()
    cut = text[:-2] + b"\x00" + text[-2:]
    assert r"\xhh" in masked(cut)
    assert len(masked(cut)) < 200
