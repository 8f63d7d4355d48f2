"""Records that were deleted and came back, against a fold in plain Python."""

from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

STAMPS = (None, "2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z")
Seen = tuple[int, bool, int]
"""Modification time, deletion mark and value of a record in one read."""
FEW = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[
        Phase.generate
    ],  # an example is a build of fifty records: nobody would wait for the least
)


def land(org: Any, schema: Any, records: dict[str, list[Seen]], *, complete: bool) -> None:
    rows = [
        {
            "Id": key,
            "LastName": str(value),
            "IsDeleted": str(is_deleted).lower(),
            "SystemModstamp": STAMPS[stamp] or "",
        }
        for key, seen in records.items()
        for stamp, is_deleted, value in seen
    ]
    org.land(schema, rows, complete=complete)


def latest(reads: list[tuple[bool, list[Seen]]]) -> tuple[str, bool] | None:
    """Fold a record by the rules as they are written in the design, one read after the other."""
    states = [
        (place, is_complete, *seen)
        for place, (is_complete, seen) in zip(count(), ((c, s) for c, many in reads for s in many))
    ]
    whole = [
        place for place, is_complete, _, is_deleted, _ in states if is_complete and not is_deleted
    ]
    alive = [place for place, _, _, is_deleted, _ in states if not is_deleted]
    remaining = [state for state in states if not (state[3] and whole and state[0] < max(whole))]
    ends = [one for one in remaining if one[3] and one[2] == 0 and one[0] > max(alive, default=-1)]
    stamped = [one for one in remaining if not (one[3] and one[2] == 0)] or remaining
    best = max(ends or stamped, key=lambda one: (one[2], one[0]), default=None)
    if best is None:
        return None
    is_missing = (
        bool(reads)
        and any(c for c, _ in reads)
        and not any(many for _, many in reads[max(n for n, (c, _) in enumerate(reads) if c) :])
    )
    return str(best[4]), best[3] or is_missing


SEEN = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 99)), max_size=2)


@FEW
@given(
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.lists(st.lists(SEEN, min_size=5, max_size=5), min_size=60, max_size=60),
)
def test_every_order_of_reads(
    new_org: Any, make_schema: Any, are_complete: list[bool], histories: list[list[list[Seen]]]
) -> None:
    """Every order of partial and complete reads, with tombstones with and without a time, gives the state of the design."""
    made = {
        f"003{n:02}": list(zip(are_complete, history, strict=True))
        for n, history in enumerate(histories)
    }
    with TemporaryDirectory() as folder:
        org = new_org(Path(folder))
        schema = make_schema("Contact", "LastName")
        for place, is_complete in enumerate(are_complete):
            now = {key: many[place][1] for key, many in made.items()}
            land(org, schema, now, complete=is_complete)
        org.normalize("contacts")
        found = {
            key: (name, gone)
            for key, name, gone in org.rows("contacts", "source_id, last_name, is_deleted")
        }
    expected = {key: state for key, many in made.items() if (state := latest(many))}
    assert found == expected


def test_a_complete_read_brings_a_record_back(org: Any, schema_of: Any) -> None:
    """A record that is live again in a later complete read lives, even with the modification time from before its deletion."""
    schema = schema_of("Contact", "LastName")
    land(org, schema, {"003A": [(1, False, 1)]}, complete=True)
    land(org, schema, {"003A": [(3, True, 1)]}, complete=False)
    org.normalize("contacts")
    assert org.rows("contacts", "last_name, is_deleted") == [("1", True)]
    land(org, schema, {"003A": [(1, False, 1)]}, complete=True)
    org.normalize("contacts")
    assert org.rows("contacts", "last_name, is_deleted") == [("1", False)]
    land(org, schema, {"003A": [(3, True, 1)]}, complete=False)
    org.normalize("contacts")
    assert org.rows("contacts", "last_name, is_deleted") == [("1", True)]
