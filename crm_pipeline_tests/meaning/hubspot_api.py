"""HubSpot by its CRM API: ids from lists, all properties by batch reads, links by association reads.

https://developers.hubspot.com/docs/guides/crm/understanding-the-crm
"""

from collections.abc import Iterator

from crm_pipeline_tests.meaning.vendor_api import Facts, Record, VendorApi

_BATCH = 100
_HISTORY = {"deals": ["dealstage", "pipeline"]}


class HubSpot(VendorApi):
    """One portal: by the token of a private app, or by a refresh token."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        client_id: str = "",
        client_secret: str = "",
        refresh_token: str = "",
    ) -> None:
        super().__init__(url)
        if not token:
            form = {
                "grant_type": "refresh_token",
                "client_id": client_id,
                "client_secret": client_secret,
                "refresh_token": refresh_token,
            }
            response = self.session.post(f"{url}/oauth/v1/token", data=form, timeout=60)
            token = response.json()["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"

    def live(self, obj: str) -> list[Record]:
        if "/" in obj:
            return self._links(*obj.split("/"))
        return self._records(obj, archived="false")

    def gone(self, obj: str) -> list[Record]:
        return [] if obj.endswith("_pipelines") else self._records(obj, archived="true")

    def facts(self) -> Facts:
        details = self.get("/account-info/v3/details")
        return Facts(details["timeZone"], details["companyCurrency"])

    def labels(self, obj: str, field: str) -> dict[str, str]:
        options = self.get(f"/crm/v3/properties/{obj}/{field}")["options"]
        return {option["value"]: option["label"] for option in options}

    def _records(self, obj: str, *, archived: str) -> list[Record]:
        if obj == "owners":
            return list(self._pages("/crm/v3/owners", archived))
        if obj.endswith("_pipelines"):
            moved = obj.removesuffix("_pipelines") + "s"
            pipelines: list[Record] = self.get(f"/crm/v3/pipelines/{moved}")["results"]
            return pipelines
        names = [one["name"] for one in self.get(f"/crm/v3/properties/{obj}")["results"]]
        ids = [page["id"] for page in self._pages(f"/crm/v3/objects/{obj}", archived)]
        records: list[Record] = []
        for start in range(0, len(ids), _BATCH // 2):
            inputs = [{"id": one} for one in ids[start : start + _BATCH // 2]]
            body = {
                "properties": names,
                "propertiesWithHistory": _HISTORY.get(obj, []),
                "inputs": inputs,
            }
            path = f"/crm/v3/objects/{obj}/batch/read?archived={archived}"
            records += self.post(path, body)["results"]
        return records

    def _pages(self, path: str, archived: str) -> Iterator[Record]:
        query = {"limit": "100", "archived": archived}
        while True:
            page = self.get(path, **query)
            yield from page["results"]
            if "paging" not in page:
                return
            query["after"] = page["paging"]["next"]["after"]

    def _links(self, one: str, other: str) -> list[Record]:
        ids = [record["id"] for record in self._pages(f"/crm/v3/objects/{one}", "false")]
        links = []
        for start in range(0, len(ids), _BATCH):
            inputs = [{"id": record} for record in ids[start : start + _BATCH]]
            body = {"inputs": inputs}
            response = self.post(f"/crm/v4/associations/{one}/{other}/batch/read", body)
            for result in response["results"]:
                assert "paging" not in result, "more links than one page holds"
                links += [
                    {"from": result["from"]["id"], "to": str(to["toObjectId"]), **kind}
                    for to in result["to"]
                    for kind in to["associationTypes"]
                ]
        return links
