"""Records of Salesforce by their ids: forms of ids, the recycle bin, the log of deletions, and long addresses."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from crm_pipeline.connectors.salesforce.points import record_id
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import PointRead, read_points
from crm_pipeline_tests.harness import Harness, HarnessMaker


def read(harness: Harness, ids: Sequence[str], **ceilings: int) -> PointRead:
    with harness.account() as account:
        api: Any = account._api  # type: ignore[attr-defined]
        api.limits = replace(api.limits, ceilings={**api.limits.ceilings, **ceilings})
        return read_points(account, ObjectSettings("Contact"), ids, landing=harness.landing)


def landed(harness: Harness) -> dict[str, dict[str, Any]]:
    rows = [
        r
        for b in harness.landing.batches("demo", "Contact")
        for r in pq.read_table(b.path).to_pylist()
    ]
    return {row["_source_id"]: row for row in rows}


def queries(harness: Harness) -> list[int]:
    """Return the lengths of the queries by ids, and forget them."""
    entries = [
        e for e in harness.sandbox.journal.entries() if "+IN+" in e.query or "%20IN" in e.query
    ]
    harness.sandbox.journal.clear()
    return [len(entry.path) + len(entry.query) for entry in entries]


@pytest.mark.parametrize(
    ("short", "whole"),
    # Pairs of real ids, see the facts about ids.
    [("00Dd0000000dtDq", "00Dd0000000dtDqEAI"), ("00D7F00000107Xs", "00D7F00000107XsUAI")],
)
def test_forms_of_ids(short: str, whole: str) -> None:
    """The long form is the short one with a checksum of its capitals; an id in other capitals is noticed."""
    assert record_id(short) == record_id(whole) == whole
    for wrong in (whole.lower(), whole[:-1], whole + "A", "", "00D7F00000107X'", whole[:17] + "é"):
        with pytest.raises(ValueError, match="it is no id"):
            record_id(wrong)


def test_wanted_deleted_merged_and_unknown(make_harness: HarnessMaker) -> None:
    """The bin has deleted records and losers of merges, the log those deleted for good; the others are not found.
    One record by both forms of its id is asked for once."""
    with make_harness(contacts=30, objects=("Contact",)) as harness:
        kept, gone, purged, winner, loser = sorted(
            row["Id"] for row in harness.org.rows("Contact")
        )[:5]
        harness.org.delete("Contact", gone)
        harness.org.hard_delete("Contact", purged)
        harness.org.merge("Contact", winner, loser)
        harness.advance(120)
        unknown, other = "003000000000009AAA", kept.lower()
        harness.org.replication.settings.purged[purged] = harness.org.clock.stamp() - timedelta(
            minutes=5
        )
        ids = [kept, kept[:15], gone, purged, winner, loser, unknown, other]
        done = read(harness, ids)
        found = {one: (outcome.status, outcome.into) for one, outcome in done.outcomes.items()}
        assert found == {
            kept: ("read", ""),
            kept[:15]: ("read", ""),
            gone: ("deleted", ""),
            purged: ("deleted", ""),
            winner: ("read", ""),
            loser: ("merged", winner),
            unknown: ("not_found", ""),
            other: ("malformed", ""),
        }
        assert len(queries(harness)) == 1
        rows = landed(harness)
        assert {one for one, row in rows.items() if row["_deleted"]} == {gone, purged, loser}
        assert rows[purged]["_modified_at"] is not None


def test_addresses_have_an_end(make_harness: HarnessMaker) -> None:
    """Ids are divided over addresses that the vendor takes. Fields that leave no room are read by several queries, and
    joined: the records are the same; one that changes between the queries is read again."""
    with make_harness(contacts=300, objects=("Contact",)) as harness:
        ids = sorted(row["Id"] for row in harness.org.rows("Contact"))
        assert read(harness, ids, uri_bytes=6_000).counts == {"read": len(ids)}
        lengths = queries(harness)
        assert len(lengths) > 1
        assert max(lengths) <= 6_000
        whole = {one: json.loads(row["record"]) for one, row in landed(harness).items()}
        part, changed = ids[:40], ids[7]
        handle, seen = harness.org.handle, [0]

        def handled(request: Any) -> Any:
            if " IN " in request.query.get("q", ""):
                seen[0] += 1
                if seen[0] == 2:
                    harness.advance()
                    harness.org.edit("Contact", changed, Title="Between")
            return handle(request)

        harness.org.handle = handled  # type: ignore[method-assign]
        try:
            done = read(harness, part, uri_bytes=512 + 100 * 27 + 600)
        finally:
            del harness.org.handle
        assert done.counts == {"read": len(part)}
        assert seen[0] > 3
        joined = {one: json.loads(row["record"]) for one, row in landed(harness).items()}
        for one in part:
            if one != changed:
                assert joined[one] == whole[one]
        assert joined[changed]["Title"] == "Between"
        assert joined[changed].keys() == whole[changed].keys()
