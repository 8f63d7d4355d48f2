"""Writes of rows into an org's tables, with all consequences.

Full names are composed, a deal's new stage adds to its history, channels are notified.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.population import PROBABILITIES
from crm_sandbox.zoho.schema import Module

# What goes and returns together with a record: the table and its column for the record.
_BELOW = {"Deals": ("DealHistory", "Potential_Name"), "Quotes": ("Quoted_Items", "Parent_Id")}
_STAMPS = ("Modified_Time", "Last_Activity_Time")


@dataclass(frozen=True)
class Change:
    """What happened to some records of a module: `insert`, `update` or `delete`."""

    module: Module
    operation: str
    ids: tuple[int, ...]
    fields: Mapping[int, tuple[str, ...]]


class RecordStore:
    """Writes rows of one org.

    Args:
        org: the org.

    Attributes:
        listeners: called after every change.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self.listeners: list[Callable[[Change], None]] = []

    def state_of(self, module: Module, ids: Sequence[int]) -> dict[int, str | None]:
        """Return how known records ended, None for those that live."""
        rows = (
            self._org.tables.cursor()
            .execute(
                f'SELECT id, _ended FROM "{module.stored}" WHERE id IN (SELECT unnest(?::BIGINT[]))',
                [list(ids)],
            )
            .fetchall()
        )
        return dict(rows)

    def create(
        self, module: Module, rows: Sequence[Mapping[str, Any]], moment: datetime
    ) -> list[int]:
        """Add records and return their ids, in order."""
        ids, made = [], []
        for values in rows:
            number = values.get("id") or self._org.new_id(module.stored)
            row = self._defaults(module, moment) | self._rated(values) | {"id": number}
            if module.stored == "Deals" and row.get("Stage"):
                self._forecast(row)
            made.append(_named(module, row))
            ids.append(number)
        with self._org.tables.writing():
            self._org.tables.insert(module.stored, made)
            if module.stored == "Deals":
                self._begin_history(dict(zip(ids, made, strict=True)), moment)
        fields = {one: tuple(values) for one, values in zip(ids, rows, strict=True)}
        self._tell(module, "insert", fields)
        return ids

    def change(
        self,
        module: Module,
        changes: Mapping[int, Mapping[str, Any]],
        moment: datetime | None,
    ) -> None:
        """Change records; without a moment no stamp moves, as with recalculated formulas."""
        stamps: dict[str, Any] = {}
        if moment is not None:
            stamps = {key: moment for key in _STAMPS if module.has(key)}
        written = {one: {**self._rated(values), **stamps} for one, values in changes.items()}
        with self._org.tables.writing() as cursor:
            if module.stored == "Deals":
                self._follow_stages(written, moment or self._org.clock.stamp())
            self._org.tables.update(module.stored, "id", written)
            if module.has("Full_Name"):
                cursor.execute(
                    f'UPDATE "{module.stored}" SET "Full_Name" = '
                    'concat_ws(\' \', "First_Name", "Last_Name") '
                    "WHERE id IN (SELECT unnest(?::BIGINT[]))",
                    [list(written)],
                )
        if moment is not None:
            self._tell(module, "update", {one: tuple(v) for one, v in changes.items()})

    def end(
        self, module: Module, ids: Sequence[int], state: str, moment: datetime, master: int | None
    ) -> None:
        """Put records into the recycle bin or beyond it; `master` took their place in a merge."""
        ended = {"_ended": state, "_ended_at": moment}
        with self._org.tables.writing():
            gone = dict.fromkeys(ids, ended | {"_master": master})
            self._org.tables.update(module.stored, "id", gone)
            if module.stored in _BELOW:
                table, parent = _BELOW[module.stored]
                self._org.tables.update(table, parent, dict.fromkeys(ids, ended))
        self._tell(module, "delete", dict.fromkeys(ids, ()))

    def revive(self, module: Module, ids: Sequence[int], moment: datetime) -> None:
        """Take records out of the recycle bin."""
        living = {"_ended": None, "_ended_at": None}
        stamps = {"Modified_Time": moment} if module.has("Modified_Time") else {}
        with self._org.tables.writing():
            back = dict.fromkeys(ids, living | stamps | {"_master": None})
            self._org.tables.update(module.stored, "id", back)
            if module.stored in _BELOW:
                table, parent = _BELOW[module.stored]
                self._org.tables.update(table, parent, dict.fromkeys(ids, living))
        self._tell(module, "insert", dict.fromkeys(ids, ()))

    def replace_rows(
        self, table: str, parent: str, number: int, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Put rows of a sub-form or of several lookups in the place of the old ones."""
        moment = self._org.clock.stamp()
        stamps = {"Created_Time": moment, "Modified_Time": moment}
        made = [{**row, **stamps, parent: number, "id": self._org.new_id(table)} for row in rows]
        with self._org.tables.writing():
            self._org.tables.remove(table, parent, [number])
            self._org.tables.insert(table, made)

    def _defaults(self, module: Module, moment: datetime) -> dict[str, Any]:
        values: dict[str, Any] = {
            one.stored: False for one in module.columns if one.value_type == "boolean"
        }
        values |= {one.stored: "[]" for one in module.columns if one.stored == "Tag"}
        for key in ("Owner", "Created_By", "Modified_By"):
            if module.has(key):
                values[key] = self._org.user_id
        for key in ("Created_Time", "Modified_Time"):
            if module.has(key):
                values[key] = moment
        if module.has("Record_Status__s"):
            values["Record_Status__s"] = "Available"
        if module.has("Currency"):
            values["Currency"] = self._org.account.currency
            values["Exchange_Rate"] = 1.0
        return values

    def _rated(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Put in the rate of the moment beside a currency that was written."""
        rate = self._org.currencies.rates.get(values.get("Currency") or "")
        return dict(values) if rate is None else {"Exchange_Rate": rate, **values}

    def _forecast(self, row: dict[str, Any]) -> None:
        """Put in what follows from a deal's stage and amount."""
        if row.get("Probability") is None:
            row["Probability"] = self._probability(row["Stage"])
        if row.get("Amount") is not None:
            row["Expected_Revenue"] = row["Amount"] * row["Probability"] / 100

    def _begin_history(self, deals: Mapping[int, Mapping[str, Any]], moment: datetime) -> None:
        rows = [
            self._history(number, values, moment)
            for number, values in deals.items()
            if values.get("Stage")
        ]
        self._org.tables.insert("DealHistory", rows)

    def _history(self, deal: int, values: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
        amount, probability = values.get("Amount"), self._probability(values.get("Stage"))
        return {
            "id": self._org.new_id("DealHistory"),
            "Potential_Name": deal,
            "Stage": values.get("Stage"),
            "Amount": amount,
            "Probability": probability,
            "Expected_Revenue": None if amount is None else amount * probability / 100,
            "Close_Date": values.get("Closing_Date"),
            "Currency": values.get("Currency"),
            "Exchange_Rate": self._org.currencies.rates.get(values.get("Currency") or ""),
            "Modified_Time": moment,
            "Last_Activity_Time": moment,
            "Modified_By": self._org.user_id,
        }

    def _probability(self, stage: str | None) -> int:
        for one in self._org.account.pipelines:
            if stage in one.stages:
                return PROBABILITIES[one.stages.index(stage)]
        return PROBABILITIES[0]

    def _follow_stages(self, changes: dict[int, dict[str, Any]], moment: datetime) -> None:
        moved = {one: values for one, values in changes.items() if values.get("Stage")}
        if not moved:
            return
        tables = self._org.tables
        before = tables.rows(
            'SELECT id, "Stage", "Amount", "Closing_Date", "Currency" FROM "Deals" '
            "WHERE id IN (SELECT unnest(?::BIGINT[]))",
            [list(moved)],
        )
        made = []
        for row in before:
            number = row.pop("id")
            values = moved[number]
            if row["Stage"] == values["Stage"]:
                continue
            changes[number].setdefault("Probability", self._probability(values["Stage"]))
            if "Stage_Modified_Time" not in values:
                changes[number]["Stage_Modified_Time"] = moment
            made.append(self._history(number, row | values, moment))
        # The open row is closed: where the deal went, and after how many days. Its stamp stays.
        is_late = self._org.stamps_history_late
        stamped, late = (', "Modified_Time" = ?', [moment]) if is_late else ("", [])
        with tables.writing() as cursor:
            for row in made:
                cursor.execute(
                    'UPDATE "DealHistory" SET "Moved_To__s" = ?, "Stage_Duration_Calendar_Days" = '
                    f'zoho_day(?) - zoho_day("Modified_Time"){stamped} '
                    'WHERE "Potential_Name" = ? AND "Moved_To__s" IS NULL',
                    [row["Stage"], moment, *late, row["Potential_Name"]],
                )
            tables.insert("DealHistory", made)

    def _tell(self, module: Module, operation: str, fields: Mapping[int, tuple[str, ...]]) -> None:
        change = Change(module, operation, tuple(fields), fields)
        for listener in self.listeners:
            listener(change)


def _named(module: Module, row: dict[str, Any]) -> dict[str, Any]:
    """Put a person's whole name together."""
    if not module.has("Full_Name"):
        return row
    parts = [row.get(key) for key in ("First_Name", "Last_Name")]
    return row | {"Full_Name": " ".join(part for part in parts if part)}
