"""What an administrator sets up and records point to: users, pipelines with their stages, currencies.

They are no modules: their fields stand here, and they are read whole each time. Sources:
zoho.com/crm/developer/docs/api/v8/get-users.html, get-pipelines.html, get-currencies.html.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.zoho import meter
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.kernel.errors import NotPermitted, ProtocolError
from crm_pipeline.model.schema import CommonType, Field, Schema

USERS, PIPELINES, CURRENCIES = "Users", "Pipelines", "Currencies"
ROUTE = "records"
_PER_PAGE = 200
_MOST_PAGES = 500
# Not switched on, or not in the edition.
_ONE_CURRENCY = frozenset({"CURRENCIES_NOT_ENABLED", "FEATURE_NOT_SUPPORTED"})


@dataclass(frozen=True)
class Setup:
    """One kind of settings.

    Attributes:
        label: its human name.
        fields: name, common type, and the key inside an object where the value is one.
        stamp: the field that says when it changed, or "".
        key: the field that records elsewhere point to it by.
        read: yields the records as the vendor sends them.
    """

    label: str
    fields: Sequence[tuple[str, CommonType, str]]
    stamp: str
    read: Callable[[Api], Iterator[dict[str, Any]]]
    key: str = "id"

    def schema(self, name: str) -> Schema:
        """Return the fields."""
        return Schema(name, self.label, tuple(_field(*one) for one in self.fields))


def pages(api: Api, plan: Plan) -> Iterator[Page]:
    """Yield one page with everything there is now."""
    setup = SETUPS[plan.object]
    asked_at = api.now()
    before = api.usage.calls
    found = list(setup.read(api))
    # Deleted users stay readable, as records go on pointing to them.
    batch = batch_of(
        ids=[str(one[setup.key]) for one in found],
        stamps=[one.get(setup.stamp) if setup.stamp else None for one in found],
        texts=[msgspec.json.encode(one) for one in found],
        deleted=[one.get("status") == "deleted" for one in found],
        owner=f"{api.connection.name}.{plan.object}",
    )
    yield Page(
        shape="json",
        route=ROUTE,
        batches=lambda: iter([batch]),
        extracted_at=asked_at,
        expected=len(found),
        calls=api.usage.calls - before,
    )


def user_now(api: Api) -> Mapping[str, Any]:
    """Return the user that the login is of."""
    found = api.entries(api.ask("/users", meter.SETUP, {"type": "CurrentUser"}), "users")
    return found[0] if found else {}


def _users(api: Api) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for kind in ("AllUsers", "DeletedUsers"):
        for user in _paged(api, kind):
            if str(user["id"]) not in seen:
                seen.add(str(user["id"]))
                yield user if kind == "AllUsers" else {**user, "status": "deleted"}


def _paged(api: Api, kind: str) -> Iterator[dict[str, Any]]:
    for number in range(1, _MOST_PAGES):
        params = {"type": kind, "page": str(number), "per_page": str(_PER_PAGE)}
        response = api.ask("/users", meter.SETUP, params)
        found = api.entries(response, "users")
        yield from found
        if not found or not response.json().get("info", {}).get("more_records"):
            return
    raise ProtocolError(f"{api.connection.name}: Zoho's list of users does not end.")


def _pipelines(api: Api) -> Iterator[dict[str, Any]]:
    layouts = api.entries(
        api.ask("/settings/layouts", meter.METADATA, {"module": "Deals"}), "layouts"
    )
    seen: set[str] = set()
    for layout in layouts:
        params = {"layout_id": str(layout["id"])}
        for one in api.entries(api.ask("/settings/pipeline", meter.METADATA, params), "pipeline"):
            if str(one["actual_value"]) not in seen:
                seen.add(str(one["actual_value"]))
                yield one


def _currencies(api: Api) -> Iterator[dict[str, Any]]:
    try:
        yield from api.entries(api.ask("/org/currencies", meter.SETUP), "currencies")
    except NotPermitted as error:
        # An org of one currency has no list of them, and no rates.
        if error.code not in _ONE_CURRENCY:
            raise


def _field(name: str, kind: CommonType, key: str) -> Field:
    return Field(
        name,
        name.replace("_", " "),
        kind,
        common_type=kind,
        nullable=name != "id",
        path=(name, key) if key else (),
        reference_to=(USERS,) if name == "Reporting_To" else (),
    )


SETUPS: Mapping[str, Setup] = {
    USERS: Setup(
        "Users",
        (
            ("id", "string", ""),
            ("first_name", "string", ""),
            ("last_name", "string", ""),
            ("full_name", "string", ""),
            ("email", "string", ""),
            ("status", "string", ""),
            ("type__s", "string", ""),
            ("role", "json", ""),
            ("profile", "json", ""),
            ("Reporting_To", "string", "id"),
            ("zuid", "string", ""),
            ("confirm", "boolean", ""),
            ("time_zone", "string", ""),
            ("locale", "string", ""),
            ("phone", "string", ""),
            ("mobile", "string", ""),
            ("created_time", "timestamp", ""),
            ("Modified_Time", "timestamp", ""),
        ),
        "Modified_Time",
        _users,
    ),
    PIPELINES: Setup(
        "Pipelines",
        (
            ("id", "string", ""),
            ("display_value", "string", ""),
            ("actual_value", "string", ""),
            ("default", "boolean", ""),
            ("child_available", "boolean", ""),
            ("parent", "json", ""),
            ("maps", "json", ""),
        ),
        "",
        _pipelines,
        # What deals carry; the numbers of pipelines stand nowhere else.
        "actual_value",
    ),
    CURRENCIES: Setup(
        "Currencies",
        (
            ("id", "string", ""),
            ("iso_code", "string", ""),
            ("name", "string", ""),
            ("symbol", "string", ""),
            ("exchange_rate", "decimal", ""),
            ("is_base", "boolean", ""),
            ("is_active", "boolean", ""),
            ("created_time", "timestamp", ""),
            ("modified_time", "timestamp", ""),
        ),
        "modified_time",
        _currencies,
    ),
}
