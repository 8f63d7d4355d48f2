"""One org: its modules and the tables behind them, filled when first used.

Reading and changing records is done elsewhere; this module owns the tables and the current schema.
"""

from dataclasses import replace

import duckdb

from crm_sandbox.clock import SandboxClock
from crm_sandbox.populations import Population
from crm_sandbox.tables import Tables
from crm_sandbox.world import World
from crm_sandbox.zoho.accounts import Account
from crm_sandbox.zoho.currencies import Currencies
from crm_sandbox.zoho.errors import ZohoError
from crm_sandbox.zoho.ids import IdScheme
from crm_sandbox.zoho.population import fill
from crm_sandbox.zoho.schema import Field, Module

# DuckDB knows the zone's rules, so summer and winter stamps differ as the vendor's do. Both zones are
# whole hours away from UTC, and DuckDB writes no minutes then.
_MACROS = """
SET GLOBAL TimeZone = '{zone}';
CREATE MACRO zoho_moment(stamp) AS replace(timezone('UTC', stamp)::VARCHAR, ' ', 'T') || ':00';
CREATE MACRO zoho_day(stamp) AS timezone('{zone}', timezone('UTC', stamp))::DATE;
CREATE MACRO zoho_currency(noise) AS {carried}[1 + noise % {count}];
CREATE MACRO zoho_rate(code) AS {rates}[code];
"""


class Org:
    """One Zoho CRM org.

    Args:
        account: which one.
        world: what it is filled with.
        clock: the present.
    """

    def __init__(self, account: Account, world: World, clock: SandboxClock) -> None:
        self.account = account
        self.world = world
        self.clock = clock
        self.ids = IdScheme(account.prefix)
        self.currencies = Currencies(account.currency, self.ids)
        self.is_developer = False
        self.has_pipelines = True
        self.zone = account.zone
        self.stamps_history_late = False
        self._modules = {one.stored: one for one in account.set_up()}
        self.tables = Tables(Population.of(f"zoho {account.key}", world, self._fill))
        self._next: dict[str, int] = {}

    def _fill(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Fill the tables from the account alone, whatever has been changed meanwhile."""
        carried = self.account.carried or (self.account.currency,)
        rates = Currencies(self.account.currency, self.ids).rates
        macros = _MACROS.format(
            zone=self.account.zone,
            carried=list(carried),
            count=len(carried),
            rates=f"MAP {rates}",
        )
        connection.execute(macros)
        fill(connection, self.world, self.account, self.ids, self.account.set_up())

    @property
    def org_id(self) -> str:
        """The number that the vendor calls zgid."""
        return str(600_000_000 + self.account.prefix % 100_000_000)

    @property
    def user_id(self) -> int:
        """The id of the user that clients work as."""
        return self.ids.one("Users", 0)

    @property
    def modules(self) -> list[Module]:
        """The modules that are not hidden."""
        return [one for one in self._modules.values() if not one.hidden]

    def find(self, name: str) -> Module | None:
        """Return a visible module by its API name in any case."""
        wanted = name.lower()
        return next((one for one in self.modules if one.name.lower() == wanted), None)

    def visible(self, name: str) -> Module:
        """Return a module with records.

        Raises:
            ZohoError: `INVALID_MODULE` when there is none of this name.
        """
        found = self.find(name)
        if found is None or found.listed_only or not found.api_supported:
            raise ZohoError(
                400,
                "INVALID_MODULE",
                "the module name given seems to be invalid",
                {"resource_path_index": 0},
            )
        return found

    def known(self, name: str) -> Module:
        """Return a module for the admin, hidden or not, by its present or its first name.

        Raises:
            ValueError: it does not exist.
        """
        for one in self._modules.values():
            if name.lower() in {one.name.lower(), one.stored.lower()} and not one.listed_only:
                return one
        names = ", ".join(one.name for one in self._modules.values() if not one.listed_only)
        raise ValueError(f"unknown module '{name}'; known: {names}")

    def behind(self, table: str) -> Module:
        """Return the module of a table."""
        return self._modules[table]

    def replace(self, module: Module) -> None:
        """Put a changed module in the place of the old one."""
        self._modules[module.stored] = module
        self.tables.bump()

    def change_field(self, module: Module, one: Field) -> None:
        """Put a changed field in the place of the old one."""
        self.replace(module.with_field(one))

    def hide(self, module: Module, *, hidden: bool) -> None:
        """Take a module away from the integration user, or give it back."""
        self.replace(replace(module, hidden=hidden))

    def new_id(self, table: str) -> int:
        """Return an id that was never used."""
        tables = self.tables
        with tables.lock:
            if table not in self._next:
                most = tables.value(f'SELECT max(id) FROM "{table}"') or self.ids.first(table)
                # A gap keeps later records apart from the first population, as in a real org.
                self._next[table] = int(most) + 1000
            self._next[table] += 1
            return self._next[table]

    def close(self) -> None:
        """Close the tables."""
        self.tables.close()
