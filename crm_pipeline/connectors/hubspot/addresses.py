"""The paths of HubSpot's APIs: under a date, as `/crm/objects/2026-09/contacts`, or under v3 and v4."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Addresses:
    """The paths of one API version.

    Attributes:
        version: a date such as `2026-09`; `v3` and `v4` both mean v3 for records and v4 for associations.
    """

    version: str

    @property
    def is_dated(self) -> bool:
        """Whether the version is a date."""
        return not self.version.startswith("v")

    def objects(self, name: str, *parts: str) -> str:
        """Return the path of records of a type; `search`, `batch/read` or an id may follow."""
        return _joined(self._crm("objects"), name, *parts)

    def properties(self, name: str) -> str:
        """Return the path of the properties of a type."""
        return _joined(self._crm("properties"), name)

    def pipelines(self, name: str, *parts: str) -> str:
        """Return the path of the pipelines of a type."""
        return _joined(self._crm("pipelines"), name, *parts)

    def owners(self, *parts: str) -> str:
        """Return the path of the owners."""
        return _joined(self._crm("owners"), *parts)

    def lists(self, *parts: str) -> str:
        """Return the path of the lists; `search`, an id, or an id and `memberships` may follow."""
        return _joined(self._crm("lists"), *parts)

    @property
    def schemas(self) -> str:
        """The path of the custom types."""
        return f"/crm-object-schemas/{self.version}/schemas" if self.is_dated else "/crm/v3/schemas"

    def associations(self, name: str, other: str) -> str:
        """Return the path of the associations from one type to another."""
        base = self._crm("associations", legacy="v4")
        return _joined(base, name, other, "batch", "read")

    def association_kinds(self, name: str, other: str) -> str:
        """Return the path of the kinds of associations from one type to another."""
        return _joined(self._crm("associations", legacy="v4"), name, other, "labels")

    @property
    def account(self) -> str:
        """The path of the account's own details."""
        return f"/account-info/{self._plain}/details"

    @property
    def usage(self) -> str:
        """The path of the number of calls that private apps have made today."""
        return f"/account-info/{self._plain}/api-usage/daily/private-apps"

    @property
    def token(self) -> str:
        """The path of the token endpoint."""
        return f"/oauth/{self._plain}/token"

    @property
    def _plain(self) -> str:
        return self.version if self.is_dated else "v3"

    def _crm(self, area: str, *, legacy: str = "v3") -> str:
        return f"/crm/{area}/{self.version}" if self.is_dated else f"/crm/{legacy}/{area}"


def _joined(base: str, *parts: str) -> str:
    return "/".join((base, *(quote(part, safe="") for part in parts)))
