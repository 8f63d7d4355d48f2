"""Reads settings that records point to: users, pipelines with their stages, currencies.

They are no modules: their fields are listed here, and they are read completely each time. Sources:
zoho.com/crm/developer/docs/api/v8/get-users.html, get-pipelines.html, get-currencies.html.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.zoho import keys, meter, pipelines, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.documents import User
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import NotPermitted, ProtocolError
from crm_pipeline.model.schema import CommonType, Field, Schema

USERS, PIPELINES, CURRENCIES = "Users", pipelines.NAME, "Currencies"
ROUTE = "records"
_PER_PAGE = 200
_MOST_PAGES = 500
_DELETED = b'{"status":"deleted"}'
ONE_CURRENCY = frozenset({"CURRENCIES_NOT_ENABLED", "FEATURE_NOT_SUPPORTED"})
"""Error codes of an org with one currency: the feature is off, or not in the edition."""


@dataclass(frozen=True)
class Setup:
    """One kind of settings.

    Attributes:
        label: its human name.
        fields: name, common type, and the key of the value inside an object; "" for plain values.
        read: yields pages of records.
    """

    label: str
    fields: Sequence[tuple[str, CommonType, str]]
    read: Callable[[Api], Iterator[ResponsePage]]

    def schema(self, name: str) -> Schema:
        """Return the fields."""
        return Schema(name, self.label, tuple(_field(*field) for field in self.fields))


def pages(api: Api, plan: Plan) -> Iterator[Page]:
    """Yield one page with all present records."""
    asked_at = api.now()
    before = api.usage.calls
    whole = _all_records(api, plan.object)
    rule, owner = keys.SETTINGS[plan.object], f"{api.connection.name}.{plan.object}"
    batch = keys.batch_of_texts(whole.texts, rule, owner)
    yield Page(
        shape="json",
        route=ROUTE,
        batches=lambda: iter([batch]),
        extracted_at=asked_at,
        expected=whole.seen,
        calls=api.usage.calls - before,
        rejected=whole.rejected,
    )


def preview(api: Api, name: str, rows: int) -> list[dict[str, Any]]:
    """Return the first records."""
    texts = _all_records(api, name).texts[:rows]
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in texts]


def current_user(api: Api) -> User:
    """Return the user of the login."""
    users = api.ask("/users", meter.SETUP, api.listed("users", User), {"type": "CurrentUser"})
    return users[0] if users else User()


def _all_records(api: Api, name: str) -> ResponsePage:
    """Return all records of one kind; the first of duplicates."""
    whole = ResponsePage()
    seen: set[str] = set()
    for page in SETUPS[name].read(api):
        is_new = []
        for key in page.ids:
            is_new.append(key not in seen)
            seen.add(key)
        whole.extend(page.only(is_new))
    by_digest = {reject.digest: reject for reject in whole.rejected}
    return replace(whole, rejected=list(by_digest.values()))


def _users(api: Api) -> Iterator[ResponsePage]:
    yield from _paged(api, "AllUsers")
    # Deleted users stay readable, as records still point to them.
    for page in _paged(api, "DeletedUsers"):
        yield replace(page, texts=[responses.merged([text, _DELETED]) for text in page.texts])


def _paged(api: Api, kind: str) -> Iterator[ResponsePage]:
    for number in range(1, _MOST_PAGES):
        params = {"type": kind, "page": str(number), "per_page": str(_PER_PAGE)}
        page = _listed(api, USERS, "/users", meter.SETUP, "users", params)
        yield page
        if not page.has_more:
            return
    raise ProtocolError(f"{api.connection.name}: Zoho's list of users does not end.")


def _currencies(api: Api) -> Iterator[ResponsePage]:
    try:
        yield _listed(api, CURRENCIES, "/org/currencies", meter.SETUP, "currencies", {})
    except NotPermitted as error:
        # An org with one currency has no list of currencies and no rates.
        if error.code not in ONE_CURRENCY:
            raise


def _listed(  # noqa: PLR0917 - the parameters of one call
    api: Api,
    name: str,
    path: str,
    operation: Operation,
    key: str,
    params: Mapping[str, str],
) -> ResponsePage:
    owner = f"{api.connection.name}.{name}"
    rule, is_paged = keys.SETTINGS[name], name == USERS
    reader = responses.page_reader(owner, rule=rule, key=key, is_paged=is_paged)
    return api.ask(path, operation, reader, params)


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
        pipelines.response_pages,
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
        _currencies,
    ),
}
