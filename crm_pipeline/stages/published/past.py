"""Earlier snapshots of the published database, and which of them was current at a moment."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from pathlib import Path

import duckdb

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import ConfigError, CorruptFile, StoreError
from crm_pipeline.store.tables.published import (
    Snapshots,
    damaged_file,
    open_snapshot,
    release_number,
)

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_DAYS = {"today": timedelta(0), "yesterday": timedelta(days=1)}
_ALLOWED = (
    "Write a day, 2026-11-20, yesterday or today, which means its end, or an instant, 2026-11-20T15:30; "
    "both are UTC."
)
_PUBLICATION = "SELECT release, published_at FROM ops.publication"


@dataclass(frozen=True)
class Snapshot:
    """One published file; it was current from `published_at` until the next one was published.

    Attributes:
        corruption: why it cannot be opened. Its time is unknown then: `published_at` is that of the snapshot
            before it, the earliest that it can be.
    """

    path: Path
    release: int
    published_at: datetime
    corruption: CorruptFile | None = None

    def __str__(self) -> str:
        return f"{self.path.name}, published at {_text(self.published_at)}"


def kept_snapshots(data: Path) -> list[Snapshot]:
    """Return the snapshots below a data folder, oldest first by the time stored in them."""
    snapshots = list(_read_snapshots(Snapshots(data).kept()))
    readable = [snapshot for snapshot in snapshots if snapshot.corruption is None]
    damaged = (
        _dated(snapshot, readable) for snapshot in snapshots if snapshot.corruption is not None
    )
    return sorted(
        [*readable, *damaged], key=lambda snapshot: (snapshot.published_at, snapshot.release)
    )


def snapshot_as_of(data: Path, at: datetime) -> Snapshot:
    """Return the snapshot that was current at a moment: the last one that was published by then.

    Raises:
        StoreError: none so old is kept; the text names the nearest.
        CorruptFile: that snapshot is damaged, or may be a damaged one. An older one could differ from it.
    """
    kept = kept_snapshots(data)
    shown = [snapshot for snapshot in kept if snapshot.published_at <= at]
    if shown:
        if shown[-1].corruption is not None:
            raise shown[-1].corruption
        return shown[-1]
    if not kept:
        raise StoreError(
            f"nothing has been published below {data} yet.",
            cure="Run `crm-pipeline demo`, or a backfill from the Dagster UI.",
        )
    raise StoreError(
        f"no snapshot of {_text(at)} or before is kept; the nearest is {kept[0]}.",
        cure="CRM_KEEP_SNAPSHOTS and CRM_KEEP_SNAPSHOT_DAYS say how many stay from now on. What a "
        "record was earlier is in data/landing, which keeps every version that was read.",
    )


def snapshot_at(path: Path) -> Snapshot | None:
    """Return a snapshot with the time stored in it; None where the file is gone, or is no snapshot of ours."""
    return next(_read_snapshots([path]), None)


def snapshot_before(data: Path, at: datetime) -> Snapshot | None:
    """Return the last snapshot that was published before a moment; None where none is kept or readable."""
    # Later releases are published later. A release may have several files; times of files are those of copies.
    kept = sorted(Snapshots(data).kept(), key=release_number, reverse=True)
    for _, paths in groupby(kept, key=release_number):
        earlier = [
            snapshot
            for snapshot in _read_snapshots(paths)
            if snapshot.corruption is None and snapshot.published_at < at
        ]
        if earlier:
            return max(earlier, key=lambda snapshot: snapshot.published_at)
    return None


def parse_as_of(text: str, now: datetime) -> datetime:
    """Parse a day, which means its end, or an instant, and return the instant; without offset it is UTC.

    `yesterday` and `today` are days, too; today means now.

    Raises:
        ConfigError: the text is neither, or lies in the future.
    """
    at = _moment(text, now)
    if at <= now:
        return at
    if at == _end_of(now):
        return now
    raise ConfigError(
        f"'{text}' has not come yet: it is {_text(now)}.",
        cure=f"{_ALLOWED} Without --as-of the newest answers.",
    )


def _moment(text: str, now: datetime) -> datetime:
    try:
        if text.lower() in _DAYS:
            return _end_of(now - _DAYS[text.lower()])
        at = datetime.fromisoformat(text)
        if "T" not in text and " " not in text:
            return _end_of(at.replace(tzinfo=UTC))
        return parse_instant(text) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"'{text}' is no moment.", cure=_ALLOWED) from error


def _end_of(day: datetime) -> datetime:
    return datetime.combine(day.astimezone(UTC).date(), time.max, UTC)


def _read_snapshots(paths: Iterable[Path]) -> Iterator[Snapshot]:
    for path in paths:
        # A file may be collected meanwhile, or may be no snapshot of ours.
        try:
            with closing(open_snapshot(path)) as file:
                for release, published_at in file.execute(_PUBLICATION).fetchall():
                    yield Snapshot(path, release, published_at)
        except CorruptFile as corruption:
            yield from _damaged(path, corruption)
        except duckdb.Error as error:
            corruption_of_file = damaged_file(path, error)
            if corruption_of_file is not None:
                yield from _damaged(path, corruption_of_file)
        except StoreError:
            continue


def _damaged(path: Path, corruption: CorruptFile) -> Iterator[Snapshot]:
    if release_number(path):  # else it is no snapshot of ours
        yield Snapshot(path, release_number(path), _EARLIEST, corruption)


def _dated(damaged: Snapshot, readable: list[Snapshot]) -> Snapshot:
    """Return a damaged snapshot with the time of its predecessor; the file's own time may be that of a copy."""
    before = [snapshot.published_at for snapshot in readable if snapshot.release < damaged.release]
    return replace(damaged, published_at=max(before, default=_EARLIEST))


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
