"""Sessions, limits and settings of the companies that a test or a person may set."""

import re
import threading
from datetime import datetime
from typing import Any

from crm_sandbox.http import Request
from crm_sandbox.pipedrive.company import Companies
from crm_sandbox.pipedrive.oauth import OAuthHandler

SETTINGS = (
    "contact_sync",
    "marketing",
    "is_suspended",
    "most_deals",
    "gone_as_404",
    "flat_paging",
    "old_recents",
    "search_lag_s",
    "merge_keeps_path",
    "conversion_polls",
    "conversion_fails",
)


class Controls:
    """Switches.

    Attributes:
        query_token: whether `?api_token=` lets one in, as it did before it went undocumented.
    """

    def __init__(self, companies: Companies, oauth: OAuthHandler) -> None:
        self._controlled = companies
        self._oauth = oauth
        self._oddities: list[list[Any]] = []
        self._guard = threading.Lock()
        self._retired: tuple[datetime | None, int] = (None, 410)
        self.query_token = False

    def expire_sessions(self) -> int:
        """End every OAuth access token; API tokens live on."""
        return self._oauth.grants.expire()

    def rotate(self, *, on: bool = True) -> None:
        """Switch refresh token rotation; the vendor always rotates."""
        self._oauth.grants.rotates = on

    def grant(self, scopes: list[str], *, account: str = "main") -> str:
        """Grant the app these scopes only; return the refresh token."""
        return self._oauth.grant(account, scopes)

    def set_limits(self, *, account: str = "main", **values: Any) -> dict[str, Any]:
        """Change ceilings; without values only tell them.

        Args:
            account: the company.
            values: `plan`, `daily` (tokens), `used` (spent today), `api_token`, `app` and `search`
                (calls in two seconds), `patience`, `ban_s`, `shows_daily`.

        Raises:
            ValueError: a name is unknown.
        """
        limits = self._controlled[account].limits
        known = {"api_token", "app", "search", "patience", "ban_s", "shows_daily"}
        if unknown := set(values) - known - {"plan", "daily", "used"}:
            raise ValueError(f"unknown limit {sorted(unknown)}")
        if "plan" in values:
            limits.set_plan(values["plan"])
        if "daily" in values:
            limits.daily.amount = int(values["daily"])
        if "used" in values:
            limits.daily.spend(int(values["used"]) - limits.daily.used)
        for name in known & values.keys():
            setattr(limits, name, values[name])
        limits.forget()
        shown = {name: getattr(limits, name) for name in sorted(known)}
        return shown | {
            "plan": limits.plan,
            "daily": limits.daily.amount,
            "used": limits.daily.used,
        }

    def set_daily_limit(
        self, maximum: int | None = None, used: int | None = None, *, account: str = "main"
    ) -> None:
        """Change the tokens of the day, those spent, or both."""
        values = {"daily": maximum, "used": used}
        given = {key: value for key, value in values.items() if value is not None}
        self.set_limits(account=account, **given)

    def ignore_writes(self, *, times: int = 1, account: str = "main") -> None:
        """Let the next changes by the API answer 200 and change nothing."""
        self._controlled[account].ignored_writes = times

    def set_company(self, *, account: str = "main", **values: Any) -> None:
        """Change settings of a company; `Company` says what each of them means.

        Raises:
            ValueError: a name is unknown.
        """
        company = self._controlled[account]
        if unknown := set(values) - set(SETTINGS):
            raise ValueError(f"unknown setting {sorted(unknown)}; known: {', '.join(SETTINGS)}")
        for name, value in values.items():
            setattr(company, name, set(value) if isinstance(value, list) else value)
        company.tables.bump()

    def set_webhooks(self, *, account: str = "main", **values: Any) -> None:
        """Change how webhooks are sent: `duplicates`, `shuffle`, `timeout_s`, `ca_file`.

        Raises:
            ValueError: a name is unknown.
        """
        manner = self._controlled[account].webhooks.manner
        if unknown := set(values) - set(vars(manner)):
            raise ValueError(f"unknown setting {sorted(unknown)}; known: {', '.join(vars(manner))}")
        for name, value in values.items():
            setattr(manner, name, value)

    def deliver_webhooks(self, *, account: str = "main") -> dict[str, int]:
        """Send what is due by the sandbox's clock; return how many messages are in which state."""
        return self._controlled[account].webhooks.deliver()

    def accept_query_token(self, *, on: bool = True) -> None:
        """Let `?api_token=` in, or not."""
        self.query_token = on

    def retire_v1(self, at: datetime | str | None = None, *, status: int = 410) -> None:
        """End the old v1 operations at a moment of the sandbox's clock; without one they go on.

        Args:
            at: the moment.
            status: what they answer then, 404 or 410.
        """
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        self._retired = (moment, status)

    def v1_status(self) -> int:
        """Return what retired operations answer now; 0 while they work."""
        moment, status = self._retired
        clock = self._controlled.clock
        return status if moment is not None and clock.now() >= moment else 0

    def answer_nothing(self, path: str, *, times: int = 1) -> None:
        """Let the next requests to a path (a regular expression) succeed with `data: null`."""
        self._order("nothing", path, times)

    def repeat_cursor(self, path: str, *, times: int = 1) -> None:
        """Let the next pages of a path name the cursor that they were asked with as the next one."""
        self._order("repeat", path, times)

    def oddity(self, request: Request) -> str:
        """Return what was ordered for this request, and count it: `nothing`, `repeat` or an empty text."""
        with self._guard:
            for order in self._oddities:
                kind, path, times = order
                is_page = kind != "repeat" or "cursor" in request.query
                if times > 0 and is_page and re.search(path, request.path):
                    order[2] -= 1
                    return str(kind)
        return ""

    def _order(self, kind: str, path: str, times: int) -> None:
        re.compile(path)
        with self._guard:
            self._oddities.append([kind, path, times])
