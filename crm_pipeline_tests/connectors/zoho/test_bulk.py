"""Exports: complete, continued, resumed, refused; and defective archives."""

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.record_page import NO_UTF8
from crm_pipeline.connectors.zoho import archive
from crm_pipeline.connectors.zoho.archive import CsvArchive
from crm_pipeline.kernel.errors import ConfigError, JobFailed, ProtocolError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker
from crm_pipeline_tests.connectors.zoho.test_routes import live, plain

SCHEMA = Schema(
    "X", "X", tuple(Field(name, name, "text") for name in ("id", "Name", "Modified_Time"))
)
CONSENT = "Data_Processing_Basis_Details"
STAMP = "2026-01-01T00:00:00-08:00"


@pytest.fixture
def harness(make_harness: ZohoHarnessMaker) -> Iterator[ZohoHarness]:
    """A harness whose exports hold 50 records each."""
    with make_harness(bulk_job_records=50, concurrent_calls=100) as made:
        made.emulator.set_bulk(page_rows=50)
        made.emulator.hide_field("Contacts", CONSENT)
        yield made


def test_consent_is_not_shortened(harness: ZohoHarness) -> None:
    """Exports shorten the lawful basis to one word, so modules with it are read by other strategies."""
    with pytest.raises(ConfigError, match=f"exports lack {CONSENT}"):
        harness.extract("Leads", route="bulk")
    done = harness.extract("Leads")
    assert f"not by bulk (exports lack {CONSENT}" in done.reason


def test_exports_are_continued_by_token(harness: ZohoHarness) -> None:
    """A window of several exports is read completely, each record once; the last export has no token."""
    done = harness.extract("Contacts", route="bulk")
    assert set(live(harness.landed("Contacts"))) == {
        row["id"] for row in harness.emulator.rows("Contacts")
    }
    assert done.route == "bulk"
    assert done.reconciled
    assert len(harness.calls("/bulk/v8/read", "POST")) == 3
    assert len({entry.path for entry in harness.calls("/result")}) == 3


def test_exports_and_queries_agree(harness: ZohoHarness) -> None:
    """CSV and JSON of a record agree: bare ids, flags as words, several choices with semicolons."""
    for route in ("coql", "bulk"):
        harness.extract("Accounts", route=route)
    records: dict[str, dict[str, Any]] = {}
    for row in live(as_json(harness)).values():
        records[row["_source_id"]] = plain(json.loads(row["record"]))
    cells = {r["_source_id"]: r for r in harness.landed("Accounts") if r.get("Account_Name")}
    assert cells.keys() == records.keys()
    for key, row in cells.items():
        for name in ("Account_Name", "Owner", "Phone", "Website", "Industry"):
            assert (row[name] or None) == records[key].get(name)


def as_json(harness: ZohoHarness) -> list[dict[str, Any]]:
    return [row for row in harness.landed("Accounts") if row.get("record")]


def test_nothing_to_export(harness: ZohoHarness) -> None:
    """An export without records succeeds, and nothing is downloaded."""
    harness.extract("Contacts", route="bulk")
    harness.advance(3600)
    assert harness.extract("Contacts", route="bulk", mode="refresh").records == 0
    assert len({entry.path for entry in harness.calls("/result")}) == 3


def test_an_export_that_fails(harness: ZohoHarness) -> None:
    """The error for a failed export has the vendor's text; nothing is landed, and polling ends."""
    harness.sandbox.faults.order("fail_job", method="POST", path="/read")
    with pytest.raises(JobFailed, match="ended as FAILURE"):
        harness.extract("Contacts", route="bulk")
    assert harness.landed("Contacts") == []


def test_the_text_of_a_failed_export(harness: ZohoHarness) -> None:
    """The vendor's text is on one line, without control characters and secrets."""
    words = {"code": "INTERNAL", "message": "a\x1b[2J\nb token=hush-hush"}
    state = {"state": "FAILURE", "result": {"error_message": words}}
    body = json.dumps({"data": [state]})
    harness.sandbox.faults.order("status", method="GET", path=r"/read/\d+$", status=200, body=body)
    with pytest.raises(JobFailed, match="ended as FAILURE: INTERNAL a") as caught:
        harness.extract("Contacts", route="bulk")
    assert caught.value.message.isprintable()
    assert "hush" not in caught.value.message


def test_a_module_without_exports_uses_another_strategy(harness: ZohoHarness) -> None:
    """If the vendor refuses to export a module, another strategy is taken, also by the next plan."""
    harness.sandbox.faults.order(
        "status",
        method="POST",
        path="/bulk/",
        status=400,
        body='{"code":"MODULE_NOT_SUPPORTED","details":{},"message":"no","status":"error"}',
    )
    with harness.account() as account:
        from crm_pipeline.settings import ObjectSettings
        from crm_pipeline.stages.raw import extract

        window = None
        plan = account.plan(ObjectSettings("Contacts", route="bulk"), window)
        assert plan.route == "bulk"
        with pytest.raises(Exception, match="cannot be read by the route 'bulk': demo: Zoho"):
            extract(
                account,
                ObjectSettings("Contacts", route="bulk"),
                None,
                mode="range",
                landing=harness.landing,
            )
        done = extract(
            account, ObjectSettings("Contacts"), None, mode="range", landing=harness.landing
        )
    assert done.reconciled
    assert "not by bulk" in done.reason


def test_notes_have_no_exports(harness: ZohoHarness) -> None:
    """No export is requested for modules that exports never support."""
    with pytest.raises(Exception, match="does not export this module"):
        harness.extract("Notes", route="bulk")


def zipped(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def read(path: Path, expected: int) -> list[dict[str, Any]]:
    export = CsvArchive("acme.X", SCHEMA, path, expected, [])
    return [row for batch in export.batches() for row in batch.to_pylist()]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """Columns may be called `Id` and have any order; cells keep lines, quotes and leading zeros."""
    text = f'Modified_Time,Id,Name\n{STAMP},0123,"a\n""b"", c"\n{STAMP},4,NULL\n'
    rows = read(zipped(tmp_path / "x.zip", ("1.csv", text.encode())), 2)
    assert [row["Name"] for row in rows] == ['a\n"b", c', "NULL"]
    assert [row["id"] for row in rows] == ["0123", "4"]
    assert [row["_source_id"] for row in rows] == ["0123", "4"]


GOOD = f"Id,Name,Modified_Time\n1,a,{STAMP}\n".encode()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((), "0 files instead of one"),
        ((("a.csv", GOOD), ("b.csv", GOOD)), "2 files instead of one"),
        ((("a.csv", b"Id,Modified_Time\n"),), "missing: Name"),
        ((("a.csv", GOOD + f"2,b,{STAMP}\n".encode()),), "announced 1 records and held 2"),
        ((("a.csv", b"ada@lovelace.example\n"),), "missing: id, Name, Modified_Time"),
        ((("../../a.csv", GOOD),), "name is a path"),
        ((("C:a.csv", GOOD),), "name is a path"),
        (tuple((f"{n}.csv", b"") for n in range(2_000)), "lists its files on"),
    ],
)
def test_defective_archives(
    tmp_path: Path, members: tuple[tuple[str, bytes], ...], words: str
) -> None:
    """Each defect is named in the error, without values of records."""
    path = zipped(tmp_path / "x.zip", *members)
    with pytest.raises(ProtocolError, match=words) as caught:
        read(path, 1)
    assert "lovelace" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [path]


def test_one_bad_row_is_rejected(tmp_path: Path) -> None:
    """A byte that is no UTF-8 rejects only its own record; its cells are kept in the schema's order."""
    head, bad = b"Name,Id,Modified_Time\n", f"caf\xe9,222222222222,{STAMP}\n".encode("latin-1")
    good = f"a,1,{STAMP}\n".encode(), f"c,3,{STAMP}\n".encode()
    path = zipped(tmp_path / "x.zip", ("a.csv", head + good[0] + bad + good[1]))
    rejected: list[Reject] = []
    batches = CsvArchive("acme.X", SCHEMA, path, 3, rejected).batches()
    assert [row["id"] for batch in batches for row in batch.to_pylist()] == ["1", "3"]
    [reject] = rejected
    assert (reject.reason, reject.source_id) == (NO_UTF8, "222222222222")
    assert reject.raw == f"222222222222,caf\xe9,{STAMP}".encode("latin-1")


def patched(path: Path, local: int, central: int, value: bytes) -> Path:
    """Change both headers of the only file in a ZIP at an offset."""
    body = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", local), (b"PK\1\2", central)):
        offset = body.index(mark) + at
        body[offset : offset + len(value)] = value
    path.write_bytes(bytes(body))
    return path


@pytest.mark.parametrize(
    ("local", "central", "value", "words"),
    [
        (6, 8, b"\1\0", "is encrypted"),
        (8, 10, b"\x0e\0", "packed by method 14"),
        (8, 10, b"\x63\0", "packed by method 99"),
        (22, 24, (1 << 31).to_bytes(4, "little"), "would unpack"),
        (14, 16, b"\0\0\0\0", "no readable ZIP"),
    ],
)
def test_a_zip_with_odd_headers(
    tmp_path: Path, local: int, central: int, value: bytes, words: str
) -> None:
    """Encryption, another method, a wrong size or checksum is refused with an explained error."""
    path = patched(zipped(tmp_path / "x.zip", ("a.csv", GOOD)), local, central, value)
    with pytest.raises(ProtocolError, match=words):
        read(path, 1)


def end(size: int, comment: bytes = b"") -> bytes:
    """Return the end of a ZIP with a list of entries of a given length."""
    return struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, size, 0, len(comment)) + comment


def wide_end(size: int) -> bytes:
    """Return the end of a ZIP with 64-bit sizes."""
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, 0)
    return record + struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1) + end(0xFFFFFFFF)


# Sizes that read as the marks themselves: a search from behind stops inside of them.
EMULATOR = int.from_bytes(b"PK\5\6", "little")
WIDE_EMULATOR = int.from_bytes(b"PK\6\6", "little")


@pytest.mark.parametrize(
    "tail",
    [
        end(1 << 20),
        end(EMULATOR),
        end(1 << 20, b"a comment"),
        wide_end(1 << 20),
        wide_end(EMULATOR),
        wide_end(WIDE_EMULATOR),
    ],
)
def test_a_long_list_of_entries_is_not_read(tmp_path: Path, tail: bytes) -> None:
    """Its length is read at the same position as zipfile reads it, for any content."""
    path = tmp_path / "x.zip"
    path.write_bytes(b"\0" * 100 + tail)
    with pytest.raises(ProtocolError, match="lists its files on"):
        read(path, 1)


def test_unpacking_stops_at_the_bound(tmp_path: Path) -> None:
    """The bound of unpacked bytes is configurable and counts the actual bytes."""
    path = zipped(tmp_path / "x.zip", ("a.csv", GOOD))
    with pytest.raises(ProtocolError, match="would unpack"):
        list(CsvArchive("acme.X", SCHEMA, path, 1, [], bounds=Bounds(file_mb=0)).batches())


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that would unpack to far more than its size allows is refused before it is unpacked."""
    path = zipped(tmp_path / "x.zip", ("a.csv", GOOD + b"\n" * (80 << 20)))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(ProtocolError, match="would unpack"):
        read(path, 1)


def test_a_wrong_size(tmp_path: Path) -> None:
    """A member larger than its stated size fills neither memory nor disk: the ZIP counts as unreadable."""
    path = zipped(tmp_path / "x.zip", ("a.csv", GOOD + b"1,a," + STAMP.encode() + b"\n" * 5))
    body = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        offset = body.index(mark) + at
        body[offset : offset + 4] = (10).to_bytes(4, "little")
    path.write_bytes(bytes(body))
    with pytest.raises(ProtocolError):
        read(path, 1)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    """An archive that ends early is never taken for a short export."""
    path = zipped(tmp_path / "x.zip", ("a.csv", GOOD))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ProtocolError, match="no readable ZIP"):
        read(path, 1)


def test_the_bounds_are_those_of_exports() -> None:
    """The largest export that the vendor makes is inside the bounds."""
    assert archive.MOST_BYTES >= 200_000 * 500 * 80


def test_names_that_differ_in_case_only_are_two_columns(tmp_path: Path) -> None:
    """A column is found by its exact name first; `Id` is always the record's id."""
    names = ("ID", "id", "Abc", "aBC")
    schema = Schema("X", "X", tuple(Field(name, name, "text") for name in names))
    path = zipped(tmp_path / "x.zip", ("1.csv", b"aBC,Id,Abc,ID\n1,7,2,mine\n"))
    [batch] = CsvArchive("acme.X", schema, path, 1, []).batches()
    [row] = batch.to_pylist()
    assert [row[name] for name in ("_source_id", *names)] == ["7", "mine", "7", "2", "1"]
