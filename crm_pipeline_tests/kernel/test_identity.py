import os
import string
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm_pipeline.kernel.identity import fingerprint, from_path_name, path_name, sortable_id

# Spelled out, because to list all of Unicode takes hypothesis seconds.
NAMES = st.text(alphabet="./\\%~ \0\n:*?[]'\"aA0_-é漢😀", max_size=40)


@given(NAMES)
@example("")
@example("..")
@example("%")
@example("%2E")
@example("con/../../etc")
def test_path_names_can_be_undone(name: str) -> None:
    """Every name can be decoded from its path."""
    assert from_path_name(path_name(name)) == name


@given(NAMES)
@example("")
@example(".")
@example("..")
@example(".windows")
def test_path_names_are_one_harmless_component(name: str) -> None:
    """No name leaves its folder, hides itself, or vanishes from the path."""
    component = path_name(name)
    assert component
    assert not component.startswith(".")
    assert set(component) <= set(string.ascii_letters + string.digits + "_.-~%")
    parent = Path("/data/landing/acme")
    assert Path(os.path.normpath(parent / component)) == parent / component
    assert (parent / component).parent == parent


@given(NAMES, NAMES)
def test_different_names_have_different_paths(one: str, other: str) -> None:
    """Two objects never share a folder."""
    assert (path_name(one) == path_name(other)) == (one == other)


@pytest.mark.parametrize("name", ["Account", "Invoice__c", "acme_2", "a.b-c"])
def test_plain_names_stay_readable(name: str) -> None:
    """Names that are harmless are their own path."""
    assert path_name(name) == name


def test_ids_sort_by_creation() -> None:
    """Within a process a later id is a greater text."""
    ids = [sortable_id() for _ in range(2_000)]
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {26}
    assert set("".join(ids)) <= set("0123456789abcdef")


def test_ids_of_threads_are_distinct() -> None:
    """Threads that ask at the same moment get different ids."""
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: sortable_id(), range(2_000)))
    assert len(set(ids)) == 2_000
    assert len({one[:12] for one in ids}) == 2_000


def test_ids_do_not_fall_when_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set back does not make ids sort before older ones."""
    before = sortable_id()
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert sortable_id() > before


def test_a_fingerprint_ignores_the_order_of_keys() -> None:
    """The same mapping in another order has the same fingerprint, another value another one."""
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1, "b": [2, 1]}) != fingerprint({"a": 1, "b": [1, 2]})
    assert len(fingerprint("é")) == 16


def test_a_fingerprint_is_the_same_in_another_process() -> None:
    """Fingerprints may be stored: they do not depend on the process's hash seed."""
    code = "from crm_pipeline.kernel.identity import fingerprint; print(fingerprint({'b': 1, 'a': 'é'}))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == fingerprint({"a": "é", "b": 1})
