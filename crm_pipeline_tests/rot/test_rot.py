from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.store.scrub import scrub
from crm_pipeline_tests.rot.flips import KINDS, Flip, copied, flipped, flips, is_named, used

SEED = 11


def test_scrub_finds_nothing_where_nothing_is_damaged(filled: Path) -> None:
    """All files of an undamaged folder are proven by a checksum, and every kind of file is checked."""
    done = scrub(filled)
    assert done.corruption == ()
    assert all(one.files and not one.unproven for one in done.kinds.values()), done.kinds
    files = [p for p in filled.rglob("*") if p.is_file() and not p.name.startswith(".")]
    linked = filled / "crm.duckdb"
    assert sum(one.files for one in done.kinds.values()) == len([p for p in files if p != linked])


def test_scrub_names_every_file_in_which_a_bit_flips(filled: Path) -> None:
    """No bit drawn from all kinds of files passes; `make campaign` draws a thousand."""
    drawn = list(flips(filled, 4 * len(KINDS), SEED))
    assert [str(flip) for flip in drawn if not is_named(filled, flip)] == []
    assert len({flip.path for flip in drawn}) > 2 * len(KINDS)


def unnoticed(data: Path, flip: Flip) -> Flip:
    """Return a flip in the same file that Parquet reads without an error, as other values.

    Most flips break a compressed page, which its reader notices without our checksum.
    """
    whole = (data / flip.path).read_bytes()
    right = pq.read_table(pa.BufferReader(whole))
    for place in range(4 * 8, len(whole) * 4):
        offset, bit = divmod(place, 8)
        spoilt = bytearray(whole)
        spoilt[offset] ^= 1 << bit
        with suppress(OSError, pa.ArrowException, UnicodeDecodeError):
            found = pq.read_table(pa.BufferReader(bytes(spoilt)))
            if found.schema == right.schema and found != right and found.num_rows == len(right):
                found.validate(full=True)
                return replace(flip, offset=offset, bit=bit)
    raise AssertionError(f"every flip in {flip.path} is noticed")


@pytest.mark.parametrize(
    ("kind", "below", "use", "right"),
    [
        # What only a backup, or reading the vendor again, brings back, is refused by name.
        ("window commits", "acme/Contact", "refreshed", "refused"),
        ("schemas", "acme/Contact", "refreshed", "refused"),
        ("landed batches", "acme/Contact", "gone on", "refused"),
        # What the pipeline has elsewhere, it makes anew.
        ("spool: pages", "acme/Lead", "gone on", "equal"),
        ("read again: copies", "landing/acme/Contact", "gone on", "equal"),
        ("read again: copies", "quarantine/acme/Lead", "gone on", "equal"),
        ("read again: notes", "landing/acme/Contact", "refreshed", "equal"),
        ("table parts", "other/contacts", "gone on", "equal"),
        ("table versions", "acme/users", "refreshed", "equal"),
        ("releases", "the newest", "refreshed", "equal"),
        ("snapshots", "the newest", "refreshed", "equal"),
        ("published files", "contacts.parquet", "refreshed", "equal"),
    ],
)
def test_a_flipped_bit_is_not_used_in_silence(
    filled: Path,
    expected: Callable[[str], Mapping[str, Any]],
    tmp_path: Path,
    kind: str,
    below: str,
    use: str,
    right: str,
) -> None:
    """A damaged file that is needed is an error with a cure, or is built again."""
    if below == "the newest":
        number = max(int(path.stem) for path in filled.rglob("tables/releases/*.json"))
        below = f"releases/{number}.json" if kind == "releases" else f"crm-{number:08}"
    drawn = (one for one in flips(filled, 100 * len(KINDS), SEED) if one.kind == kind)
    flip = next(one for one in drawn if below in str(one.path))
    if kind == "snapshots":
        flip = replace(flip, offset=4100)  # in the head; what no query reads harms none
    if kind == "landed batches":
        flip = unnoticed(filled, flip)
    with flipped(filled, flip):
        data = copied(filled, tmp_path / "data")
    assert used(data, flip, use, expected(use)) == right, flip
