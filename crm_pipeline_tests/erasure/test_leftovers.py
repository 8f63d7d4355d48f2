"""What an erasure leaves alone, what it finds in odd places, and what is left where it is killed."""

import contextlib
import json
import os
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from psycopg2.sql import SQL
from typer.testing import CliRunner, Result

from crm_pipeline.cli.app import app
from crm_pipeline.erasure import run
from crm_pipeline.erasure.finding import Found
from crm_pipeline.erasure.stores import unowned
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ConfigError, StoreError
from crm_pipeline.kernel.failpoint import watching
from crm_pipeline.store.build_lock import building
from crm_pipeline.store.erasing import MARK, Subject
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.scrub import scrub
from crm_pipeline.store.tables import Tables
from crm_pipeline.supervisor.stack_lock import lock_stack
from crm_pipeline_tests.erasure.conftest import CANARIES, EMAIL, NAME, PHONE, SHARED, World

KILLED_AT = ("rejects.named", "version.named", "release.named", "snapshot.named")
"""Each step in landing and in the verified tables is in tests of those."""


OWN = {name: value for name, value in CANARIES.items() if name != "name"}
"""A note of somebody else has the person's name."""


class Killed(BaseException):
    """The process ends here."""


def quarantined(world: World) -> None:
    """Set records aside that cannot be read: the person's own, one without an id, and one that quotes the address."""
    landing = world.harness.landing
    schema = landing.latest_schema("demo", "Contact")
    assert schema is not None
    window = Window(None, world.harness.clock.now())
    rows = [
        Reject("broken", f'{{"Id": "{world.person}", "x": {NAME}'.encode(), world.person),
        Reject("broken", f'{{"Email": "{EMAIL}'.encode()),
        Reject("broken", f'{{"Id": "0", "Note": "ask {EMAIL} for'.encode(), "0"),
        Reject("broken", b'{"Id": "1", "Note": "', "1"),
    ]
    with landing.begin("demo", "Contact", window, schema) as writer:
        writer.quarantine(rows, extracted_at=datetime(2026, 11, 1, tzinfo=UTC))
        writer.commit(Counts())


def littered(world: World) -> None:
    """Leave the address where no value should be: in logs, looks, and a table of PostgreSQL."""
    (world.data / "dagster" / "compute_logs").mkdir(parents=True)
    (world.data / "dagster" / "compute_logs" / "x.err").write_text(f"error: {EMAIL} is no date\n")
    with world.harness.database.transaction() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS public.event_logs (id serial, event text)")
        text = f'{{"label": "{EMAIL}", "n": 1.50, "url": "https://x.example/?m={EMAIL.replace("@", "%40")}"}}'
        cursor.execute("INSERT INTO public.event_logs (event) VALUES (%s), ('{}')", (text,))


def test_killed_at_any_point_the_next_erasure_finishes(org: World) -> None:
    """After each kill all that is committed can be read; the last call erases all, from odd places as well."""
    quarantined(org)
    littered(org)
    settings, clock = org.harness.settings, org.harness.clock
    seen = set()
    for point in KILLED_AT:

        def kill(name: str, point: str = point) -> None:
            if name == point:
                raise Killed

        try:
            with watching(kill):
                run.apply(settings, EMAIL, org.harness.database, clock)
        except Killed:
            seen.add(point)
        landing = org.harness.landing
        for obj in ("Contact", "Task"):
            landing.check(landing.batches("demo", obj))
        assert [str(file) for file in scrub(org.data).corruption if file.is_used] == [], point
    assert len(seen) > len(KILLED_AT) // 2
    done = run.apply(settings, EMAIL, org.harness.database, clock)

    assert done.searched is not None
    assert (done.searched.found, done.searched.unreadable) == ({}, [])
    assert org.left(OWN) == {}
    assert not (org.data / run.JOURNAL).exists()
    assert scrub(org.data).corruption == ()
    assert unowned(org.harness.settings) == []
    [commit] = [c for c in org.harness.landing.windows("demo", "Contact") if not c.batches]
    assert (commit.quarantined, commit.unnamed, commit.erased) == (2, 0, 2)
    rejects = {row.source_id: row.raw for row in org.harness.landing.rejects(commit)}
    assert rejects == {
        "0": f'{{"Id": "0", "Note": "ask {MARK} for'.encode(),
        "1": b'{"Id": "1", "Note": "',
    }
    with org.harness.database.transaction() as cursor:
        cursor.execute(SQL("SELECT event FROM public.event_logs ORDER BY id"))
        events = [event for (event,) in cursor.fetchall()]
    assert events == [
        f'{{"label": "{MARK}", "n": 1.50, "url": "https://x.example/?m={MARK}"}}',
        "{}",
    ]


def test_what_an_unfinished_erasure_did_not_find_is_found_by_the_next(
    org: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have begun in a version that knew fewer spellings, and is finished whomever the next one is for."""
    settings, database, clock = org.harness.settings, org.harness.database, org.harness.clock
    with monkeypatch.context() as patched:
        known = Found(Subject(addresses=frozenset({EMAIL.lower()})))
        patched.setattr(run, "find", lambda *_: known)
        patched.setattr(run, "stores", lambda *_: [])
        assert not run.apply(settings, EMAIL, database, clock).is_proven
    done = run.apply(settings, "demo:Contact:nobody", database, clock)
    assert (done.is_proven, org.key in map(str, done.found.subject.records)) == (True, True)
    assert org.left(OWN) == {}


def rows_of(tables: Tables, table: str, columns: str, where: str) -> list[tuple[Any, ...]]:
    version = tables.version(f"normalized/demo/{table}")
    assert version is not None
    sql = f"SELECT {columns} FROM {tables.relation(version)} WHERE {where}"
    return duckdb.sql(sql).fetchall()


def test_records_of_others_keep_all_but_the_persons_values(org: World) -> None:
    """By key: a shared activity loses name, phone and address; a shared address and another's name stay."""
    settings, database, clock = org.harness.settings, org.harness.database, org.harness.clock

    tables = Tables(org.data)
    other = rows_of(tables, "contacts", "source_id", f"email = '{SHARED}'")[0][0]
    found = run.plan(settings, f"demo:Contact:{other}", database).found
    assert (found.shared, found.subject.addresses, len(found.subject.records)) == (
        1,
        frozenset(),
        1,
    )
    done = run.apply(settings, org.key, database, clock)

    assert done.is_proven
    [(subject, body)] = rows_of(tables, "activities", "subject, body", "subject LIKE '%and Zwirn'")
    assert (subject, body) == (f"{NAME} and Zwirn", f"To {MARK}, jo{EMAIL}")
    assert org.left({"it": "zwirn@canary-post.example"}) != {}


def test_what_cannot_be_erased_is_an_error(org: World) -> None:
    """A target that is no person's, and an object that is being read."""
    settings, database, clock = org.harness.settings, org.harness.database, org.harness.clock
    with pytest.raises(ConfigError, match="neither an e-mail address nor the key"):
        run.plan(settings, "Quilla", database)
    schema = org.harness.landing.latest_schema("demo", "Contact")
    assert schema is not None
    window = Window(None, clock.now())
    with (
        org.harness.landing.begin("demo", "Contact", window, schema),
        pytest.raises(StoreError, match="is being read"),
    ):
        run.apply(settings, EMAIL, database, clock)


def test_the_command(org: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It plans first, shows no address, erases with --apply, and fails where the proof does."""
    for name, value in org.harness.settings.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRM_HOME", str(org.harness.settings.root))

    def erase(*options: str) -> Result:
        return CliRunner().invoke(app, ["erase", EMAIL, *options])

    nobody = CliRunner().invoke(app, ["erase", f"{org.key}x"])
    assert (nobody.exit_code, "Nothing of it is stored" in nobody.stderr) == (0, True)
    assert "would go" not in nobody.output
    assert "Records: 0;" in nobody.output
    planned = erase()
    assert (planned.exit_code, EMAIL.casefold() in planned.output.casefold()) == (0, False)
    assert f"would go: {org.key}" in planned.output
    assert "Nothing of it is stored" not in planned.output
    with building(org.data):
        refused = erase("--apply")
    assert (refused.exit_code, "a run is building tables" in refused.stderr) == (1, True)
    assert org.left().keys() == CANARIES.keys()
    (org.data / "stray").mkdir()
    stray = org.data / "stray" / "copy.txt"
    stray.write_text(f"{PHONE} {EMAIL}".encode("utf-16-le").decode("latin-1"))
    failed = erase("--apply")
    assert (failed.exit_code, "copy.txt still holds: address 1" in failed.stderr) == (1, True)
    said = " ".join(failed.output.split())
    assert "data/stray belongs to no store" in said
    assert "Remove or correct what is in data/stray. Then erase again with --apply." in said
    stray.unlink()
    done = json.loads(erase("--apply", "--json").stdout)
    assert (done["is_proven"], done["unowned"]) == (True, ["stray"])
    assert org.left(OWN) == {}
    assert "Nothing of it is stored" in erase().output
    assert erase("--plan", "--apply").exit_code == 2
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, lock_stack(org.data))
        assert erase("--apply").exit_code == 2
