"""Several streams read as one."""

import threading
from collections.abc import Generator

import pytest

from crm_pipeline.connectors.merged_streams import merged


def counting(*numbers: int, ended: list[int] | None = None) -> Generator[int]:
    try:
        yield from numbers
    finally:
        if ended is not None:
            ended.append(numbers[0])


def threads() -> set[str]:
    return {one.name for one in threading.enumerate() if one.name.startswith("stream-")}


def test_everything_comes_and_each_stream_in_its_order() -> None:
    """Nothing is lost or doubled, however the streams interleave."""
    found = list(merged(counting(*range(0, 100, 2)), counting(*range(1, 100, 2)), counting(7)))
    assert sorted(found) == sorted([*range(100), 7])
    assert [one for one in found if one % 2 == 0] == list(range(0, 100, 2))
    assert threads() == set()


def test_one_stream_goes_on_while_another_waits() -> None:
    """The second's items come although the first is held up until they were seen."""
    seen = threading.Event()

    def held_up() -> Generator[str]:
        yield "first" if seen.wait(10) else "never"

    found = merged(held_up(), (word for word in ["second"]))
    assert next(found) == "second"
    seen.set()
    assert list(found) == ["first"]


def test_an_error_is_raised_here_and_ends_the_others() -> None:
    """Also a stream that is asked for an item only after the error is closed."""
    ended: list[int] = []

    def failing() -> Generator[int]:
        yield 1
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"):
        list(merged(failing(), counting(*range(10, 10_000), ended=ended)))
    assert ended == [10]
    assert threads() == set()


def test_whoever_closes_it_ends_all() -> None:
    """No thread and no open stream is left."""
    ended: list[int] = []
    found = merged(
        counting(*range(10_000), ended=ended), counting(*range(10_000, 20_000), ended=ended)
    )
    next(found)
    found.close()
    assert sorted(ended) == [0, 10_000]
    assert threads() == set()
