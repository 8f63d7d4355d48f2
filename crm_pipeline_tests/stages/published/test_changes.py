"""`ops.changes` equals what other code computes from the records themselves."""

import os
from collections import Counter
from datetime import date, timedelta

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.stages.published.past import snapshot_before
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing.account_facts import note_facts
from crm_pipeline.store.tables.published import release_number
from crm_pipeline_tests.stages.published.conftest import land

DAY_S = 86_400
Records = dict[str, tuple[str, bool]]


def ops_changes(org, since="last publish"):
    sql = (
        "SELECT table_name, new, changed, deleted, restored FROM ops.changes "
        f"WHERE since = '{since}' AND connection = 'acme'"
    )
    return {name: counts for name, *counts in org.query(sql)}


def put(org, number: int, names: Records) -> None:
    """Read some companies again, each with its name and whether it is deleted."""
    lines = "\n".join(
        f"{key} name={name} archived={str(gone).lower()} updatedAt=2026-02-{number:02}T00:00:00Z"
        for key, (name, gone) in names.items()
    )
    land(org, "companies", lines)
    org.normalize("companies")
    org.publish()


def compared(before: Records, after: Records) -> list[int]:
    """Count by other code: per record, over the CRM's state at each time."""
    kinds: Counter[str] = Counter()
    for key, (name, gone) in after.items():
        old_name, was_gone = before.get(key, ("", None))
        if was_gone is None:
            kinds["new" if not gone else ""] += 1
        elif was_gone != gone:
            kinds["deleted" if gone else "restored"] += 1
        elif not gone and old_name != name:
            kinds["changed"] += 1
    return [kinds[kind] for kind in ("new", "changed", "deleted", "restored")]


def test_changes_are_those_of_the_records(org):
    """Changes since the last publish and since yesterday's, which another publish of today does not hide."""
    land(org, "contacts", "1 last_name=Ng")
    org.normalize("contacts")
    first: Records = {f"{n}": (f"n{n}", n in (7, 8)) for n in range(9)}
    put(org, 1, first)
    assert ops_changes(org) == ops_changes(org, "yesterday") == {}
    org.clock.advance(DAY_S)
    # 0 is read again as it was, 1 and 2 change, 3 goes, 7 returns, 9 and 10 are new, 11 was never live.
    second = {**first, "1": ("x", False), "2": ("y", False), "3": ("n3", True), "7": ("n7", False)}
    second |= {"9": ("n9", False), "10": ("n10", False), "11": ("n11", True)}
    put(org, 2, {key: row for key, row in second.items() if row != first.get(key) or key == "0"})
    expected = {"companies": compared(first, second), "contacts": [0, 0, 0, 0]}
    assert expected["companies"] == [2, 2, 1, 1]
    # That 0 has another stamp is a change as well.
    expected["companies"][1] += 1
    assert ops_changes(org) == ops_changes(org, "yesterday") == expected
    third = {**second, "2": ("n2", False), "9": ("n9", True), "12": ("n12", False)}
    put(org, 3, {key: row for key, row in third.items() if row != second.get(key)})
    assert ops_changes(org)["companies"] == compared(second, third)
    since_first = compared(first, third)
    # 0 and 2 were changed, though 2 has its first name again.
    assert ops_changes(org, "yesterday")["companies"] == [
        since_first[0],
        since_first[1] + 2,
        *since_first[2:],
    ]


def test_an_earlier_file_that_is_damaged_stops_nothing(org):
    """Counts are NULL, not zero, if the earlier file cannot be read."""
    put(org, 1, {"1": ("a", False)})
    current = (org.data / "snapshots").glob("*.duckdb")
    [path] = current
    data = bytearray(path.read_bytes())
    for place in range(12_288, len(data), 4_096):
        data[place + 100] ^= 0xFF
    path.write_bytes(data)
    assert FileSum.of(path).bytes == len(data)
    put(org, 2, {"2": ("b", False)})
    assert org.query("SELECT count(*) FROM crm.companies") == [(2,)]
    assert ops_changes(org) in ({}, {"companies": [None, None, None, None]})


def test_what_is_gone_was_deleted(org):
    """If a connection or a table is no longer published, every live record counts as deleted."""
    for connection in ("acme", "other"):
        for table in ("companies", "contacts"):
            land(org, table, "1 archived=false\n2 archived=true", connection=connection)
            org.normalize(table, connection)
    org.publish()
    kept = {f"normalized/{one}" for one in ("acme/companies", "acme/contacts")}
    org.publish(wanted=kept)
    sql = "SELECT connection, table_name, deleted FROM ops.changes WHERE since = 'last publish' ORDER BY ALL"
    gone = [("other", "companies", 1), ("other", "contacts", 1)]
    assert org.query(sql) == [("acme", "companies", 0), ("acme", "contacts", 0), *gone]
    org.publish(wanted={"normalized/acme/companies"})
    assert org.query(sql) == [("acme", "companies", 0), ("acme", "contacts", 1)]


def test_days_of_another_zone_are_no_change(org):
    """A record that is read again unchanged does not count as changed because its days are in another zone."""
    deal = "{} name=a close_date={} updatedAt=2026-02-01T00:00:00Z"
    deals = "\n".join(deal.format(n, "2026-01-01T23:30:00Z") for n in (1, 2))
    for zone, more in (("Europe/Berlin", ""), ("UTC", " amount=5")):
        note_facts(org.landing, "acme", AccountFacts(zone, "", "https://" + zone.lower()))
        land(org, "deals", deals + more)
        org.normalize("deals")
        org.publish()
    assert org.query("SELECT DISTINCT close_date FROM crm.deals") == [(date(2026, 1, 1),)]
    assert ops_changes(org)["deals"] == [0, 1, 0, 0]


def test_yesterday_is_not_found_by_the_times_of_files(org):
    """Times of files do not count, because copies and backups have others; the release and the stored time do."""
    for number in (1, 2):
        put(org, number, {str(number): ("a", False)})
    first, second = sorted((org.data / "snapshots").glob("*.duckdb"), key=release_number)
    os.utime(first)
    snapshot = snapshot_before(org.data, org.clock.now() + timedelta(seconds=1))
    assert snapshot is not None
    assert snapshot.path == second
