"""Tables of stages across connections in the published file, and the columns that they add to others."""

import random
from typing import Any

import duckdb
import pytest

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.model.mapping import ObjectMap, same
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.stages import STAGE_TABLES, STAGES, VERIFIED, with_added
from crm_pipeline.model.tables import TABLES
from crm_pipeline.model.verified_tables import CONTACT_POINTS, OF_EMAILS
from crm_pipeline.stages.published import build
from crm_pipeline.stages.published.added import SOURCES
from crm_pipeline_tests.stages.published.judged import judge, point, stage

_STANDARD = "id=source_id archived=is_deleted updatedAt=modified_at"
_FIELDS = {
    "contacts": "last_name email phone",
    "leads": "last_name email phone",
    "companies": "name phone",
    "users": "full_name email phone",
}
_TEXTS = ("a@x.co", "A@x.co", "b@x.co; c@x.co", "none", None)
_PHONES = ("+1 650 253 0000", "000", None)
_VERDICTS = {"email": ("undeliverable", "risky", "unknown"), "phone": ("invalid", "valid")}


def maps() -> tuple[ObjectMap, ...]:
    """Map objects with the names of their tables, and fields with the names of columns."""
    found = []
    for table, names in _FIELDS.items():
        own = same(" ".join(f"{name}={name}" for name in names.split()))
        found.append(ObjectMap(table, table, (*same(_STANDARD), *own)))
    return tuple(found)


def land(org: Any, table: str, records: list[dict[str, Any]], connection: str = "acme") -> None:
    org.maps = maps()
    names = ["id", "archived", "updatedAt", *_FIELDS[table].split()]
    schema = Schema(table, table, tuple(Field(name, name, "text") for name in names))
    stamped = [{"updatedAt": "2026-01-01T00:00:00Z", **record} for record in records]
    org.land_records(schema, stamped, connection=connection)
    org.normalize(table, connection)


def draw(rng: random.Random) -> tuple[dict[tuple[str, str], list[dict[str, Any]]], list[Any]]:
    """Draw records of two connections, and contact points of them; some are of what the records had before."""
    records: dict[tuple[str, str], list[dict[str, Any]]] = {}
    points = []
    for connection in ("acme", "other"):
        for table in _FIELDS:
            if connection == "other" and table in {"companies", "users"}:
                continue
            for number in range(24):
                row = {
                    "id": str(number),
                    "archived": rng.random() < 0.1,
                    "last_name": f"L{number}",
                    "email": rng.choice(_TEXTS),
                    "phone": rng.choice(_PHONES),
                }
                records.setdefault((connection, table), []).append(row)
                key = f"{connection}:{table}:{number}"
                for kind in ("email", "phone"):
                    # What was judged is now and then another text than the record has by now.
                    text = row[kind] if rng.random() < 0.7 else rng.choice((*_TEXTS, *_PHONES))
                    places = list(range(1, 1 + rng.choice((1, 1, 2, 3)) * (text is not None)))
                    rng.shuffle(places)
                    for place in places:
                        one = point(key, kind, text, rng.choice(_VERDICTS[kind]))
                        one |= {"table_name": table, "position": place}
                        one["is_primary"] = rng.random() < 0.8
                        points.append(one)
    return records, points


@pytest.fixture(scope="module")
def world(tmp_path_factory, new_org):
    """Records of two connections, judged and published in parts; the file knows them as `records` and `points`."""
    org = new_org(tmp_path_factory.mktemp("added") / "data")
    org.records, org.points = draw(random.Random(5))
    for (connection, table), rows in org.records.items():
        land(org, table, rows, connection)
    judge(org, org.points)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_ROWS_AT_ONCE", 10)
        org.done = org.publish(lists={"disposable domains": "2026-11-01"})
    return org


def expected(world: Any, table: str, kind: str) -> dict[str, tuple[Any, Any]]:
    """Return normal form and verdict for each live record, in plain Python."""
    found = {}
    for (connection, name), rows in world.records.items():
        for row in rows:
            if name != table or row["archived"]:
                continue
            key = f"{connection}:{table}:{row['id']}"
            fitting = [
                one
                for one in world.points
                if (one["record_key"], one["kind"], one["value"]) == (key, kind, row[kind])
                and one["is_primary"]
            ]
            first = min(fitting, key=lambda one: one["position"], default={})
            found[key] = first.get("normalized"), first.get("verdict")
    return found


CASES = [
    (table, "email" if columns is OF_EMAILS else "phone")
    for table, groups in VERIFIED.adds.items()
    for columns in groups.values()
]


@pytest.mark.parametrize(("table", "kind"), CASES)
def test_added_columns_are_of_the_records_own_value(world, table, kind):
    """A record has the verdict on the first address in its main field, and none if another text was judged; so has the file."""
    names = {"email": "email_normalized, email_verdict", "phone": "phone_e164, phone_verdict"}[kind]
    sql = f"SELECT {TABLES[table].key}, {names} FROM {{}}"
    wanted = expected(world, table, kind)
    assert len(set(wanted.values())) > 2
    rows = world.query(sql.format(f"crm.{table}"))
    assert len(rows) == len(wanted)
    assert {key: (normal, verdict) for key, normal, verdict in rows} == wanted
    with duckdb.connect() as other:
        path = world.data / "published" / f"{table}.parquet"
        assert sorted(other.execute(sql.format(f"'{path}'")).fetchall()) == sorted(rows)
    _, verdict = names.split(", ")
    gone = world.query(f"SELECT count({verdict}), count(*) > 0 FROM crm.{table}_deleted")
    assert gone == [(0, True)]


def test_every_added_column_has_a_source_and_a_comment(world):
    """What a stage declares is published, behind the column that it belongs to."""
    added = {
        column.name
        for stage in STAGES
        for groups in stage.adds.values()
        for columns in groups.values()
        for column in columns
    }
    assert added == set(SOURCES)
    for table in VERIFIED.adds:
        described = world.query(
            "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = 'crm' "
            f"AND table_name = '{table}' ORDER BY column_index"
        )
        columns = with_added(table, TABLES[table].columns)
        assert described == [(c.name, c.description) for c in columns]


def test_tables_of_stages_are_published(world):
    """A stage's tables have all rows, comments, a link to their file, and a line in ops.tables; no twin for deleted rows."""
    assert world.done.rows["contact_points"] == len(world.points)
    assert {*STAGE_TABLES} <= {*world.done.rows} - {*world.done.deleted}
    for name, table in {table.name: table for table in VERIFIED.tables}.items():
        [comment] = world.query(f"SELECT comment FROM duckdb_tables() WHERE table_name = '{name}'")
        assert comment == (table.description,)
        version = world.tables.version(f"verified/{name}")
        file = world.data / "published" / f"{name}.parquet"
        assert file.samefile(version.base[0])
        sql = f"SELECT connection, version, rows, live FROM ops.tables WHERE table_name = '{name}'"
        assert world.query(sql) == [(None, version.version, version.rows, version.rows)]
    texts = world.query(
        "SELECT record_key, kind, value, position, normalized FROM crm.contact_points"
    )
    names = ("record_key", "kind", "value", "position", "normalized")
    plain = [tuple(row[name] for name in names) for row in world.points]
    assert sorted(texts, key=repr) == sorted(plain, key=repr)
    assert not world.query(
        "SELECT 1 FROM duckdb_tables() WHERE table_name = 'contact_points_deleted'"
    )
    # A connection is what is read, not a stage.
    assert world.query("SELECT connection FROM ops.connections") == [("acme",), ("other",)]
    assert world.query("FROM ops.verification_lists") == [("disposable domains", "2026-11-01")]
    assert not world.publish().changed


@pytest.fixture
def small(org):
    """One contact, whose address was judged."""
    land(org, "contacts", [{"id": "1", "last_name": "Ng", "email": "a@x.co"}])
    judge(org, [point("acme:contacts:1", "email", "a@x.co", "unknown")])
    return org


def test_tables_of_stages_are_wanted_whatever_else_is(small):
    """Leaving out a connection leaves the stages' tables; new verdicts are published, with a file of their own."""
    small.publish(wanted=set())
    sql = "SELECT (SELECT count(*) FROM crm.contacts), count(*) FROM crm.contact_points"
    assert small.query(sql) == [(0, 1)]
    wanted = {"normalized/acme/contacts"}
    assert small.publish(wanted=wanted).changed
    old = small.tables.version("verified/contact_points")
    stage(small, CONTACT_POINTS, [point("acme:contacts:1", "email", "a@x.co", "risky")])
    land(small, "contacts", [{"id": "1", "last_name": "Ng", "email": "a@x.co"}])
    assert small.publish(wanted=wanted).changed
    assert small.query("SELECT email_verdict FROM crm.contacts") == [("risky",)]
    file = small.data / "published" / "contacts.parquet"
    with duckdb.connect() as other:
        assert other.execute(f"SELECT email_verdict FROM '{file}'").fetchall() == [("risky",)]
    # The record was read again as it was: another verdict is no change of the CRM.
    sql = "SELECT table_name, new, changed, deleted FROM ops.changes"
    assert small.query(sql) == [("contacts", 0, 0, 0)]
    assert small.tables.version("verified/contact_points").version != old.version


def test_what_a_version_lacks_is_null(small):
    """A version from before a column existed is published with NULL there, in a file of its own."""
    current = small.tables.version("verified/contact_points")
    with small.tables.stage(current.name, current.key) as staged:
        with small.engine() as engine:
            sql = f"SELECT * EXCLUDE (suggestion) FROM {small.tables.relation(current)}"
            engine.copy_to(sql, staged.path())
        columns = [c for c in current.meta["columns"] if c["name"] != "suggestion"]
        staged.commit(current, 1, {"live": 1, "columns": columns})
    small.publish()
    file = small.data / "published" / "contact_points.parquet"
    for relation in ("crm.contact_points", f"read_parquet('{file}')"):
        with duckdb.connect(str(small.data / "crm.duckdb"), read_only=True) as other:
            sql = f"SELECT record_key, suggestion FROM {relation}"
            assert other.execute(sql).fetchall() == [("acme:contacts:1", None)]


def test_without_the_stage_its_tables_are_empty(org):
    """A data folder without verdicts is published with empty tables and NULL in the added columns, and no rule about them."""
    land(org, "contacts", [{"id": "1", "last_name": "Ng", "email": "a@x.co"}])
    org.publish()
    assert org.query("SELECT email, email_verdict, phone_e164 FROM crm.contacts") == [
        ("a@x.co", None, None)
    ]
    counts = ", ".join(f"(SELECT count(*) FROM crm.{name})" for name in STAGE_TABLES)
    assert org.query(f"SELECT {counts}, (SELECT count(*) FROM crm.contactable)") == [
        (0,) * (len(STAGE_TABLES) + 1)
    ]
    assert org.query("SELECT count(*) FROM ops.verdicts") == [(0,)]
    assert org.query("SELECT rule FROM ops.quality WHERE rule LIKE '%verdict%'") == []
    assert {f"{name}.parquet" for name in STAGE_TABLES} <= {
        path.name for path in (org.data / "published").iterdir()
    }


def test_a_damaged_file_of_a_stage_stops_the_publish(small):
    """Damage in a stage's table is found before anything is built of it; the file shown before stays."""
    small.publish()
    stage(small, CONTACT_POINTS, [point("acme:contacts:1", "email", "a@x.co", "risky")])
    [path] = small.tables.version("verified/contact_points").base
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CorruptFile, match="contact_points"):
        small.publish()
    assert small.query("SELECT email_verdict FROM crm.contacts") == [("unknown",)]
