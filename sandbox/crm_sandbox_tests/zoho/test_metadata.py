import pytest


def fields_of(client, module: str) -> dict[str, dict]:
    response = client.get("/settings/fields", params={"module": module})
    assert response.status_code == 200, response.text
    return {one["api_name"]: one for one in response.json()["fields"]}


def test_modules(zoho) -> None:
    """Every module is listed with its generated type and whether the API supports it."""
    modules = {one["api_name"]: one for one in zoho.get("/settings/modules").json()["modules"]}
    kinds = {name: one["generated_type"] for name, one in modules.items()}
    assert kinds["Contacts"] == "default"
    assert kinds["Service_Contracts"] == "custom"
    assert kinds["Quoted_Items"] == "subform"
    assert kinds["Interested_Products"] == "linking"
    assert kinds["DealHistory"] == "field_tracker"
    assert not modules["Home"]["api_supported"]
    one = zoho.get("/settings/modules/Deals").json()["modules"]
    assert [module["api_name"] for module in one] == ["Deals"]


def test_fields_of_every_module(zoho) -> None:
    """Every listed and supported module but one has fields, and its records have those values."""
    without = []
    for module in zoho.get("/settings/modules").json()["modules"]:
        if not module["api_supported"]:
            continue
        response = zoho.get("/settings/fields", params={"module": module["api_name"]})
        if response.status_code == 204:
            assert response.content == b""
            without.append(module["api_name"])
            continue
        fields = response.json()["fields"]
        assert len({one["id"] for one in fields}) == len(fields)
        names = [one["api_name"] for one in fields]
        rows = zoho.get(f"/{module['api_name']}", params={"fields": ",".join(names[:50])})
        assert rows.status_code == 200, rows.text
    assert without == ["Visits"]


def test_a_listed_module_without_fields(zoho) -> None:
    """Statement 19: metadata of one listed module is 204."""
    listed = [one["api_name"] for one in zoho.get("/settings/modules").json()["modules"]]
    assert "Visits" in listed
    assert zoho.get("/settings/fields?module=Visits").status_code == 204


def test_fields_change(own_zoho) -> None:
    """Statement 19: a label changes while the API name stays, a field goes, a picklist gets a value."""
    before = fields_of(own_zoho, "Contacts")
    own_zoho.admin("relabel_field", name="Contacts", field="Tier", label="Loyalty")
    own_zoho.admin("hide_field", name="Contacts", field="Twitter")
    own_zoho.admin("add_choice", name="Contacts", field="Tier", value="Platinum")
    after = fields_of(own_zoho, "Contacts")
    assert set(before) - set(after) == {"Twitter"}
    assert (before["Tier"]["field_label"], after["Tier"]["field_label"]) == ("Tier", "Loyalty")
    assert before["Tier"]["id"] == after["Tier"]["id"]
    values = [one["actual_value"] for one in after["Tier"]["pick_list_values"]]
    assert values == ["Gold", "Silver", "Bronze", "None", "Platinum"]
    assert "Twitter" not in own_zoho.data("/Contacts?fields=Twitter,Tier&per_page=1")[0]


def test_other_schema_changes(own_zoho) -> None:
    """A field gets another API name or another type, a new field appears, a module goes and returns."""
    own_zoho.admin("rename_field", name="Contacts", field="Legacy_Code", new_name="Old_Code")
    own_zoho.admin("retype_field", name="Contacts", field="Visits", new_type="text")
    own_zoho.admin("add_field", name="Contacts", field="Shoe_Size", kind="integer", value=42)
    fields = fields_of(own_zoho, "Contacts")
    assert "Legacy_Code" not in fields
    assert (fields["Visits"]["data_type"], fields["Shoe_Size"]["data_type"]) == ("text", "integer")
    row = own_zoho.data("/Contacts?fields=Old_Code,Visits,Shoe_Size&per_page=1")[0]
    assert isinstance(row["Visits"], str)
    assert row["Shoe_Size"] == 42
    assert row["Old_Code"]
    own_zoho.admin("hide_object", name="Cases")
    assert own_zoho.refusal(own_zoho.get("/Cases?fields=id")) == (400, "INVALID_MODULE")
    own_zoho.admin("hide_object", name="Cases", hidden=False)
    assert own_zoho.get("/Cases?fields=id").status_code == 200


def test_orgs_differ(zoho, second) -> None:
    """The second org has other custom fields, another custom module and another pipeline."""
    mine, other = fields_of(zoho, "Contacts"), fields_of(second, "Contacts")
    assert "Legacy_Code" in set(mine) - set(other)
    assert "Altsystem_Nummer" in set(other) - set(mine)
    assert second.get("/Wartungsvertraege?fields=Firma").status_code == 200
    assert second.refusal(second.get("/Service_Contracts?fields=id"))[1] == "INVALID_MODULE"
    ids = {len(row["id"]) for row in second.data("/Contacts?fields=id")}
    assert ids == {18}
    assert not {one["id"] for one in mine.values()} & {one["id"] for one in other.values()}


def test_developer_environment(own_zoho) -> None:
    """Statement 23: a developer environment lists fewer modules."""

    def names() -> set[str]:
        return {one["api_name"] for one in own_zoho.get("/settings/modules").json()["modules"]}

    whole = names()
    own_zoho.admin("set_developer")
    fewer = names()
    assert fewer < whole
    assert {"Contacts", "Deals"} <= fewer
    assert 0.35 <= len(fewer) / len(whole) <= 0.65
    own_zoho.admin("set_developer", on=False)
    own_zoho.http.headers["Host"] = "developer.zohoapis.com"
    url = f"{own_zoho.sandbox.url}/crm/v8/settings/modules"
    assert {one["api_name"] for one in own_zoho.http.get(url).json()["modules"]} == fewer


def test_pipelines(zoho, second) -> None:
    """The layout of Deals has pipelines whose stages are the values of the field."""
    for client, names in ((zoho, ["Standard (Standard)", "Renewals"]), (second, ["Vertrieb"])):
        assert client.refusal(client.get("/settings/pipeline"))[1] == "REQUIRED_PARAM_MISSING"
        layout = client.get("/settings/layouts?module=Deals").json()["layouts"][0]["id"]
        pipelines = client.get(f"/settings/pipeline?layout_id={layout}").json()["pipeline"]
        assert [one["display_value"] for one in pipelines] == names
        stages = {
            one["actual_value"]: one["id"]
            for one in fields_of(client, "Deals")["Stage"]["pick_list_values"]
        }
        for pipeline in pipelines:
            for step in pipeline["maps"]:
                assert stages[step["actual_value"]] == step["id"]
        deals = client.everything("/Deals", fields="Stage,Pipeline")
        assert {(deal["Pipeline"], deal["Stage"]) for deal in deals} <= {
            (one["actual_value"], step["actual_value"]) for one in pipelines for step in one["maps"]
        }


def test_users(zoho) -> None:
    """Users are listed by type, and one by one."""
    everybody = zoho.get("/users?type=AllUsers").json()
    active = zoho.get("/users?type=ActiveUsers").json()["users"]
    assert everybody["info"]["count"] == len(everybody["users"]) == zoho.zoho.count("Users")
    assert 0 < len(active) < len(everybody["users"])
    one = everybody["users"][3]
    assert zoho.get(f"/users/{one['id']}").json()["users"] == [one]
    assert zoho.get("/users/1").status_code == 204
    assert zoho.get("/users?type=AllUsers&page=2").status_code == 204
    owners = {row["Owner"]["id"] for row in zoho.everything("/Contacts", fields="Owner")}
    assert owners <= {user["id"] for user in everybody["users"]}


@pytest.mark.parametrize("path", ["/settings/fields", "/settings/layouts"])
def test_module_is_needed(zoho, path: str) -> None:
    """Metadata without its module is REQUIRED_PARAM_MISSING, of an unknown one INVALID_DATA."""
    assert zoho.refusal(zoho.get(path)) == (400, "REQUIRED_PARAM_MISSING")
    assert zoho.refusal(zoho.get(f"{path}?module=Nothings")) == (400, "INVALID_DATA")


def test_currencies(zoho, second) -> None:
    """The base currency is that of the org."""
    for client, code in ((zoho, "USD"), (second, "EUR")):
        listed = client.get("/org/currencies").json()["currencies"]
        assert [one["iso_code"] for one in listed if one["is_base"]] == [code]
        assert client.get("/org").json()["org"][0]["iso_code"] == code


def test_rates(zoho, second) -> None:
    """A rate is the worth of one unit of the base currency, which itself is worth one."""
    for client, base, other in ((zoho, "USD", "EUR"), (second, "EUR", "USD")):
        listed = {
            one["iso_code"]: one for one in client.get("/org/currencies").json()["currencies"]
        }
        assert listed[base]["exchange_rate"] == "1.000000000"
        assert (float(listed[other]["exchange_rate"]) < 1) == (base == "USD")


def test_currencies_on_order(own_zoho) -> None:
    """A rate changes with its stamp; an org of one currency refuses the list."""
    before = {one["iso_code"]: one for one in own_zoho.get("/org/currencies").json()["currencies"]}
    own_zoho.admin("set_currencies", rates={"EUR": 0.95})
    after = {one["iso_code"]: one for one in own_zoho.get("/org/currencies").json()["currencies"]}
    assert after["EUR"]["exchange_rate"] == "0.950000000"
    assert [code for code in after if after[code] != before[code]] == ["EUR"]
    assert after["EUR"]["modified_time"] > before["EUR"]["modified_time"]
    own_zoho.admin("set_currencies", on=False)
    answer = own_zoho.get("/org/currencies")
    assert own_zoho.refusal(answer) == (403, "CURRENCIES_NOT_ENABLED")
