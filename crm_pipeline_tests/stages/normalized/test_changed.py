"""A version names the records whose rows may differ from the version before."""

import shutil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.store.tables import TableVersion, changes_since
from crm_pipeline_tests.stages.conftest import Org, schema

CONTACT = schema("Contact", "LastName", "Birthdate:date")
DAYS = st.integers(1, 9)
RECORDS = st.dictionaries(
    st.sampled_from("ABCDE"),
    st.fixed_dictionaries(
        {
            "LastName": st.sampled_from(["x", "y"]),
            "SystemModstamp": DAYS.map(lambda day: f"2026-01-0{day}T00:00:00.000Z"),
            "IsDeleted": st.sampled_from(["true", "false"]),
        }
    ),
    max_size=4,
)


def version_of(org: Org) -> TableVersion:
    version = org.tables.version("normalized/acme/contacts")
    assert version is not None
    return version


def rows_of(org: Org) -> dict[str, Any]:
    rows = org.rows(
        "contacts", "contact_key, last_name, birth_date, modified_at, is_deleted, custom"
    )
    return {key: values for key, *values in rows}


def named(org: Org, since: TableVersion) -> set[str] | None:
    changes = changes_since(org.tables, version_of(org), since.version)
    if changes.is_all:
        return None
    if changes.is_none:
        return set()
    with org.engine() as engine:
        return {key for (key,) in engine.rows(f"FROM {changes.relation}")}


@settings(max_examples=5)
@given(st.lists(st.tuples(RECORDS, st.booleans()), min_size=2, max_size=4))
def test_changes_cover_all_rows_that_differ(
    tmp_path_factory: pytest.TempPathFactory, windows: list[tuple[dict[str, Any], bool]]
) -> None:
    """Edits, deletions, restores, late reads and absence: each row that differs is named, and no other record's."""
    folder = tmp_path_factory.mktemp("org")
    org = Org(folder)
    org.land(CONTACT, [{"Id": f"003{name}", "LastName": "first"} for name in "ABCDE"])
    org.normalize("contacts")
    for records, is_complete in windows:
        before, version = rows_of(org), version_of(org)
        rows = [{"Id": f"003{name}", **record} for name, record in records.items()]
        org.land(CONTACT, rows, complete=is_complete)
        org.normalize("contacts")
        after, changed = rows_of(org), named(org, version)
        assert changed is not None
        differing = {k for k in before | after if before.get(k) != after.get(k)}
        read = {f"acme:Contact:003{name}" for name in records}
        assert differing <= changed <= read | differing
    shutil.rmtree(folder)


def test_any_row_may_differ_under_other_rules(org: Org) -> None:
    """A field that is described with another type, or mapped elsewhere, may change rows that were not read again."""
    org.land(CONTACT, [{"Id": "003A", "LastName": "x", "Birthdate": "2000-01-02"}])
    org.normalize("contacts")
    first = version_of(org)
    org.land(schema("Contact", "LastName", "Birthdate"), [{"Id": "003B", "LastName": "y"}])
    org.normalize("contacts")
    second = version_of(org)
    assert named(org, first) is None
    org.mappings = {"Contact": {"LastName": "first_name"}}
    org.normalize("contacts")
    assert named(org, second) is None
