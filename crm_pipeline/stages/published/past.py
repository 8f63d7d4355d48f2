"""Earlier states of the published database: which snapshot shows a moment."""

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
_STATED = "SELECT release, published_at FROM ops.publication"


@dataclass(frozen=True)
class Snapshot:
    """One published file: analysts saw it from `published_at` until the next one came.

    Attributes:
        corruption: why it cannot be opened. Its own time is then unknown: `published_at` is the earliest that it can be,
            that of the snapshot before it.
    """

    path: Path
    release: int
    published_at: datetime
    corruption: CorruptFile | None = None

    def __str__(self) -> str:
        return f"{self.path.name}, published at {_said(self.published_at)}"


def kept_snapshots(data: Path) -> list[Snapshot]:
    """Return the snapshots below a data folder, oldest first, by what they say of themselves."""
    found = list(_stated(Snapshots(data).kept()))
    whole = [one for one in found if one.corruption is None]
    damaged = (_dated(one, whole) for one in found if one.corruption is not None)
    return sorted([*whole, *damaged], key=lambda one: (one.published_at, one.release))


def snapshot_as_of(data: Path, at: datetime) -> Snapshot:
    """Return what analysts saw at a moment: the last snapshot that was published by then.

    Raises:
        StoreError: none so old is kept; the text names the nearest.
        CorruptFile: it is damaged, or may be a damaged one. An older one could say something else.
    """
    kept = kept_snapshots(data)
    shown = [one for one in kept if one.published_at <= at]
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
        f"no snapshot of {_said(at)} or before is kept; the nearest is {kept[0]}.",
        cure="CRM_KEEP_SNAPSHOTS and CRM_KEEP_SNAPSHOT_DAYS say how many stay from now on. What a "
        "record was earlier is in data/landing, which keeps every version that was read.",
    )


def snapshot_at(path: Path) -> Snapshot | None:
    """Return what a snapshot says of itself; None where it was collected, or is somebody's own file."""
    return next(_stated([path]), None)


def snapshot_before(data: Path, at: datetime) -> Snapshot | None:
    """Return the last snapshot that was published before a moment; None where none is kept or readable."""
    # Later releases are published later. Of one there may be several files; their own times say when they were copied.
    kept = sorted(Snapshots(data).kept(), key=release_number, reverse=True)
    for _, paths in groupby(kept, key=release_number):
        stated = [one for one in _stated(paths) if one.corruption is None and one.published_at < at]
        if stated:
            return max(stated, key=lambda one: one.published_at)
    return None


def parse_as_of(text: str, now: datetime) -> datetime:
    """Read a day, which means its end, or an instant; without offset it is UTC.

    `yesterday` and `today` are days, too; of today there is only what has been.

    Raises:
        ConfigError: it is neither, or it has not come yet.
    """
    at = _moment(text, now)
    if at <= now:
        return at
    if at == _end_of(now):
        return now
    raise ConfigError(
        f"'{text}' has not come yet: it is {_said(now)}.",
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


def _stated(paths: Iterable[Path]) -> Iterator[Snapshot]:
    for path in paths:
        # One may be collected meanwhile, and another may be somebody's own file.
        try:
            with closing(open_snapshot(path)) as file:
                for release, published_at in file.execute(_STATED).fetchall():
                    yield Snapshot(path, release, published_at)
        except CorruptFile as corruption:
            yield from _damaged(path, corruption)
        except duckdb.Error as error:
            found = damaged_file(path, error)
            if found is not None:
                yield from _damaged(path, found)
        except StoreError:
            continue


def _damaged(path: Path, corruption: CorruptFile) -> Iterator[Snapshot]:
    if release_number(path):  # else it is somebody's own file
        yield Snapshot(path, release_number(path), _EARLIEST, corruption)


def _dated(damaged: Snapshot, whole: list[Snapshot]) -> Snapshot:
    """Date a damaged snapshot: not before its predecessor. The file's own time says when it was copied or restored."""
    before = [one.published_at for one in whole if one.release < damaged.release]
    return replace(damaged, published_at=max(before, default=_EARLIEST))


def _said(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
