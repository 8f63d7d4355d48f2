"""The records behind the APIs, for tests that compare them with what a client read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from crm_sandbox.tables import Tables

_PEOPLE = ("person", "duplicate", "email_verdict", "phone_verdict")


def naive_utc(moment: datetime) -> datetime:
    """Return a moment as tables store it: in UTC, without a zone; one without a zone is in UTC already."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def identified(
    ids: Iterable[Any], drawn: pa.Table, key: str = "id", *, as_text: bool = False
) -> list[dict[str, Any]]:
    """Return the true person behind each record of a population.

    Args:
        ids: of the records.
        drawn: what the world drew for them, in the same order.
        key: what the vendor calls an id.
        as_text: whether ids are shown as text.
    """
    people = drawn.select(list(_PEOPLE)).to_pylist()
    shown = (str(record_id) for record_id in ids) if as_text else ids
    return [{key: record_id} | truth for record_id, truth in zip(shown, people, strict=True)]


@dataclass(frozen=True)
class Selection:
    """How to read the records of one object.

    Attributes:
        tables: of the account.
        source: the FROM clause.
        columns: the SELECT list.
        key: the ORDER BY clause.
        modified_at: the SQL of the time that `since` and `until` are compared with.
        where: conditions, all of which have to hold.
        params: values for the conditions.
        moment: turns a moment into the type of `modified_at`.
    """

    tables: Tables
    source: str
    columns: str
    key: str
    modified_at: str
    where: Sequence[str] = ()
    params: Sequence[Any] = ()
    moment: Callable[[datetime], Any] = naive_utc

    def within(self, since: datetime | None, until: datetime | None) -> tuple[str, list[Any]]:
        """Return the WHERE of the records last touched in [since, until), and its values."""
        parts, params = list(self.where), list(self.params)
        for sign, moment in ((">=", since), ("<", until)):
            if moment is not None:
                parts.append(f"{self.modified_at} {sign} ?")
                params.append(self.moment(moment))
        return (f" WHERE {' AND '.join(parts)}" if parts else ""), params


class Truth:
    """Reads the accounts of a vendor without their API."""

    def selection(self, name: str, account: str, *, include_deleted: bool) -> Selection:
        """Return how to read an object.

        Raises:
            ValueError: there is no such account or object.
        """
        raise NotImplementedError

    def count(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        account: str = "main",
    ) -> int:
        """Count records, optionally those last touched in [since, until)."""
        chosen = self.selection(name, account, include_deleted=include_deleted)
        where, params = chosen.within(since, until)
        return int(chosen.tables.value(f"SELECT count(*) FROM {chosen.source}{where}", params))

    def rows(
        self,
        name: str,
        *,
        include_deleted: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        account: str = "main",
    ) -> list[dict[str, Any]]:
        """Return records ordered by id, with the names that the vendor's API shows."""
        chosen = self.selection(name, account, include_deleted=include_deleted)
        where, params = chosen.within(since, until)
        first = f" LIMIT {int(limit)}" if limit is not None else ""
        sql = f"SELECT {chosen.columns} FROM {chosen.source}{where} ORDER BY {chosen.key}{first}"
        return chosen.tables.rows(sql, params)
