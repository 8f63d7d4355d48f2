"""Verdicts are kept by what was judged: after an erasure nothing that only the person had is left in any file."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_pipeline.erasure.needles import Needles
from crm_pipeline.erasure.search import search
from crm_pipeline.erasure.verified import NAMES, VerifiedStore
from crm_pipeline.kernel.failpoint import watching
from crm_pipeline.settings import Settings
from crm_pipeline.stages.verified import Choices, Verified, verify
from crm_pipeline.stages.verified.library import library_verifiers
from crm_pipeline.store.erasing import Erased, RecordKey, Subject
from crm_pipeline.store.scrub import scrub
from crm_pipeline.store.tables.erasing import PublishedStore, SnapshotsStore, TablesStore
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.conformance import case_of
from crm_pipeline_tests.connectors.conformance_harness import settings_in
from crm_pipeline_tests.stages.conftest import Org, schema

CONTACT = schema("Contact", "LastName", "Email:email", "Phone:phone", "MobilePhone:phone")
EMAIL, BEFORE = "quilla@canary-of-verdicts.example", "zwirn@canary-of-verdicts.example"
PHONE, FORMER, NAMED = "+49 30 9018 273645", "+49 30 9018 554433", "+49 30 9018 112299 (Quilla)"
SWITCHBOARD = "+49 89 636 48018"
CANARIES = {"e-mail": EMAIL, "former": FORMER, "phone": PHONE, "with a name": NAMED}
SUBJECT = Subject(frozenset({RecordKey("acme", "Contact", "003P")}), frozenset({EMAIL, BEFORE}))


class Killed(BaseException):
    pass


@dataclass
class World:
    """Sixty contacts, one of whom has changed twice, and one more who quotes her address."""

    org: Org
    settings: Settings

    def build(self, rows: Mapping[str, Mapping[str, Any]]) -> Verified:
        records = [{"Id": f"003{name}", "LastName": name, **row} for name, row in rows.items()]
        self.org.land(CONTACT, records)
        self.org.normalize("contacts")
        return self.verify()

    def verify(self, more: str = "") -> Verified:
        chosen = self.settings.verification
        countries = {one.name: one.country for one in self.settings.connections.values()}
        with self.org.engine() as engine:
            return verify(
                self.org.tables,
                engine,
                library_verifiers(chosen, self.org.clock),
                Choices({**countries, **({more: "DE"} if more else {})}, chosen.expires, 20),
                wanted=self.org.tables.names("normalized/"),
                now=self.org.clock.now(),
            )

    def stores(self) -> list[Any]:
        data = self.org.data
        verified = VerifiedStore(self.settings, None, self.org.clock)
        return [
            TablesStore(data, but=NAMES),
            verified,
            PublishedStore(data),
            SnapshotsStore(data),
        ]

    def erase(self) -> list[Erased]:
        return [store.erase(SUBJECT, apply=True) for store in self.stores()]

    def found(self) -> dict[str, set[str]]:
        """Return the values that stand in files, with the parts of the files' names."""
        values: dict[str, set[str]] = {}
        for folder in ("tables", "published", "snapshots"):
            done = search(self.org.data / folder, Needles(CANARIES.items()))
            for path, names in done.found.items():
                for name in names:
                    table = path.parent.parent.name if folder == "tables" else folder
                    values.setdefault(name, set()).add(f"{table}/{path.name.partition('-')[0]}")
        return values

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        version = self.org.tables.version(f"verified/{table}")
        assert version is not None
        but = "rules_version, checked_at" if table != "contact_points" else ""
        columns = f"* EXCLUDE ({but})" if but else "*"
        sql = f"SELECT {columns} FROM {self.org.tables.relation(version)} ORDER BY ALL"
        return duckdb.sql(sql).fetchall()


def world_in(folder: Path) -> World:
    settings = settings_in(folder, "", {"acme": "http://127.0.0.1:1"}, case_of("salesforce"))
    return World(Org(settings.data), settings)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = world_in(tmp_path_factory.mktemp("verified"))
    others = {
        f"{n}": {"Email": f"c{n}@x.example", "Phone": f"+49 30 2000 {n:04d}"} for n in range(60)
    }
    others["60"] = {"Email": f"c60@x.example; {EMAIL}", "MobilePhone": SWITCHBOARD}
    made.build({**others, "P": {"Email": BEFORE, "Phone": FORMER, "MobilePhone": SWITCHBOARD}})
    made.org.publish()
    made.build({"P": {"Email": EMAIL, "Phone": NAMED, "MobilePhone": SWITCHBOARD}})
    made.build({"P": {"Email": EMAIL, "Phone": PHONE, "MobilePhone": SWITCHBOARD}})
    made.org.publish()
    return made


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> World:
    made = world_in(tmp_path)
    shutil.copytree(prepared.org.data, made.org.data, dirs_exist_ok=True, symlinks=True)
    made.org.clock.advance(180)
    return made


def test_no_file_keeps_what_only_the_person_had(world: World) -> None:
    """Base files of earlier versions, deltas, tombstones, lists of changes, published copies and all snapshots.

    The tables are then those of a build from nothing, counters, counts and history included; numbers of others stay.
    """
    before = world.found()
    assert before.keys() == CANARIES.keys()
    parts = {f"phone_verdicts/{part}" for part in ("base", "tombstones", "changes")}
    assert before["former"] >= {*parts, "contact_points/base", "snapshots/crm"}
    assert before["phone"] >= {
        "phone_verdicts/delta",
        "phone_verdicts/changes",
        "published/phone_verdicts.parquet",
    }
    assert before["e-mail"] >= {"email_verdicts/delta", "email_verdicts/changes"}
    history = world.verify().history

    planned = [store.erase(SUBJECT) for store in world.stores()]
    done = world.erase()

    assert [(e.rows, e.values) for e in done] == [(e.rows, e.values) for e in planned]
    assert all(e.rows and e.values for e in done)
    assert world.found() == {}
    assert [(e.rows, e.values) for e in (s.erase(SUBJECT) for s in world.stores())] == [(0, 0)] * 4
    assert scrub(world.org.data).corruption == ()
    tables = ("contact_points", "email_verdicts", "phone_verdicts")
    rows, result = {table: world.rows(table) for table in tables}, world.verify()
    assert not result.changed
    assert len(result.history) == len(history)
    again = world.verify(more="other")
    assert again.judged["phone"] > 50
    assert {table: world.rows(table) for table in tables} == rows
    assert again.counts == result.counts
    sql = "SELECT records, people FROM {} WHERE value = ?"
    published = world.org.data / "published" / "phone_verdicts.parquet"
    assert duckdb.execute(sql.format(f"'{published}'"), [SWITCHBOARD]).fetchall() == [(1, 1)]
    for path in (world.org.data / "snapshots").glob("*.duckdb"):
        with duckdb.connect(str(path), read_only=True) as snapshot:
            found = snapshot.execute(sql.format("crm.phone_verdicts"), [SWITCHBOARD]).fetchall()
            assert found == [(1, 1)]
    world.org.publish()
    with open_published(world.org.data) as database:
        left = "SELECT count(*), count(email_verdict) FROM crm.contacts"
        assert database.execute(left).fetchall() == [(61, 61)]


def test_killed_it_is_finished_by_the_next(world: World) -> None:
    """It dies between published files: the points that say whose a text is are the last that go."""
    left = 3

    def watch(name: str) -> None:
        nonlocal left
        left -= name == "parquet.named"
        if left < 0:
            raise Killed

    with watching(watch), pytest.raises(Killed):
        world.erase()
    assert [c for c in scrub(world.org.data).corruption if c.is_used] == []
    world.erase()
    assert world.found() == {}
    published = world.org.data / "published" / "phone_verdicts.parquet"
    sql = f"SELECT records, people FROM '{published}' WHERE value = ?"
    assert duckdb.execute(sql, [SWITCHBOARD]).fetchall() == [(1, 1)]
