"""Salesforce by its REST API: SOQL over all fields that `describe` names.

https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
"""

from crm_pipeline_tests.meaning.vendor_api import Facts, Record, VendorApi

_DATA = "/services/data/v67.0"
_COMPOUND = {"address", "location"}
# An org of one currency does not have the first two, nor every login the third.
_MAY_LACK = {"CurrencyType", "DatedConversionRate", "UserRole"}


class Salesforce(VendorApi):
    """One org."""

    def __init__(self, url: str, *, client_id: str, client_secret: str) -> None:
        super().__init__(url)
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        token = self.session.post(f"{url}/services/oauth2/token", data=form, timeout=60).json()
        self.session.headers["Authorization"] = f"Bearer {token['access_token']}"

    def live(self, obj: str) -> list[Record]:
        return [] if self._lacks(obj) else self._all(obj, "query", "")

    def _lacks(self, obj: str) -> bool:
        listed = self.get(f"{_DATA}/sobjects")["sobjects"] if obj in _MAY_LACK else ()
        return obj in _MAY_LACK and obj not in {one["name"] for one in listed}

    def gone(self, obj: str) -> list[Record]:
        if self._lacks(obj):
            return []
        names = {field["name"] for field in self._described(obj)}
        if "IsDeleted" not in names:
            return []
        return self._all(obj, "queryAll", " WHERE IsDeleted = true")

    def facts(self) -> Facts:
        [org] = self.get(f"{_DATA}/query", q="SELECT TimeZoneSidKey FROM Organization")["records"]
        # Of the running user: the default of new records, and in the sandbox the org's own.
        user = self.get(f"{_DATA}/query", q="SELECT DefaultCurrencyIsoCode FROM User LIMIT 1")
        return Facts(org["TimeZoneSidKey"], user["records"][0]["DefaultCurrencyIsoCode"])

    def labels(self, obj: str, field: str) -> dict[str, str]:
        [described] = [one for one in self._described(obj) if one["name"] == field]
        return {one["value"]: one["label"] for one in described["picklistValues"]}

    def _described(self, obj: str) -> list[Record]:
        fields: list[Record] = self.get(f"{_DATA}/sobjects/{obj}/describe")["fields"]
        return fields

    def _all(self, obj: str, verb: str, where: str) -> list[Record]:
        names = [one["name"] for one in self._described(obj) if one["type"] not in _COMPOUND]
        if obj == "User" and not self._lacks("UserRole"):
            names.append("UserRole.Name")
        page = self.get(f"{_DATA}/{verb}", q=f"SELECT {', '.join(names)} FROM {obj}{where}")
        records = list(page["records"])
        while not page["done"]:
            page = self.get(page["nextRecordsUrl"])
            records += page["records"]
        return records
