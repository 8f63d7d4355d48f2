"""Switches of one portal: behaviours that differ between accounts, versions or dates."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

from crm_sandbox.hubspot.errors import ApiError


@dataclass
class Settings:
    """The switches of one portal.

    Attributes:
        search_lag_s: how long a write stays invisible to search.
        partial_status: the status of a batch in which some inputs failed; the description of the
            newest version names 200 only, the others 207.
        associated_status: the status of a batch that links records; for some weeks of 2025 it was 200.
        lifecycle: what happens to a lifecycle stage that would move back: `ignore` keeps the old
            one and says 200, `refuse` answers 400. Which one an account does is not documented.
        data_privacy: whether a legal basis is demanded for consent.
        export_polls: how often a client asks until an export is done.
        import_polls: the same for an import.
        retired: the day from which a version (`v3`, `v4`) answers 404.
    """

    search_lag_s: float = 0.0
    partial_status: int = 207
    associated_status: int = 201
    lifecycle: str = "ignore"
    data_privacy: bool = False
    export_polls: int = 1
    import_polls: int = 1
    retired: dict[str, date] = field(default_factory=dict)
    retired_status: int = 404

    def set(self, values: Mapping[str, Any]) -> None:
        """Change some of them.

        Raises:
            ValueError: there is no such switch.
        """
        known = {one.name for one in fields(self)}
        if unknown := set(values) - known:
            raise ValueError(
                f"unknown setting {sorted(unknown)}; known: {', '.join(sorted(known))}"
            )
        for name, value in values.items():
            if name == "retired":
                self.retired = {key: date.fromisoformat(day) for key, day in dict(value).items()}
            else:
                setattr(self, name, value)

    def shown(self) -> dict[str, Any]:
        """Return them all."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def refuse_retired(self, version: str, today: date) -> None:
        """Refuse a version whose day has come.

        Raises:
            ApiError: it has.
        """
        day = self.retired.get(version)
        if day is not None and today >= day:
            raise ApiError(
                self.retired_status,
                "OBJECT_NOT_FOUND" if self.retired_status == 404 else "GONE",
                f"This version of the API ({version}) is no longer available.",
            )
