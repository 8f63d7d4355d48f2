"""Records that are rendered ahead of their pages."""

from typing import Any

import pytest

from crm_sandbox.pipedrive import paging
from crm_sandbox.pipedrive.ahead import RowsAhead


def test_what_follows_is_made_once() -> None:
    """A page's records and the following ones are made together; a change makes all anew."""
    made: list[list[int]] = []

    def make(ids: list[int]) -> dict[int, str]:
        made.append(ids)
        return {one: f"{len(made)}:{one}" for one in ids if one != 9}

    ahead = RowsAhead()
    assert ahead.get("v2", 1, [1, 2], [3, 4], make) == {1: "1:1", 2: "1:2"}
    assert ahead.get("v2", 1, [3, 4], [5, 9], make) == {3: "1:3", 4: "1:4"}
    assert ahead.get("v2", 1, [4, 9], [5], make) == {4: "1:4"}, "9 is no record"
    assert ahead.get("v1", 1, [3], [], make) == {3: "3:3"}, "another shape, another text"
    assert ahead.get("v2", 2, [3, 4], [], make) == {3: "4:3", 4: "4:4"}
    assert made == [[1, 2, 3, 4], [9, 5], [3], [3, 4]]


def test_what_is_longest_unused_goes() -> None:
    """The bound holds, and a page that is larger than it is still whole."""
    ahead = RowsAhead(most_characters=20)
    made: list[int] = []

    def make(ids: list[int]) -> dict[int, str]:
        made.extend(ids)
        return dict.fromkeys(ids, "0123456789")

    assert len(ahead.get("v2", 1, [1, 2, 3], [], make)) == 3
    ahead.get("v2", 1, [2, 3], [], make)
    assert made == [1, 2, 3]
    ahead.get("v2", 1, [1], [], make)
    assert made == [1, 2, 3, 1]


def test_a_list_by_time_is_the_truth_before_and_after_a_change(own) -> None:
    """Page by page in order of time, each record as it is now, whatever was rendered before."""

    def listed() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = own.every("/persons", limit=60, sort_by="update_time")
        return rows

    before = listed()
    assert [row["update_time"] or "" for row in before] == sorted(
        row["update_time"] or "" for row in before
    )
    assert {row["id"] for row in before} == {row["id"] for row in own.truth.rows("persons")}
    own.truth.edit("persons", before[3]["id"], name="Changed")
    after = {row["id"]: row for row in listed()}
    assert after[before[3]["id"]]["name"] == "Changed"
    assert len(after) == len(before)


def test_small_pages_are_rendered_together(own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five records after five take one query in all, and each page is still as the records are by then."""
    rendered: list[int] = []
    texts_of = paging.texts_of

    def counted(tables: Any, entity: Any, ids: list[int], *more: Any) -> dict[int, str]:
        rendered.append(len(ids))
        return texts_of(tables, entity, ids, *more)

    monkeypatch.setattr(paging, "texts_of", counted)
    count = own.truth.count("persons")
    assert len(own.every("/persons", limit=5)) == count
    assert rendered == [count]

    first = own.v2("/persons", limit=5).json()
    following = first["data"][-1]["id"] + 1
    own.truth.edit("persons", following, name="Renamed between two pages")
    cursor = first["additional_data"]["next_cursor"]
    second = own.data("/api/v2/persons", limit=5, cursor=cursor)
    assert second[0]["name"] == "Renamed between two pages"
