from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest

from crm_pipeline.store.build_lock import Building, building, erasing


def test_many_builds_or_one_erasure(tmp_path: Path) -> None:
    """An erasure refuses while anything builds, or is erased; whatever ends, however it ends, lets it go on."""
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(building(tmp_path))
        with pytest.raises(Building, match="is building tables"), erasing(tmp_path):
            pass
    with pytest.raises(KeyError), erasing(tmp_path):
        raise KeyError
    with erasing(tmp_path), pytest.raises(Building), erasing(tmp_path):
        pass


def test_a_build_waits_for_an_erasure(tmp_path: Path) -> None:
    """It begins when the erasure has ended, and reads what that has left."""
    begun = Event()

    def build() -> None:
        with building(tmp_path):
            begun.set()

    with erasing(tmp_path):
        thread = Thread(target=build)
        thread.start()
        assert not begun.wait(0.05)
    assert begun.wait(10)
    thread.join()
