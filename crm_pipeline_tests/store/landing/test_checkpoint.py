import json
from pathlib import Path

import pytest

from crm_pipeline.store.landing.checkpoint import Checkpoint, PageDone
from crm_pipeline_tests.rot.flips import flip_bit

DONE = PageDone(("b-1",), {"2026-01": 3}, 3, 3, 0, "bulk")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A checkpoint with a request, a page that has arrived, and one that is done."""
    made = Checkpoint(tmp_path / "spool")
    made.begin({"job": "750A"})
    for number in (1, 2):
        file = made.path(number, ".csv")
        file.write_text("Id\n003A\n")
        made.keep(number, file, {"address": f"/{number}"})
    made.done(2, DONE)
    return made


def test_pages_are_found_again(checkpoint: Checkpoint) -> None:
    """Another process finds the request, the bytes of a page, and the result of another."""
    again = Checkpoint(checkpoint.folder)
    kept, done = again.kept(1), again.kept(2)
    assert again.request == {"job": "750A"}
    assert kept is not None
    assert (kept.file.read_text(), kept.facts) == ("Id\n003A\n", {"address": "/1"})
    assert done is not None
    assert done.facts == {"address": "/2"}
    assert [again.is_done(number) for number in (1, 2, 3)] == [False, True, False]
    assert list(again.all_done()) == [DONE]


@pytest.mark.parametrize("name", ["00001.csv", "00001.json"])
def test_a_damaged_page_is_fetched_again(checkpoint: Checkpoint, name: str) -> None:
    """A page with damaged bytes or a damaged note counts as not arrived."""
    flip_bit(checkpoint.folder / name)
    assert checkpoint.kept(1) is None


def test_a_damaged_note_of_a_page_that_is_done(checkpoint: Checkpoint) -> None:
    """The page is no longer done: it is read again, and its batches are removed when the window is resumed."""
    flip_bit(checkpoint.folder / "00002.done.json")
    assert not checkpoint.is_done(2)
    assert list(checkpoint.all_done()) == []
    assert checkpoint.kept(2) is None


def test_a_damaged_request_is_none(checkpoint: Checkpoint) -> None:
    """Without a readable request the window is not resumed."""
    flip_bit(checkpoint.folder / "request.json")
    assert checkpoint.request is None


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("request.json", "00002.done.json"),
        ("request.json", "00001.json"),
        ("00001.json", "00002.done.json"),
        ("00001.json", "00003.json"),
        ("00002.done.json", "00004.done.json"),
    ],
)
def test_whole_notes_under_each_others_names(checkpoint: Checkpoint, name: str, other: str) -> None:
    """They are ignored like damaged ones, or a page would have the bytes of another."""
    for number in (3, 4):
        file = checkpoint.path(number, ".csv")
        file.write_text("Id\n003B\n")
        checkpoint.keep(number, file, {})
    checkpoint.done(4, DONE)
    first, second = checkpoint.folder / name, checkpoint.folder / other
    texts = first.read_bytes(), second.read_bytes()
    second.write_bytes(texts[0])
    first.write_bytes(texts[1])
    swapped = {name, other}
    assert (checkpoint.request is None) == ("request.json" in swapped)
    for number in (1, 3):
        assert (checkpoint.kept(number) is None) == (f"{number:05d}.json" in swapped)
    done = [number for number in (2, 4) if f"{number:05d}.done.json" not in swapped]
    assert [number for number in (2, 4) if checkpoint.is_done(number)] == done
    assert len(list(checkpoint.all_done())) == len(done)


def test_a_folder_in_place_of_a_note(checkpoint: Checkpoint) -> None:
    """It is ignored as well."""
    (checkpoint.folder / "00003.json").mkdir()
    (checkpoint.folder / "00004.done.json").mkdir()
    assert (checkpoint.kept(3), checkpoint.is_done(4)) == (None, False)


def test_a_page_that_is_done_without_a_note_of_its_arrival(checkpoint: Checkpoint) -> None:
    """It counts as done, without a record of its bytes."""
    flip_bit(checkpoint.folder / "00001.json")
    checkpoint.done(1, DONE)
    assert checkpoint.is_done(1)
    assert checkpoint.kept(1) is None


def test_pages_of_earlier_versions(checkpoint: Checkpoint) -> None:
    """They noted only the number of bytes, which is enough to be used."""
    note = checkpoint.folder / "00001.json"
    record = json.loads(note.read_text())
    note.write_text(json.dumps({key: record[key] for key in ("file", "bytes", "facts")}))
    assert checkpoint.kept(1) is not None
    (checkpoint.folder / "00001.csv").write_text("Id\n")
    assert checkpoint.kept(1) is None
