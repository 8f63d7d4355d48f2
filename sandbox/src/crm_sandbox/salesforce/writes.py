"""Writes through the API, many at once: checked against the org, then stored in one transaction.

Single records, collections and Bulk ingest all come through here, so a record is refused with the
same code on every way in.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_sandbox.salesforce.automatic import default_values, stage_values
from crm_sandbox.salesforce.errors import ApiError, invalid_type, malformed_id
from crm_sandbox.salesforce.foreign_keys import fill_in
from crm_sandbox.salesforce.opportunities import follow_up
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.refusals import RefusalStore
from crm_sandbox.salesforce.schema import Field, SObject
from crm_sandbox.salesforce.storage import RowStore
from crm_sandbox.salesforce.validation import (
    WrongTypeError,
    check_operation,
    check_required,
    checked_values,
    record_id_of,
)


class SeveralMatches(ApiError):
    """An external id that more than one record has.

    Args:
        ids: the records.
        key: the external id field.
    """

    def __init__(self, ids: Sequence[str], key: Field) -> None:
        listed = ", ".join(ids)
        message = f"More than one record found for external id field: [{listed}]"
        super().__init__(300, "DUPLICATE_EXTERNAL_ID", message, [key.name])
        self.ids = list(ids)


@dataclass
class Order:
    """One record to write, and what became of it.

    Attributes:
        operation: create, update, upsert, delete or hardDelete.
        record: the id, where the client gave one.
        key: for an upsert the external id field (or Id), with `key_value` as the client wrote it.
        error: why it is refused, if it is.
        created: whether a new record is made.
    """

    operation: str
    sobject: SObject
    record: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    key: Field | None = None
    key_value: Any = None
    error: ApiError | None = None
    created: bool = False
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def removes(self) -> bool:
        """Whether the record goes away."""
        return self.operation in {"delete", "hardDelete"}


class Writer:
    """Carry orders out.

    Args:
        org: holds the records.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._store = RowStore(org)
        self.refusals = RefusalStore()

    def apply(
        self, orders: Sequence[Order], *, all_or_none: bool = False, typed: bool = True
    ) -> None:
        """Check every order, then store those without an error, in one transaction.

        Args:
            orders: what to write; each order's `error`, `record` and `created` say what became of it.
            all_or_none: whether one error refuses the innocent ones too.
            typed: whether the values come from JSON, where a wrong type spoils the whole body.

        Raises:
            WrongTypeError: a value has the wrong type in a typed body; nothing is stored.
        """
        with self._org.writing():
            for group in _grouped(orders):
                self._check(group)
            problems = [order.error for order in orders if order.error]
            wrong = next((one for one in problems if isinstance(one, WrongTypeError)), None)
            if typed and wrong is not None:
                raise wrong
            if problems and all_or_none:
                for order in orders:
                    order.error = order.error or _rolled_back()
            for group in _grouped(order for order in orders if not order.error):
                self._carry_out(group)

    def _check(self, orders: list[Order]) -> None:
        sobject, operation = orders[0].sobject, orders[0].operation
        for order in orders:
            _guarded(order, check_operation, sobject, operation)
        if operation == "upsert":
            self._find_by_key(_fine(orders))
        elif operation == "create":
            for order in orders:
                order.created = True
        self._find_by_id(_fine(order for order in orders if not order.created))
        written = _fine(order for order in orders if not order.removes)
        problems = fill_in(self._org, sobject, [order.body for order in written])
        for order, problem in zip(written, problems, strict=True):
            order.error = problem
        for order in _fine(written):
            _guarded(order, _fill, order)
        self._check_unique(sobject, _fine(orders))
        self._check_references(sobject, _fine(orders))
        for order in _fine(orders):
            order.error = self.refusals.take(sobject.name, order.record)

    def _find_by_key(self, orders: list[Order]) -> None:
        if not orders or (key := orders[0].key) is None:
            return
        if key.type == "id":
            for order in orders:
                order.record, order.created = str(order.key_value or ""), not order.key_value
            return
        for order in orders:
            _guarded(order, _take_key, order, key)
        orders = _fine(orders)
        given = [order.values[key.stored] for order in orders]
        matches: dict[Any, list[str]] = defaultdict(list)
        for value, record in self._rows_with(orders[0].sobject, key, given) if orders else ():
            matches[value].append(record)
        often = Counter(given)
        for order, value in zip(orders, given, strict=True):
            if often[value] > 1:
                text = f"Duplicate external id specified: {value}"
                order.error = ApiError(400, "DUPLICATE_VALUE", text, [key.name])
            elif len(matches[value]) > 1:
                order.error = SeveralMatches(matches[value], key)
            order.created = not matches[value]
            order.record = matches[value][0] if matches[value] else ""

    def _find_by_id(self, orders: list[Order]) -> None:
        for order in orders:
            _guarded(order, _take_id, order)
        orders = _fine(orders)
        if not orders:
            return
        sobject = orders[0].sobject
        gone = '"IsDeleted"' if sobject.has_deleted else "false"
        sql = (
            f'SELECT "Id", {gone} FROM "{sobject.name}" WHERE "Id" IN (SELECT unnest(?::VARCHAR[]))'
        )
        wanted = [order.record for order in orders]
        found = dict(self._org.cursor().execute(sql, [wanted]).fetchall())
        for order in orders:
            if order.record not in found:
                order.error = ApiError(
                    404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"
                )
            elif found[order.record] and order.operation != "hardDelete":
                order.error = ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")

    def _check_unique(self, sobject: SObject, orders: list[Order]) -> None:
        for one in sobject.fields:
            holders = [o for o in orders if one.unique and o.values.get(one.stored) is not None]
            if not holders:
                continue
            given = [order.values[one.stored] for order in holders]
            owners = dict(self._rows_with(sobject, one, given))
            first: dict[Any, Order] = {}
            for order, value in zip(holders, given, strict=True):
                other = first.setdefault(value, order)
                owner = owners.get(value, order.record)
                if other is not order and (order.created or other.record != order.record):
                    owner = "<unknown>"
                if owner != order.record:
                    text = f"duplicate value found: {one.name} duplicates value on record with id: {owner}"
                    order.error = order.error or ApiError(400, "DUPLICATE_VALUE", text, [one.name])

    def _check_references(self, sobject: SObject, orders: list[Order]) -> None:
        for one in sobject.fields:
            if one.type != "reference":
                continue
            pointing = [order for order in orders if order.values.get(one.stored)]
            known = self._existing(one, {order.values[one.stored] for order in pointing})
            for order in pointing:
                target = order.values[one.stored]
                if target[:3] not in known:
                    label = f"{one.label or one.name} ID"
                    order.error = order.error or malformed_id(label, target, one.name)
                elif target not in known[target[:3]]:
                    order.error = order.error or ApiError(
                        400,
                        "INVALID_CROSS_REFERENCE_KEY",
                        "invalid cross reference id",
                        [one.name],
                    )

    def _existing(self, one: Field, wanted: set[str]) -> dict[str, set[str]]:
        known: dict[str, set[str]] = {}
        for target in filter(None, (self._org.held(name) for name in one.reference_to)):
            of_target = [record for record in wanted if record.startswith(target.prefix)]
            gone = ' AND NOT "IsDeleted"' if target.has_deleted else ""
            known[target.prefix] = set()
            if of_target:
                sql = f'SELECT "Id" FROM "{target.name}" WHERE "Id" IN (SELECT unnest(?::VARCHAR[])){gone}'
                rows = self._org.cursor().execute(sql, [of_target]).fetchall()
                known[target.prefix] = {row[0] for row in rows}
        return known

    def _rows_with(self, sobject: SObject, one: Field, values: list[Any]) -> list[tuple[Any, str]]:
        gone = ' AND NOT "IsDeleted"' if sobject.has_deleted else ""
        sql = (
            f'SELECT "{one.stored}", "Id" FROM "{sobject.name}" WHERE "{one.stored}" IN '
            f'(SELECT unnest(?::{one.column_type}[])){gone} ORDER BY "Id"'
        )
        return self._org.cursor().execute(sql, [values]).fetchall()

    def _carry_out(self, orders: list[Order]) -> None:
        sobject, operation = orders[0].sobject, orders[0].operation
        for order in orders:
            order.values |= stage_values(sobject, order.values, self._org.clock.stamp())
        new = [order for order in orders if order.created]
        made = self._store.insert(sobject, [order.values for order in new])
        for order, record in zip(new, made, strict=True):
            order.record = record
        old = [order for order in orders if not order.created]
        if operation == "delete":
            self._store.bin(sobject, [order.record for order in old])
        elif operation == "hardDelete":
            self._store.remove(sobject, [order.record for order in old])
        else:
            self._store.update(sobject, ((order.record, order.values) for order in old))
        if sobject.name == "Opportunity" and not orders[0].removes:
            written = ((order.record, order.values) for order in orders)
            follow_up(self._org, self._store, written)


def key_field(sobject: SObject, name: str) -> Field | None:
    """Return the field that an upsert may go by, or nothing."""
    one = sobject.find(name)
    return one if one is not None and (one.external_id or one.type == "id") else None


def object_for_write(org: Org, name: Any) -> SObject:
    """Return the object of a record in a write.

    Raises:
        ApiError: `INVALID_TYPE` for an unknown one.
    """
    if not isinstance(name, str):
        raise invalid_type(str(name))
    return org.visible(name)


def _fill(order: Order) -> None:
    key = order.values
    order.values = checked_values(order.sobject, order.body, new=order.created)
    if order.created:
        given = {name: value for name, value in order.values.items() if value is not None}
        order.values |= default_values(order.sobject) | given | key
    check_required(order.sobject, order.values, new=order.created)


def _take_key(order: Order, key: Field) -> None:
    if order.key_value is None or order.key_value == "":
        raise ApiError(400, "MISSING_ARGUMENT", f"{key.name} not specified", [key.name])
    order.values = checked_values(order.sobject, {key.name: order.key_value}, new=True)


def _take_id(order: Order) -> None:
    order.record = record_id_of(order.sobject, order.record)


def _guarded(order: Order, step: Callable[..., None], *arguments: Any) -> None:
    try:
        step(*arguments)
    except ApiError as refusal:
        order.error = order.error or refusal


def _fine(orders: Iterable[Order]) -> list[Order]:
    return [order for order in orders if order.error is None]


def _grouped(orders: Iterable[Order]) -> list[list[Order]]:
    groups: dict[tuple[str, str, str], list[Order]] = defaultdict(list)
    for order in orders:
        key = order.key.name if order.key else ""
        groups[order.operation, order.sobject.name, key].append(order)
    return list(groups.values())


def _rolled_back() -> ApiError:
    return ApiError(
        400,
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "Record rolled back because not all records were valid and the request was using "
        "AllOrNone header",
    )
