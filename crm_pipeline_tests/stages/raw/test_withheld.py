"""Which records of a page are withheld, and what is replaced in the others; `erasure/test_run.py` has the reads."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.stages.raw.withheld import WithheldRecords
from crm_pipeline.store.erasing import MARK, RecordKey, Subject
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.tombstones import FILE, Tombstones
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline.verification import spellings
from crm_pipeline_tests.stages.conftest import Org, schema

KEY = HashKey(b"k" * 32)
ERASED_AT = datetime(2026, 11, 1, tzinfo=UTC)
ADDRESS = "jane@x.example"
SUBJECT = Subject(
    records=frozenset({RecordKey("acme", "Contact", "1")}), addresses=frozenset({ADDRESS})
)
STONES = Tombstones({}, {}).with_subject(SUBJECT, KEY, ERASED_AT)
CONTACT = schema("Contact", "LastName", "Email", "Description")
TASK = schema("Task", "Description", "Email")


def withheld(obj: Any = CONTACT, stones: Tombstones = STONES) -> WithheldRecords:
    org = Org(Path("unused"))
    org.objects["acme"] = {"Contact", "Task"}
    found = WithheldRecords.of(org.connection(), obj, stones, KEY)
    assert found is not None
    return found


def rest(*records: dict[str, Any], obj: Any = CONTACT) -> list[dict[str, Any]]:
    texts = [json.dumps(record) for record in records]
    ids = [record["Id"] for record in records]
    batch = batch_of(ids=ids, modified_at=[None] * len(ids), texts=texts, owner="x")
    done = withheld(obj).rest_of(batch)
    return [json.loads(text) for text in done.column("record").to_pylist()]


OLD, NEW = "2026-10-31T23:59:59.000+0000", "2026-11-01T00:00:01.000+0000"


@pytest.mark.parametrize(
    ("record", "lands"),
    [
        ({"Id": "1", "CreatedDate": OLD}, False),
        ({"Id": "1"}, False),
        ({"Id": "1", "CreatedDate": "soon"}, False),
        ({"Id": "1", "CreatedDate": NEW}, True),
        ({"Id": "2", "CreatedDate": OLD, "Email": " Jane@X.example "}, False),
        ({"Id": "2", "CreatedDate": OLD, "Email": "Jane <jane@x.example>"}, False),
        ({"Id": "2", "CreatedDate": NEW, "Email": ADDRESS}, True),
        ({"Id": "2", "CreatedDate": OLD, "Email": "mary-jane@x.example"}, True),
        ({"Id": "2", "CreatedDate": OLD, "Email": None}, True),
    ],
)
def test_who_is_withheld(record: dict[str, Any], lands: bool) -> None:
    """The record itself, and any other of the address, unless it was created later; others land as they are."""
    other = {"Id": "3", "CreatedDate": OLD, "Email": "tom@x.example", "n": 1.5}
    assert rest(record, other) == [*([record] if lands else []), other]


UMLAUT = "jörg@bücher.example"


@pytest.mark.parametrize(
    "written",
    [
        UMLAUT,
        "JÖRG@BÜCHER.example",
        "jo\u0308rg@xn--bcher-kva.example",
        "Jörg: jörg\uff20bücher.example",
        "x@x.example|jörg@bücher.example",
    ],
)
@pytest.mark.parametrize("is_escaped", [True, False])
def test_an_address_is_withheld_however_it_is_spelled(written: str, is_escaped: bool) -> None:
    """With a domain in either form, its characters composed or not, and escaped in JSON or not."""
    subject = Subject(addresses=frozenset(spellings(UMLAUT)))
    stones = Tombstones({}, {}).with_subject(subject, KEY, ERASED_AT)
    texts = [
        json.dumps({"Id": str(n), "CreatedDate": OLD, "Email": one}, ensure_ascii=is_escaped)
        for n, one in enumerate((written, "örg@bücher.example"))
    ]
    batch = batch_of(ids=["0", "1"], modified_at=[None] * 2, texts=texts, owner="x")
    assert withheld(stones=stones).rest_of(batch).column("record").to_pylist() == texts[1:]


def test_a_record_that_mentions_the_person_lands_without_the_address() -> None:
    """In a free text of another person, and in any text of an object whose records are no persons."""
    record = {
        "Id": "2",
        "CreatedDate": OLD,
        "Email": "tom@x.example",
        "Description": f"of {ADDRESS}",
    }
    assert rest(record) == [{**record, "Description": f"of {MARK}"}]
    for around in ("?to={}&x=1", "'{}'", "a/{}", "{{{}}}", "a|{}|b"):
        text = {**record, "Description": around.format(ADDRESS)}
        assert rest(text) == [{**record, "Description": around.format(MARK)}]
    longer = {**record, "Description": f"mary-{ADDRESS}, +{ADDRESS}"}
    assert rest(longer) == [longer]
    task = {"Id": "1", "Email": ADDRESS, "Description": "x"}
    assert rest(task, obj=TASK) == [{**task, "Email": MARK}]


def test_cells_of_csv_are_the_same() -> None:
    """Records of Bulk pages are withheld by their columns."""
    columns = {
        "_source_id": ["1", "2", "3", "4"],
        "Id": ["1", "2", "3", "4"],
        "CreatedDate": [OLD, OLD, NEW, OLD],
        "Email": ["", ADDRESS.upper(), ADDRESS, "tom@x.example"],
        "Description": ["", "", "", f"to {ADDRESS}"],
    }
    done = withheld().rest_of(pa.record_batch(columns))
    assert done.column("_source_id").to_pylist() == ["3", "4"]
    assert done.column("Description").to_pylist() == ["", f"to {MARK}"]


def test_rejects_are_withheld_as_well() -> None:
    """A record that cannot be read is known by its id; of others only the address goes."""
    rows = [Reject("broken", b"{", "1"), Reject("broken", f'{{"x": "{ADDRESS}'.encode(), "2")]
    [row] = withheld().rest_of_rejects(rows)
    assert (row.source_id, row.raw) == ("2", f'{{"x": "{MARK}'.encode())


def test_tombstones_are_kept_without_values(tmp_path: Path) -> None:
    """The file holds no value; another key and damage are errors with a cure; two files join, the later moment wins."""
    STONES.write(tmp_path)
    text = (tmp_path / FILE).read_text()
    assert ADDRESS not in text
    assert Tombstones.at(tmp_path) == STONES
    assert Tombstones.at(tmp_path / "none") == Tombstones({}, {})
    later = Tombstones({}, {}).with_subject(SUBJECT, KEY, datetime(2026, 12, 1, tzinfo=UTC))
    assert STONES.merged(later).addresses == later.merged(STONES).addresses == later.addresses
    with pytest.raises(StoreError, match="made with another key"):
        STONES.require(HashKey(b"x" * 32))
    (tmp_path / FILE).write_text(text.replace("2026-11-01", "2026-11-02"))
    with pytest.raises(CorruptFile):
        Tombstones.at(tmp_path)
