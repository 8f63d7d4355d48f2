"""Insert, update, upsert and delete, with a result for each record in the order of the request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crm_sandbox.zoho.errors import ZohoError, invalid_data
from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.quote_totals import totals_of
from crm_sandbox.zoho.refusals import SILENT, RefusalStore
from crm_sandbox.zoho.schema import Field, Module
from crm_sandbox.zoho.store import RecordStore
from crm_sandbox.zoho.validation import Checker, Draft, Failure, id_in
from crm_sandbox.zoho.write_plan import WritePlan

# What the vendor looks at when an upsert names no fields.
_SYSTEM_KEYS = {
    "Leads": ("Email",),
    "Contacts": ("Email",),
    "Accounts": ("Account_Name",),
    "Deals": ("Deal_Name",),
    "Products": ("Product_Name",),
    "Campaigns": ("Campaign_Name",),
}


@dataclass
class Step:
    """What is to be done with one record of a request."""

    number: int = 0
    is_new: bool = False
    draft: Draft = field(default_factory=Draft)
    failure: Failure | None = None
    is_silent: bool = False
    duplicate_field: str | None = None


class Writer:
    """Writes records of one org.

    Args:
        org: the org.
        store: writes the rows.
    """

    def __init__(self, org: Org, store: RecordStore) -> None:
        self._org = org
        self._store = store
        self._checker = Checker(org)
        self.refusals = RefusalStore()

    def insert(self, module: Module, records: Sequence[Any]) -> list[dict[str, Any]]:
        """Add records."""
        with self._org.tables.writing():
            plan = WritePlan(self._org, module, records, _unique(module))
            steps = [self._new(plan, record, place) for place, record in enumerate(records)]
            return self._done(module, steps)

    def update(
        self, module: Module, records: Sequence[Any], unless_since: datetime | None = None
    ) -> list[dict[str, Any]]:
        """Change records by their ids, unless they were modified after a moment."""
        with self._org.tables.writing():
            plan = WritePlan(self._org, module, records, _unique(module))
            steps = []
            for place, record in enumerate(records):
                step = self._changed(plan, record, place)
                self._check_lock(module, step, unless_since)
                steps.append(step)
            return self._done(module, steps)

    def upsert(
        self, module: Module, records: Sequence[Any], keys: Sequence[str] | None
    ) -> list[dict[str, Any]]:
        """Change the records that are found by some fields, and add the others.

        Raises:
            ZohoError: a field cannot tell records apart.
        """
        fields = self._keys(module, keys)
        with self._org.tables.writing():
            plan = WritePlan(self._org, module, records, [*fields, *_unique(module)])
            steps = []
            for place, record in enumerate(records):
                found = plan.match(fields, record if isinstance(record, Mapping) else {})
                if found is None:
                    steps.append(self._new(plan, record, place))
                    continue
                number, name = found
                step = self._changed(plan, {**record, "id": str(number)}, place)
                step.duplicate_field = name
                steps.append(step)
            shown = self._done(module, steps)
        for step, entry in zip(steps, shown, strict=True):
            if entry["status"] == "success":
                entry["action"] = "insert" if step.is_new else "update"
                entry["duplicate_field"] = step.duplicate_field
        return shown

    def update_by(self, module: Module, records: Sequence[Any], name: str) -> list[dict[str, Any]]:
        """Change the records that a unique field tells apart; one that is not found fails."""
        key = module.find(name)
        assert key is not None
        with self._org.tables.writing():
            plan = WritePlan(self._org, module, records, [key, *_unique(module)])
            steps = []
            for place, record in enumerate(records):
                found = plan.match([key], record)
                number = str(found[0]) if found else "0"
                steps.append(self._changed(plan, {**record, "id": number}, place))
            return self._done(module, steps)

    def delete(self, module: Module, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Put records into the recycle bin."""
        numbers = [id_of(one) for one in ids]
        with self._org.tables.writing():
            states = self._store.state_of(module, [one for one in numbers if one is not None])
            shown, gone = [], []
            for text, number in zip(ids, numbers, strict=True):
                if number is None or states.get(number, "absent") is not None:
                    failure = Failure(
                        "INVALID_DATA", "the id given seems to be invalid", {"id": text}
                    )
                    shown.append(failure.shown)
                    continue
                code = self.refusals.take(module.name, text)
                if code and code != SILENT:
                    shown.append(Failure(code, "record not deleted", {"id": text}).shown)
                    continue
                if not code:
                    gone.append(number)
                shown.append(_success("record deleted", {"id": text}))
            if gone:
                self._store.end(module, gone, "recycle", self._org.clock.stamp(), None)
        return shown

    def _keys(self, module: Module, names: Sequence[str] | None) -> list[Field]:
        unique = _unique(module)
        system = [module.find(name) for name in _SYSTEM_KEYS.get(module.stored, ())]
        known = [one for one in (*system, *unique) if one is not None]
        if not names:
            return known
        chosen = []
        for place, name in enumerate(names):
            one = next((one for one in known if one.name == name), None)
            if one is None:
                path = f"$.duplicate_check_fields[{place}]"
                raise invalid_data("invalid data", api_name=name, json_path=path)
            chosen.append(one)
        return chosen

    def _new(self, plan: WritePlan, record: Any, place: int) -> Step:
        step = self._read(plan, record, place, inserting=True)
        if step.failure is None:
            step.number = self._org.new_id(plan.module.stored)
            step.is_new = True
            self._occupy(plan, step, f"$.data[{place}]")
        return step

    def _changed(self, plan: WritePlan, record: Any, place: int) -> Step:
        path = f"$.data[{place}]"
        step = self._read(plan, record, place, inserting=False)
        number = id_in(record, path) if isinstance(record, Mapping) else step.failure
        if isinstance(number, Failure) or number is None:
            step.failure = step.failure or number
            return step
        step.number = number
        if not plan.lives(number):
            details = {"api_name": "id", "json_path": f"{path}.id"}
            step.failure = Failure("INVALID_DATA", "the id given seems to be invalid", details)
        elif plan.is_locked(number):
            details = {"api_name": "id", "json_path": f"{path}.id"}
            step.failure = Failure("RECORD_LOCKED", "record is locked", details)
        if step.failure is None:
            self._occupy(plan, step, path)
        return step

    def _read(self, plan: WritePlan, record: Any, place: int, *, inserting: bool) -> Step:
        path = f"$.data[{place}]"
        if not isinstance(record, Mapping):
            details = {"expected_data_type": "jsonobject", "json_path": path, "api_name": "data"}
            return Step(failure=Failure("INVALID_DATA", "invalid data", details))
        draft = self._checker.read(plan.module, record, path, inserting=inserting)
        step = Step(draft=draft, failure=draft.failure)
        code = self.refusals.take(plan.module.name, str(record.get("id", "")))
        if code == SILENT:
            step.is_silent = True
        elif code:
            step.failure = Failure(code, "record not written", {"json_path": path})
        return step

    def _occupy(self, plan: WritePlan, step: Step, path: str) -> None:
        """Check that unique values are free, and take them."""
        for one in plan.module.visible_fields:
            value = step.draft.values.get(one.stored)
            if not one.unique or value is None:
                continue
            owner = plan.owner_of(one, value)
            if owner is not None and owner != step.number:
                details = {
                    "api_name": one.name,
                    "json_path": f"{path}.{one.name}",
                    "id": str(owner),
                }
                step.failure = Failure("DUPLICATE_DATA", "duplicate data", details)
                return
        plan.take(step.number, step.draft.values)

    def _check_lock(self, module: Module, step: Step, moment: datetime | None) -> None:
        if moment is None or step.failure is not None:
            return
        shown = self._details(module, [step.number])[step.number]
        if shown.pop("_modified") > moment:
            message = "the record has been already modified"
            shown.pop("$approval_state")
            step.failure = Failure("ALREADY_MODIFIED", message, shown)

    def _done(self, module: Module, steps: Sequence[Step]) -> list[dict[str, Any]]:
        good = [one for one in steps if one.failure is None]
        written = [one for one in good if not one.is_silent]
        now = self._org.clock.stamp()
        made = [one.draft.values | {"id": one.number} for one in written if one.is_new]
        if made:
            self._store.create(module, made, now)
        changes: dict[int, dict[str, Any]] = {}
        for one in written:
            if not one.is_new:
                changes.setdefault(one.number, {}).update(one.draft.values)
        if changes:
            self._store.change(module, changes, now)
        for one in written:
            self._write_rows(module, one, now)
        details = self._details(module, [one.number for one in written])
        shown = []
        for one in steps:
            if one.failure is not None:
                shown.append(one.failure.shown)
                continue
            known = details.get(one.number) or self._pretended(one, now)
            entry = {key: value for key, value in known.items() if key != "_modified"}
            shown.append(_success(f"record {'added' if one.is_new else 'updated'}", entry))
        return shown

    def _write_rows(self, module: Module, step: Step, now: datetime) -> None:
        for table, given in step.draft.rows.items():
            rows = given
            below = self._org.behind(table)
            parent = "Parent_Id" if below.kind == "subform" else below.fields[1].stored
            if below.kind == "subform":
                rows, sums = totals_of(self._org, rows)
                self._store.change(module, {step.number: sums}, now)
            self._store.replace_rows(table, parent, step.number, rows)

    def _details(self, module: Module, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        columns = ", ".join(
            f'zoho_moment(t."{name}") AS "{name}"' if module.has(name) else f'NULL AS "{name}"'
            for name in ("Created_Time", "Modified_Time")
        )
        sql = (
            f'SELECT t.id AS number, {columns}, t."{module.stamp}" AS _modified '
            f'FROM "{module.stored}" t WHERE t.id IN (SELECT unnest(?::BIGINT[]))'
        )
        people = {"Created_By": self._user(), "Modified_By": self._user()}
        return {
            (number := row.pop("number")): {"id": str(number)}
            | row
            | people
            | {"$approval_state": "approved"}
            for row in self._org.tables.rows(sql, [list(ids)])
        }

    def _pretended(self, step: Step, now: datetime) -> dict[str, Any]:
        moment = self._org.tables.value("SELECT zoho_moment(?::TIMESTAMP)", [now])
        stamps = {"id": str(step.number), "Created_Time": moment, "Modified_Time": moment}
        people = {"Created_By": self._user(), "Modified_By": self._user()}
        return stamps | people | {"$approval_state": "approved"}

    def _user(self) -> dict[str, str]:
        number = self._org.user_id
        name = self._org.tables.value('SELECT full_name FROM "Users" WHERE id = ?', [number])
        return {"name": str(name), "id": str(number)}


def _unique(module: Module) -> list[Field]:
    return [one for one in module.visible_fields if one.unique]


def _success(message: str, details: dict[str, Any]) -> dict[str, Any]:
    return {"code": "SUCCESS", "details": details, "message": message, "status": "success"}


def records_of(body: Any, most: int) -> list[Any]:
    """Return the records of a request's body.

    Raises:
        ZohoError: there are none or too many.
    """
    place = {"api_name": "data", "json_path": "$.data"}
    if not isinstance(body, dict):
        raise invalid_data("body", expected_data_type="jsonobject")
    records = body.get("data")
    if records is None:
        raise ZohoError(400, "MANDATORY_NOT_FOUND", "required field not found", place)
    if not isinstance(records, list) or not records:
        raise invalid_data("invalid data", expected_data_type="jsonarray", **place)
    if len(records) > most:
        message = "the number of records given exceeds the limit"
        raise ZohoError(400, "LIMIT_EXCEEDED", message, place | {"limit": most})
    return records
