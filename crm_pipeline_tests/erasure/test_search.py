import base64
import gzip
import json
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.erasure.needles import Needles
from crm_pipeline.erasure.search import search
from crm_pipeline.store.erasing import MARK, RecordKey, Redaction, Subject
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.erasing import DatabaseStore

VALUE = "Jürgen.Groß@mail.example"
NEEDLES = Needles([("it", VALUE)])


@pytest.mark.parametrize(
    "written",
    [
        VALUE.encode(),
        VALUE.upper().encode(),
        VALUE.casefold().encode(),
        VALUE.encode("utf-16-le"),
        b"\0" + VALUE.encode("utf-16-be"),
        json.dumps({"x": VALUE}).encode(),
        quote(VALUE).encode(),
        VALUE.encode().hex().encode(),
        *(base64.b64encode(b"x" * n + VALUE.encode() + b"tail") for n in range(4)),
        base64.urlsafe_b64encode(b"xx" + VALUE.encode() + b"??>"),
        f"<{VALUE}>, ".encode(),
    ],
)
def test_a_value_is_found_in_any_form(written: bytes) -> None:
    """Whatever its case and its encoding, and wherever it stands in what was encoded."""
    assert NEEDLES.found(b"before " + written + b" after") == {"it"}


@pytest.mark.parametrize("other", [f"x{VALUE}", f"{VALUE}x", f"{VALUE}.org", "mail.example"])
def test_another_address_is_not_the_value(other: str) -> None:
    """An address that only contains the value is somebody else's; so it is for what replaces values."""
    needles = Needles([("it", VALUE)])
    assert needles.in_cell(other.encode()) == set()
    assert needles.found(b"x" + other.encode() + b"y") == set()
    assert needles.found(b"x" + other.encode() + b"y" + VALUE.encode() + b"z") == {"it"}
    assert Redaction([VALUE]).text(other) == other


def test_longer_addresses_of_all_lengths_are_told_from_the_value() -> None:
    """Side by side in bytes, in any order; one place where the value stands alone is enough."""
    needles = Needles([("it", VALUE)])
    others = [f"{'x' * n}-{VALUE}{'y' * m}" for n in range(5) for m in range(5)]
    for other in others:
        needles.in_cell(other.encode())
    side_by_side = "".join(sorted(others)).encode()
    assert needles.found(side_by_side) == set()
    assert needles.found(side_by_side + b"zz" + VALUE.encode() + side_by_side) == {"it"}


@pytest.mark.parametrize("form", ["parquet", "nested", "gzip", "zip", "duckdb", "split", "name"])
def test_files_are_decoded(tmp_path: Path, form: str) -> None:
    """Compressed and columnar files are read as what they are; a file that cannot be decoded is named."""
    path = tmp_path / f"file.{form}"
    rows = pa.table({"a": [VALUE] * 500, "n": range(500)})
    if form == "parquet":
        pq.write_table(rows, path, compression="zstd")
    elif form == "nested":
        points = pa.array([[{"value": VALUE, "label": None}], None, []] * 50)
        pq.write_table(pa.table({"points": points}), path, compression="zstd")
    elif form == "gzip":
        path.write_bytes(gzip.compress(b"x" * 3_000_000 + VALUE.encode() + b"y" * 9))
    elif form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("inside", VALUE)
    elif form == "duckdb":
        with duckdb.connect(str(path)) as database:
            database.execute("CREATE SCHEMA crm; CREATE TABLE crm.t AS FROM rows")
    elif form == "split":
        path.write_bytes(b"x" * ((1 << 20) - 7) + VALUE.encode() + b"y")
    else:
        path = tmp_path / f"{VALUE}.txt"
        path.touch()
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    done = search(tmp_path, NEEDLES)
    assert done.found == {path: {"it"}}
    assert done.unreadable == [tmp_path / "cut.parquet"]


def test_values_are_replaced_in_json_and_nothing_else(tmp_path: Path) -> None:
    """Numbers, order and spaces stay; escapes, JSON within JSON and addresses of web pages are seen through."""
    inner = json.dumps({"to": VALUE, "n": "x"})
    text = f'{{"a" : 1.50, "b":{json.dumps(f"To {VALUE}.")}, "c": {json.dumps(inner)}, "u": "?m={quote(VALUE)}"}}'
    done = Redaction([VALUE]).text(text)
    assert done.startswith('{"a" : 1.50, "b":"To ' + MARK)
    assert json.loads(json.loads(done)["c"]) == {"to": MARK, "n": "x"}
    assert json.loads(done)["u"] == f"?m={MARK}"


def test_postgresql_is_rewritten(fresh_url: str) -> None:
    """After the erasure no byte of heap, TOAST or transaction log holds the value; other rows stay as they were."""
    folder = Path(parse_qs(urlsplit(fresh_url).query)["host"][0])
    value = "quilla@canary-of-postgresql.example"
    needles, subject = Needles([("it", value)]), Subject(addresses=frozenset({value}))
    with Database(fresh_url) as database:
        with database.transaction() as cursor:
            cursor.execute("CREATE TABLE public.event_logs (id serial, event text)")
            long = " || (SELECT string_agg(md5(i::text), ' ') FROM generate_series(1, 300) i)"
            for more in ("", long):
                cursor.execute(
                    f"INSERT INTO public.event_logs (event) SELECT %s{more}", (f"Of {value} ",)
                )
            cursor.execute(
                "INSERT INTO public.event_logs (event) VALUES (%s)",
                ("other@canary-of-postgresql.example",),
            )
        with database.autocommit() as cursor:
            cursor.execute("CHECKPOINT")
        assert search(folder, needles).found
        store = DatabaseStore(database)
        assert store.erase(subject).values == 2
        assert store.erase(subject, apply=True).values == 2
        assert search(folder, needles).found == {}
        assert store.erase(subject).values == 0
        with database.transaction() as cursor:
            cursor.execute("SELECT event FROM public.event_logs WHERE event LIKE 'other%'")
            assert cursor.fetchall() == [("other@canary-of-postgresql.example",)]


def test_keys_of_records() -> None:
    """A key is what tables have; ids may hold colons."""
    key = RecordKey.parse("acme:Contact:a:b")
    assert (key, str(key)) == (RecordKey("acme", "Contact", "a:b"), "acme:Contact:a:b")
