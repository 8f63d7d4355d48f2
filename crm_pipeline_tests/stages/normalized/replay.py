"""The history of records by a replay in plain Python, from the list of all that landed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EVER = datetime.min.replace(tzinfo=UTC)
Shown = tuple[str, datetime, datetime | None, bool, Any, tuple[str, ...]]
"""Id, valid from and to, whether deleted, value, names of changed columns."""


@dataclass(frozen=True)
class Seen:
    """One landed row.

    Attributes:
        read: number of the read, in the order of their commits.
        at: when it was read.
        row: its position in the read.
        stamp: its modification time.
    """

    id: str
    read: int
    at: datetime
    row: int
    stamp: datetime | None
    is_deleted: bool
    value: Any
    is_complete: bool = False
    is_absence: bool = False

    @property
    def place(self) -> tuple[Any, ...]:
        return (self.at, self.read, self.row)


@dataclass
class Landed:
    """All reads so far: (when, whether complete, rows)."""

    reads: list[tuple[datetime, bool, Sequence[Seen]]] = field(default_factory=list)

    def add(
        self,
        at: datetime,
        rows: Iterable[tuple[str, datetime | None, bool, Any]],
        *,
        complete: bool,
    ) -> None:
        seen = [
            Seen(record, len(self.reads), at, n, stamp, gone, value, complete)
            for n, (record, stamp, gone, value) in enumerate(rows)
        ]
        self.reads.append((at, complete, seen))

    def of(self, record: str) -> list[Seen]:
        """Return what landed of a record, with a tombstone for each complete read that shows that it is gone."""
        seen: list[Seen] = []
        is_there = False
        for number, (at, is_complete, rows) in enumerate(self.reads):
            own = [row for row in rows if row.id == record]
            if is_complete and not own:
                if is_there and not is_deleted(seen):
                    seen.append(
                        Seen(
                            record,
                            number,
                            at,
                            -1,
                            None,
                            is_deleted=True,
                            value=None,
                            is_absence=True,
                        )
                    )
                is_there = False
            seen += own
            is_there = is_there or bool(own)
        return seen

    @property
    def ids(self) -> list[str]:
        return sorted({row.id for _, _, rows in self.reads for row in rows})


def is_deleted(seen: Sequence[Seen]) -> bool:
    """Say whether a record is deleted by its landed versions, by the rules as they are written in the design."""
    rows = [row for row in seen if not row.is_absence]
    alive = [row for row in rows if not row.is_deleted]
    whole = max((row.place for row in alive if row.is_complete), default=())
    rows = [row for row in rows if not (row.is_deleted and row.place < whole)]
    unstamped = [row for row in rows if row.is_deleted and row.stamp is None]
    if any(row.place > max((one.place for one in alive), default=()) for row in unstamped):
        return True
    stamped = [row for row in rows if row not in unstamped] or rows
    return max(stamped, key=lambda row: (row.stamp or EVER, row.place)).is_deleted


def line(seen: Sequence[Seen]) -> list[tuple[Seen, bool]]:
    """Put the versions of a record in order; those of the second kind stand where they landed."""
    alive = [row for row in seen if not row.is_deleted]
    whole = [row.place for row in alive if row.is_complete]
    by_place: list[Seen] = []
    ordered: list[Seen] = []
    for row in seen:
        void = row.is_deleted and any(row.place < place for place in whole)
        (by_place if row.is_deleted and (row.stamp is None or void) else ordered).append(row)
    ordered.sort(key=lambda row: (row.stamp or EVER, row.place))
    result = [(row, False) for row in ordered]
    for tombstone in sorted(by_place, key=lambda row: row.place):
        is_last_word = tombstone.stamp is None and all(a.place < tombstone.place for a in alive)
        before = [n for n, (row, _) in enumerate(result) if row.place < tombstone.place]
        behind = max((n for n in before if not result[n][1]), default=-1) + 1
        while behind < len(result) and result[behind][1]:
            behind += 1
        if is_last_word and not tombstone.is_absence:
            result.append((tombstone, True))
        elif is_last_word or any(not is_slotted for _, is_slotted in result[behind:]):
            result.insert(behind, (tombstone, True))
    return result


def since_when(rows: Sequence[tuple[Seen, bool]], n: int) -> datetime:
    """Return since when a version was so: its modification time, or when it was read if the one before had that as well."""
    row, is_slotted = rows[n]
    if is_slotted or row.stamp is None:
        return row.stamp or row.at
    former, is_former_slotted = rows[n - 1] if n else (row, True)
    if (
        is_former_slotted
        or row.is_deleted
        or former.is_deleted
        or former.stamp != row.stamp
        or former.at < row.stamp + timedelta(seconds=1)
    ):
        return row.stamp
    later = [one.stamp for one, is_out in rows[n + 1 :] if not is_out and one.stamp]
    return min([row.at, *(stamp for stamp in later if stamp > row.stamp)])


def last_sound(rows: Sequence[tuple[Seen, bool]]) -> Any:
    """Return the value that a deletion without one leaves: the last one that no complete read contradicts, if there is any."""
    valued = [(row, is_slotted) for row, is_slotted in rows if row.value is not None]
    stamped = [row.value for row, _ in valued if row.stamp or not row.is_deleted]
    sound = [row.value for row, is_slotted in valued if not is_slotted]
    return (sound or stamped or [None])[-1]


def replayed(landed: Landed, columns: Mapping[str, Any]) -> list[Shown]:
    """Return all versions of all records.

    Args:
        landed: what landed.
        columns: the columns that change with the value.
    """
    shown: list[Shown] = []
    for record in landed.ids:
        versions: list[list[Any]] = []
        value: Any = None
        gone_at: datetime | None = None
        rows = line(landed.of(record))
        for n, (row, is_slotted) in enumerate(rows):
            if row.is_absence and not versions:
                continue
            is_mark = row.is_deleted and row.value is None and not row.is_absence
            value = value if row.is_absence or is_mark else row.value
            at = since_when(rows, n)
            stated = row.stamp or row.at
            if not is_slotted and gone_at is not None and stated < gone_at:
                at = row.at
            if versions:
                at = max(at, versions[-1][4])
            if is_slotted:
                gone_at = max(gone_at or EVER, row.stamp or row.at)
            state = [row.is_deleted, last_sound(rows[:n]) if is_mark else value]
            last = versions[-1] if versions else None
            if last is not None and last[1:3] == state:
                last[4] = at
                continue
            changed = []
            if last is not None:
                changed += list(columns) if last[2] != state[1] else []
                changed += ["is_deleted"] if last[1] != row.is_deleted else []
            versions.append([at, *state, tuple(sorted(changed)), at])
        ends = [version[0] for version in versions[1:]] + [None]
        shown += [
            (record, v[0], end, v[1], v[2], v[3]) for v, end in zip(versions, ends, strict=True)
        ]
    return sorted(shown, key=in_order)


def in_order(version: Shown) -> tuple[Any, ...]:
    """Return the order of versions; several may begin and end at one instant."""
    record, since, until, *rest = version
    return (record, since, until or datetime.max.replace(tzinfo=UTC), repr(rest))
