"""Records of Pipedrive by their ids: by lists or singly, whichever costs fewer tokens, and objects without ids."""

import json
from collections.abc import Sequence

import pytest

from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import PointRead, read_points
from crm_pipeline_tests.connectors.pipedrive.conftest import Harness, HarnessMaker

OBJECTS = '["deals", "persons", "leads", "notes", "users", "stages", "deal_products"]'


def read(harness: Harness, obj: str, ids: Sequence[str]) -> PointRead:
    with harness.account() as account:
        return read_points(account, ObjectSettings(obj), ids, landing=harness.landing)


def statuses(done: PointRead) -> dict[str, str]:
    return {one: outcome.status for one, outcome in done.outcomes.items()}


def tokens(harness: Harness) -> list[str]:
    """Return the paths that were requested, and forget them; metadata left out."""
    paths = [entry.path.removeprefix("/pipedrive") for entry in harness.sandbox.journal.entries()]
    harness.sandbox.journal.clear()
    return [path for path in paths if "Fields" not in path]


def records(harness: Harness, obj: str) -> list[dict]:
    import pyarrow.parquet as pq

    batches = harness.landing.batches("pipe", obj)
    return [json.loads(t) for b in batches for t in pq.read_table(b.path)["record"].to_pylist()]


def test_the_cheapest_requests(make_harness: HarnessMaker) -> None:
    """Ten ids and more are a list, 10 tokens; fewer are single requests, a token each. Archived and deleted deals are
    not in the list, and are requested singly; so is the loser of a merge, of which the vendor says that it is deleted."""
    with make_harness(objects=OBJECTS, contacts=60) as harness:
        rows = harness.company.rows("deals")
        live = [str(row["id"]) for row in rows if not row["is_archived"]]
        archived = next(str(row["id"]) for row in rows if row["is_archived"])
        gone, winner, loser, purged, *kept = live
        harness.company.delete("deals", gone)
        harness.company.merge("deals", int(winner), int(loser))
        harness.company.hard_delete("deals", purged)
        harness.advance()
        tokens(harness)
        few = read(harness, "deals", [kept[0], archived, gone, loser, purged, "99999999999"])
        assert statuses(few) == {
            kept[0]: "read",
            archived: "read",
            gone: "deleted",
            loser: "deleted",
            purged: "not_found",
            "99999999999": "not_found",
        }
        assert (few.calls - 1, few.cost - 10) == (6, 6)  # without the fields
        assert all(path.startswith("/api/v2/deals/") for path in tokens(harness))
        assert [one["id"] for one in records(harness, "deals") if one["is_deleted"]] == [
            int(gone),
            int(loser),
        ]
        persons = [str(row["id"]) for row in harness.company.rows("persons")][:12]
        harness.company.delete("persons", persons[0])
        many = read(harness, "persons", persons)
        assert statuses(many) == {**dict.fromkeys(persons, "read"), persons[0]: "deleted"}
        assert (many.calls - 1, many.cost - 10) == (2, 11)
        assert tokens(harness) == ["/api/v2/persons", f"/api/v2/persons/{persons[0]}"]
        # An id that the list refuses spoils it for all: they are requested singly.
        mixed = read(harness, "persons", [*persons[1:], "99999999999"])
        assert mixed.counts == {"read": 11, "not_found": 1}


def test_other_objects(make_harness: HarnessMaker) -> None:
    """Leads have UUIDs, users and stages come by their lists in the form of all reads, parts of deals have no ids."""
    with make_harness(objects=OBJECTS, contacts=20) as harness:
        lead = harness.company.rows("leads")[0]["id"]
        assert statuses(read(harness, "leads", [lead.upper(), "12"])) == {
            lead.upper(): "read",
            "12": "malformed",
        }
        note = str(harness.company.rows("notes")[0]["id"])
        harness.company.delete("notes", int(note))
        assert statuses(read(harness, "notes", [note]))[note] in {"deleted", "not_found"}
        user = str(harness.company.rows("users")[0]["id"])
        assert statuses(read(harness, "users", [user, "77"])) == {user: "read", "77": "not_found"}
        [record] = records(harness, "users")
        assert "role_name" in record
        stage = str(harness.company.rows("stages")[0]["id"])
        tokens(harness)
        assert read(harness, "stages", [stage]).cost == 5
        calls = harness.sandbox.journal.entries()
        with pytest.raises(Rejected, match="cannot be read by their ids") as refused:
            read(harness, "deal_products", ["1"])
        assert refused.value.cure
        assert len(harness.sandbox.journal.entries()) == len(calls)
