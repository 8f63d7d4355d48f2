"""What of the last file still counts in a changed copy of it: tables, and results of rules over rows.

A rule about single rows need not read a whole table again. Of the rows that are replaced the same rule says what they
counted for in the last file, and of the new ones what they count for now.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

EXAMPLES = 5
"""The keys of so many rows that break a rule are noted, those that sort first."""


@dataclass(frozen=True)
class Finding:
    """The result of a rule: how many of the checked rows break it, with the keys of a few.

    Attributes:
        severity: `warning` for a fault; `note` for what is no fault, but has to be known.
    """

    connection: str
    table: str
    rule: str
    severity: str
    failures: int
    rows: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangedRows:
    """The live rows of a table that were replaced.

    Attributes:
        before: relation with them as they were in the last file.
        now: relation with them as they are.
        is_steady: whether the same records are live and deleted as before.
    """

    before: str
    now: str
    is_steady: bool


@dataclass(frozen=True)
class Carried:
    """What of the last file still counts.

    Attributes:
        same: tables whose rows are all as they were.
        changed: tables of which some rows were replaced.
        points: relations with the contact points that were replaced, before and now; None where all are new.
    """

    same: Collection[str] = ()
    changed: Mapping[str, ChangedRows] = field(default_factory=dict)
    points: tuple[str, str] | None = None

    def changed_rows(self, table: str) -> tuple[str, str] | None:
        """Return relations with the replaced live rows of a table, before and now; "" for none, None where all may be."""
        if table in self.same:
            return "", ""
        rows = self.changed.get(table)
        return None if rows is None else (rows.before, rows.now)

    def is_steady(self, table: str) -> bool:
        """Say whether the same records of a table are live and deleted as in the last file."""
        rows = self.changed.get(table)
        return table in self.same or (rows is not None and rows.is_steady)


NOTHING_CARRIED = Carried()


def combined(
    known: Iterable[Finding], removed: Iterable[Finding], added: Iterable[Finding]
) -> list[Finding] | None:
    """Return the results of rules from those of before; None where they do not follow from these.

    Args:
        known: the results over all rows before.
        removed: the results over the rows that were replaced, as they were.
        added: the results over the rows that took their place.
    """
    before = {(finding.connection, finding.rule): finding for finding in known}
    gone = {(finding.connection, finding.rule): finding for finding in removed}
    new = {(finding.connection, finding.rule): finding for finding in added}
    if not (gone.keys() | new.keys()) <= before.keys():
        return None
    findings = []
    for name, finding in before.items():
        one = _with_rows(finding, gone.get(name), new.get(name))
        if one is None:
            return None
        # A rule that no row is checked by has no result.
        if one.rows:
            findings.append(one)
    return findings


def _with_rows(known: Finding, gone: Finding | None, new: Finding | None) -> Finding | None:
    was, removed = known.failures, gone.failures if gone else 0
    failures = was - removed + (new.failures if new else 0)
    # Up to the last known example all failures of before are known, and so are those that are left of them.
    reach = known.examples[-1] if was > EXAMPLES and known.examples else None
    left = set(known.examples) - set(gone.examples if gone else ())
    left |= {key for key in (new.examples if new else ()) if reach is None or key <= reach}
    examples = tuple(sorted(left)[:EXAMPLES])
    if len(examples) < min(failures, EXAMPLES):
        return None
    rows = known.rows - (gone.rows if gone else 0) + (new.rows if new else 0)
    return replace(known, failures=failures, rows=rows, examples=examples)
