"""Records of Zoho by their ids: lists of ids, chunks of fields, and the list of deleted records."""

from collections.abc import Sequence
from typing import Any

import pytest

from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import PointRead, read_points
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker


def read(harness: ZohoHarness, obj: str, ids: Sequence[str]) -> PointRead:
    with harness.account() as account:
        return read_points(account, ObjectSettings(obj), ids, landing=harness.landing)


def statuses(done: PointRead) -> dict[str, str]:
    return {one: outcome.status for one, outcome in done.outcomes.items()}


def test_wanted_deleted_merged_and_unknown(make_harness: ZohoHarnessMaker) -> None:
    """A hundred ids are a call for each chunk of fields; ids that no list has are looked for among the deleted records,
    where deleted ones, those deleted for good and losers of merges are; the others are not found."""
    with make_harness(contacts=130, list_fields=40) as harness:
        ids = sorted(row["id"] for row in harness.emulator.rows("Contacts"))
        with harness.account() as account:
            chunks = -(-(len(account.describe("Contacts").names) - 2) // 38)
        assert chunks > 1
        harness.sandbox.journal.clear()
        done = read(harness, "Contacts", ids[:120])
        assert done.counts == {"read": 120}
        lists = [entry for entry in harness.calls("/Contacts") if "ids=" in entry.query]
        assert len(lists) == 2 * chunks
        assert harness.calls("/deleted") == []

        gone, purged, winner, loser = ids[:4]
        harness.emulator.delete("Contacts", gone)
        harness.emulator.hard_delete("Contacts", purged)
        harness.emulator.merge("Contacts", winner, loser)
        harness.advance()
        unknown = "9000000000000009876"
        done = read(harness, "Contacts", [gone, purged, winner, loser, unknown, "9" * 19])
        assert statuses(done) == {
            gone: "deleted",
            purged: "deleted",
            winner: "read",
            loser: "deleted",
            unknown: "not_found",
            "9" * 19: "malformed",
        }
        rows = {row["_source_id"]: row for row in harness.landed("Contacts")}
        assert {one for one, row in rows.items() if row["_deleted"]} == {gone, purged, loser}
        assert rows[gone]["_modified_at"] is not None


def test_a_record_that_changes_between_chunks(make_harness: ZohoHarnessMaker) -> None:
    """Parts of two versions are never joined: the record is read once more, whole."""
    with make_harness(contacts=20, list_fields=40) as harness:
        first, second = sorted(row["id"] for row in harness.emulator.rows("Contacts"))[:2]
        handle, seen = harness.emulator.handle, [0]

        def handled(request: Any) -> Any:
            if "ids" in request.query:
                seen[0] += 1
                if seen[0] == 2:
                    harness.advance()
                    harness.emulator.edit("Contacts", first, Last_Name="Between")
            return handle(request)

        harness.emulator.handle = handled  # type: ignore[method-assign]
        try:
            assert read(harness, "Contacts", [first, second]).counts == {"read": 2}
        finally:
            del harness.emulator.handle
        [row] = [row for row in harness.landed("Contacts") if row["_source_id"] == first]
        at = next(r["Modified_Time"] for r in harness.emulator.rows("Contacts") if r["id"] == first)
        assert '"Between"' in row["record"]
        assert row["_modified_at"].replace(tzinfo=None) == at.replace(tzinfo=None)


def test_settings_and_links(make_harness: ZohoHarnessMaker) -> None:
    """Users come by their list; links between two records have no ids to read them by."""
    with make_harness(contacts=20, objects=("Users", "ContactRoles")) as harness:
        read_whole = harness.extract("Users")
        user = harness.landed("Users")[0]["_source_id"]
        assert read_whole.records > 1
        done = read(harness, "Users", [user, "1"])
        assert (statuses(done), done.records) == ({user: "read", "1": "not_found"}, 1)
        with pytest.raises(Rejected, match="cannot be read by their ids"):
            read(harness, "ContactRoles", ["1-2"])
