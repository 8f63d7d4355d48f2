"""Limits, sessions and unconfirmed behaviours of the vendor that an admin may set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crm_sandbox.zoho.errors import ZohoError
from crm_sandbox.zoho.limits import Meter
from crm_sandbox.zoho.refusals import RefusalOrder

if TYPE_CHECKING:
    from crm_sandbox.zoho.api import OrgApi
    from crm_sandbox.zoho.oauth import OAuthHandler

_FOREIGN = {
    "AUTHENTICATION_FAILURE": (401, "Authentication failed"),
    "INVALID_TOKEN": (401, "invalid oauth token"),
    "INVALID_HOST": (400, "The host name given is not valid for the organization"),
}


class Controls:
    """What an admin may set in the orgs."""

    apis: "dict[str, OrgApi]"
    oauth: "OAuthHandler"
    _foreign_code = "AUTHENTICATION_FAILURE"

    def expire_sessions(self) -> int:
        """End every access token; the next call of each client gets a 401."""
        return self.oauth.grants.expire()

    def set_token_limits(
        self,
        requests: int | None = None,
        period_s: float | None = None,
        most_access: int | None = None,
        most_refresh: int | None = None,
    ) -> None:
        """Change how many token requests come within how many seconds, and how many tokens live."""
        self.oauth.set_limits(requests, period_s, most_access, most_refresh)

    def set_credits(
        self, total: int | None = None, used: int | None = None, *, account: str = "main"
    ) -> None:
        """Change the credits of 24 hours, what of them is used, or both."""
        self._meter(account).set_credits(total, used)

    def set_concurrency(
        self, total: int | None = None, heavy: int | None = None, *, account: str = "main"
    ) -> None:
        """Change how many calls, and how many heavy ones, may be under way at once."""
        self._meter(account).set_concurrency(total, heavy)

    def set_paging(
        self, by_number: int | None = None, by_token: int | None = None, *, account: str = "main"
    ) -> None:
        """Change how many rows come by page number, and how many by page token."""
        limits = self._api(account).listing.limits
        limits.by_number = limits.by_number if by_number is None else by_number
        limits.by_token = limits.by_token if by_token is None else by_token

    def set_search(
        self,
        lag_s: float | None = None,
        contains: bool | None = None,
        *,
        account: str = "main",
    ) -> None:
        """Change how far the search index lags, and whether equality of text is containment."""
        settings = self._api(account).search.settings
        settings.lag_s = settings.lag_s if lag_s is None else lag_s
        settings.contains = settings.contains if contains is None else contains

    def set_coql(self, *, account: str = "main", **changed: int | bool) -> None:
        """Change limits and unconfirmed habits of COQL; see `CoqlSettings`.

        Raises:
            ValueError: there is no such setting.
        """
        settings = self._api(account).coql.settings
        for name, value in changed.items():
            if not hasattr(settings, name):
                known = ", ".join(vars(settings))
                raise ValueError(f"unknown setting '{name}'; known: {known}")
            setattr(settings, name, value)

    def set_bulk(
        self, polls: int | None = None, page_rows: int | None = None, *, account: str = "main"
    ) -> None:
        """Change after how many polls a job is complete, and how many rows it reads at most."""
        settings = self._api(account).bulk_read.settings
        settings.polls = settings.polls if polls is None else polls
        settings.page_rows = settings.page_rows if page_rows is None else page_rows

    def refuse_writes(self, code: str, *, account: str = "main", **which: Any) -> None:
        """Refuse the next writes of records with a code, or let them succeed without effect.

        Args:
            code: for instance RECORD_LOCKED; `SILENT` answers SUCCESS and writes nothing.
            account: its writes.
            **which: `module`, `record`, `times` (1).

        Raises:
            TypeError: an argument is unknown.
        """
        self._api(account).writer.refusals.order(RefusalOrder(code, **which))

    def set_guard(self, header: str, *, account: str = "main") -> None:
        """Change which header guards an update against a later one; empty for none."""
        self._api(account).writes.guard = header.lower()

    def set_bulk_write(
        self,
        polls: int | None = None,
        most_rows: int | None = None,
        under_way: str | None = None,
        *,
        account: str = "main",
    ) -> None:
        """Change after how many polls a job is complete, its most lines, and its state on the way."""
        settings = self._api(account).bulk_write.settings
        settings.polls = settings.polls if polls is None else polls
        settings.most_rows = settings.most_rows if most_rows is None else most_rows
        settings.under_way = settings.under_way if under_way is None else under_way

    def hold_notices(self, *, on: bool = True, account: str = "main") -> None:
        """Keep notifications back until they are released, or let them go as they come."""
        self._api(account).watch.queue.hold(on=on)

    def release_notices(
        self,
        *,
        combine: bool = False,
        shuffle: bool = False,
        duplicates: int = 0,
        wrong_token: bool = False,
        account: str = "main",
    ) -> int:
        """Send the notifications that were held back, and return in how many calls.

        Args:
            combine: several records in one call.
            shuffle: in another order.
            duplicates: how often each comes once more.
            wrong_token: with a token that is not the channel's.
            account: the account.
        """
        queue = self._api(account).watch.queue
        return queue.release(
            combine=combine, shuffle=shuffle, duplicates=duplicates, wrong_token=wrong_token
        )

    def set_watch(self, uri_version: str, *, account: str = "main") -> None:
        """Change the version in the `resource_uri` of notifications."""
        self._api(account).watch.settings.uri_version = uri_version

    def set_currencies(
        self,
        *,
        on: bool | None = None,
        rates: Mapping[str, float] | None = None,
        account: str = "main",
    ) -> None:
        """Give an org several currencies or but one, and change what one of its own is worth in others.

        Raises:
            ValueError: the org has no such currency.
        """
        org = self._api(account).org
        org.currencies.is_enabled = org.currencies.is_enabled if on is None else on
        org.currencies.change(rates or {}, org.clock.now())

    def stamp_history_late(self, *, account: str = "main") -> None:
        """Stamp rows of the stage history when the deal leaves the stage, as one source reads them.

        The open row keeps the moment at which its stage was entered.
        """
        org = self._api(account).org
        org.stamps_history_late = True
        with org.tables.writing() as cursor:
            cursor.execute(
                'UPDATE "DealHistory" h SET "Modified_Time" = n.left_at FROM (SELECT id, '
                'lead("Modified_Time") OVER (PARTITION BY "Potential_Name" ORDER BY "Modified_Time", id) '
                'AS left_at FROM "DealHistory") n WHERE n.id = h.id AND n.left_at IS NOT NULL'
            )

    def set_zone(self, zone: str, *, account: str = "main") -> None:
        """Put an org into another time zone than its user, whose offset stays in every stamp."""
        self._api(account).org.zone = zone

    def drop_pipelines(self, *, account: str = "main") -> None:
        """Make an org one without pipelines: its deals carry stages alone."""
        org = self._api(account).org
        org.has_pipelines = False
        deals = org.behind("Deals")
        field = next(one for one in deals.fields if one.stored == "Pipeline")
        org.change_field(deals, field.changed(hidden=True))
        with org.tables.writing() as cursor:
            cursor.execute('UPDATE "Deals" SET "Pipeline" = NULL')

    def set_developer(self, *, on: bool = True, account: str = "main") -> None:
        """Make an org a developer environment, which lists fewer modules."""
        self._api(account).org.is_developer = on

    def set_foreign(self, code: str) -> None:
        """Change what a token answers at another data centre's host; sources differ.

        Raises:
            ValueError: the code is another one.
        """
        if code not in _FOREIGN:
            raise ValueError(f"unknown code '{code}'; known: {', '.join(_FOREIGN)}")
        self._foreign_code = code

    def foreign_token(self) -> ZohoError:
        """Return the refusal for a token at another data centre's host."""
        status, message = _FOREIGN[self._foreign_code]
        return ZohoError(status, self._foreign_code, message)

    def _api(self, account: str) -> "OrgApi":
        if account not in self.apis:
            raise ValueError(f"unknown account '{account}'; known: {', '.join(self.apis)}")
        return self.apis[account]

    def _meter(self, account: str) -> Meter:
        return self._api(account).meter
