"""The data of a company: tables, custom fields, settings."""

from collections.abc import Callable
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa

from crm_sandbox.answers import AnswerCache
from crm_sandbox.clock import SandboxClock
from crm_sandbox.pipedrive.ahead import RowsAhead
from crm_sandbox.pipedrive.credentials import ACCOUNTS
from crm_sandbox.pipedrive.custom_fields import CustomField, Option, make_code
from crm_sandbox.pipedrive.limits import Limits
from crm_sandbox.pipedrive.plans import PLANS
from crm_sandbox.pipedrive.population import fill, known_leads
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.staging import USER_COUNT, Staging
from crm_sandbox.populations import Population
from crm_sandbox.tables import Tables
from crm_sandbox.world import World

PURGE_AFTER = timedelta(days=30)
_FIRST_FIELD = {"persons": 9_000, "organizations": 4_000, "deals": 12_000, "products": 30}


class CompanyData:
    """One account of one client.

    Attributes:
        custom: the custom fields by object, in order of creation.
        contact_sync: whether persons carry what only contact sync fills.
        marketing: whether the marketing app is there.
        gone_as_404: objects of which a deleted record answers 404, not `is_deleted`.
        is_suspended: whether the account is closed for want of payment.
        most_deals: how many deals the plan allows; None for any number.
        flat_paging: whether v1 lists carry their paging at the top of additional_data, as the schemas
            say, and not below `pagination`, as the examples say.
        merge_keeps_path: objects of which a merge keeps the id in the path; for persons the vendor
            says that the other one stays, for deals and organizations it says nothing.
        hidden: objects that users may not see at present.
        ignored_writes: how many changes by the API succeed without an effect.
        conversion_polls: how often a conversion says that it runs before it is done.
        conversion_fails: whether it ends as failed then.
        search_lag_s: how old a change must be before search finds it.
        old_recents: whether recents older than a month are refused (`refuse`) or cut (`cut`).
    """

    def __init__(self, world: World, clock: SandboxClock, name: str) -> None:
        self.name = name
        self.world = world
        self.clock = clock
        self.plan = PLANS[name]
        self.access = ACCOUNTS[name]
        self.tables = Tables(Population.of(f"pipedrive {name}", world, self._fill))
        self.contact_sync = self.plan.contact_sync
        self.marketing = self.plan.marketing
        self.gone_as_404: set[str] = {"activities", "products"}
        self.is_suspended = False
        self.most_deals: int | None = None
        self.flat_paging = False
        self.old_recents = "refuse"
        self.search_lag_s = 0.0
        self.merge_keeps_path: set[str] = set()
        self.hidden: set[str] = set()
        self.ignored_writes = 0
        self.conversion_polls = 2
        self.conversion_fails = False
        self.answers = AnswerCache()
        self.ahead = RowsAhead()
        self.limits = Limits(clock, USER_COUNT - USER_COUNT // 6)
        self._next: dict[str, int] = {}
        self._next_option = self.plan.first_option
        self.custom: dict[str, list[CustomField]] = {name: [] for name in _FIRST_FIELD}
        for spec in self.plan.custom:
            one = self.add_custom(spec.entity, spec.name, spec.type, spec.labels)
            one.sql, one.lead_sql = spec.sql, spec.lead_sql
        self.lead_labels = {label: _label_id(name, label) for label in self.plan.lead_labels}
        self.tables.fill()

    def _fill(self, connection: duckdb.DuckDBPyConnection) -> None:
        staging = Staging(connection, self.world, self.plan)
        fill(staging, self.custom, list(self.lead_labels.values()))

    @property
    def company_id(self) -> int:
        """The company's number."""
        return self.access.company_id

    @property
    def admin(self) -> int:
        """The user that the administrator's token belongs to."""
        return self.plan.first_user

    @property
    def colleague(self) -> int:
        """The user that the restricted token belongs to."""
        return self.plan.first_user + 2

    def add_custom(
        self, entity: str, name: str, kind: str, labels: tuple[str, ...] = ()
    ) -> CustomField:
        """Take up a custom field; its column is the caller's."""
        fields = self.custom[entity]
        number = self.number(f"field {entity}", lambda: _FIRST_FIELD[entity])
        code = make_code(self.world.seed, self.name, entity, number, name)
        now = self.clock.stamp()
        made = CustomField(number, code, name, kind, now, now, self.options(labels))
        fields.append(made)
        return made

    def options(self, labels: tuple[str, ...]) -> list[Option]:
        """Return new options with numbers of their own."""
        first = self._next_option
        self._next_option += len(labels)
        return [Option(first + place, label) for place, label in enumerate(labels)]

    def number(self, counter: str, first: Callable[[], int]) -> int:
        """Return the next number of a counter that begins with `first`."""
        with self.tables.lock:
            if counter not in self._next:
                self._next[counter] = first()
            number = self._next[counter]
            self._next[counter] += 1
            return number

    def new_id(self, entity: Entity) -> int:
        """Return the id of the next record of an object."""
        sql = f'SELECT coalesce(max("id"), 0) + 1 FROM "{entity.name}"'
        return self.number(entity.name, lambda: int(self.tables.value(sql)))

    def fields(self, entity: str) -> list[CustomField]:
        """Return the custom fields of an object that users may see."""
        return [one for one in self.all_fields(entity) if not one.is_hidden]

    def all_fields(self, entity: str) -> list[CustomField]:
        """Return the custom fields of an object; leads have those of deals."""
        return self.custom.get("deals" if entity == "leads" else entity, [])

    def field(self, entity: str, key: str) -> CustomField | None:
        """Return a custom field by its key, or by its name."""
        fields = self.all_fields(entity)
        by_code = next((one for one in fields if one.code == key), None)
        return by_code or next((one for one in fields if one.name == key), None)

    def strangers(self, contacts: pa.Table, leads: pa.Table) -> pa.Array:
        """Say which leads brought a person record of their own."""
        return pa.array(known_leads(contacts, leads)[1])

    def ignores_write(self) -> bool:
        """Say whether this change was ordered to have no effect, and count it."""
        with self.tables.lock:
            is_ignored = self.ignored_writes > 0
            self.ignored_writes -= is_ignored
        return is_ignored

    def purged_before(self) -> datetime:
        """Return the moment before which deletions are final; it moves by whole days."""
        return self.clock.stamp().replace(hour=0, minute=0, second=0) - PURGE_AFTER


def _label_id(company: str, label: str) -> str:
    code = make_code(company, "lead label", label)
    return f"{code[:8]}-{code[8:12]}-4{code[13:16]}-a{code[17:20]}-{code[20:32]}"
