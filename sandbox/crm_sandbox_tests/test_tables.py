import threading

import pyarrow as pa
import pytest

from crm_sandbox.tables import Tables


@pytest.fixture
def tables() -> Tables:
    made = Tables()
    made.load("people", pa.table({"id": [1, 2, 3], "name": ["Ada", "Bo", None]}))
    return made


def test_rows_are_changed_by_key(tables: Tables) -> None:
    """What is inserted, updated and removed is what a query then finds."""
    tables.insert("people", [{"id": 4}, {"name": "Eve", "id": 5}])
    tables.update("people", "id", {1: {"name": "Ann"}, 2: {"name": None}, 3: {}})
    tables.remove("people", "id", [3])
    found = tables.rows("FROM people ORDER BY id")
    assert [tuple(row.values()) for row in found] == [(1, "Ann"), (2, None), (4, None), (5, "Eve")]
    assert tables.value("SELECT name FROM people WHERE id = ?", [5]) == "Eve"
    assert tables.value("SELECT name FROM people WHERE id = 99") is None


def test_revision_moves_with_every_committed_change_only(tables: Tables) -> None:
    """A change that failed leaves rows and revision as they were."""
    before = tables.revision

    def half() -> None:
        with tables.writing():
            tables.remove("people", "id", [1])
            tables.insert("people", [{"shoe": 44}])

    with pytest.raises(ValueError, match="no column"):
        half()
    assert (tables.revision, tables.value("SELECT count(*) FROM people")) == (before, 3)
    with tables.writing():
        tables.remove("people", "id", [1])
        tables.insert("people", [{"id": 9}])
    assert (tables.revision, tables.value("SELECT count(*) FROM people")) == (before + 1, 3)


def test_readers_in_other_threads_see_committed_rows(tables: Tables) -> None:
    """A thread has a cursor of its own and never sees half a transaction."""
    seen: list[int] = []

    def look() -> None:
        seen.append(tables.value("SELECT count(*) FROM people"))

    def from_another_thread() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    with tables.writing():
        tables.remove("people", "id", [1, 2])
        from_another_thread()
    from_another_thread()
    assert seen == [3, 1]
