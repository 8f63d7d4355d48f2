import pytest

FIELD_KEYS = {
    "aggregatable", "aiPredictionField", "autoNumber", "byteLength", "calculated",
    "calculatedFormula", "cascadeDelete", "caseSensitive", "compoundFieldName", "controllerName",
    "createable", "custom", "defaultValue", "defaultValueFormula", "defaultedOnCreate",
    "dependentPicklist", "deprecatedAndHidden", "digits", "displayLocationInDecimal", "encrypted",
    "externalId", "extraTypeInfo", "filterable", "filteredLookupInfo", "formulaTreatNullNumberAsZero",
    "groupable", "highScaleNumber", "htmlFormatted", "idLookup", "inlineHelpText",
    "label", "length", "mask", "maskType", "name",
    "nameField", "namePointing", "nillable", "permissionable", "picklistValues",
    "polymorphicForeignKey", "precision", "queryByDistance", "referenceTargetField", "referenceTo",
    "relationshipName", "relationshipOrder", "restrictedDelete", "restrictedPicklist", "scale",
    "searchPrefilterable", "soapType", "sortable", "type", "unique",
    "updateable", "writeRequiresMasterRead",
}  # fmt: skip
TYPES = {
    "id", "string", "textarea", "boolean", "reference", "email", "phone", "url", "picklist",
    "multipicklist", "double", "currency", "date", "datetime", "address",
}  # fmt: skip


def test_field_keys_and_types(client) -> None:
    """Statement 9: every field has the full set of keys, and Contact has every kind of field."""
    fields = client.get("/sobjects/Contact/describe").json()["fields"]
    assert len(fields) >= 45
    assert all(set(field) == FIELD_KEYS for field in fields)
    assert {field["type"] for field in fields} >= TYPES - {"url"}
    by_name = {field["name"]: field for field in fields}
    assert by_name["MailingCity"]["compoundFieldName"] == "MailingAddress"
    assert by_name["FirstName"]["compoundFieldName"] == "Name"
    assert by_name["Region_Code__c"]["calculated"] is True
    assert by_name["External_Key__c"]["externalId"] is True
    assert by_name["AccountId"]["referenceTo"] == ["Account"]


def test_every_described_field_can_be_selected(client) -> None:
    """Describe and query agree on every object."""
    for entry in client.get("/sobjects").json()["sobjects"]:
        names = [
            f["name"] for f in client.get(f"/sobjects/{entry['name']}/describe").json()["fields"]
        ]
        record = client.records(f"SELECT {', '.join(names)} FROM {entry['name']} LIMIT 1")[0]
        assert list(record) == ["attributes", *names]
        assert record["Id"].startswith(entry["keyPrefix"])


@pytest.mark.parametrize("name", ["User", "Organization", "OpportunityStage"])
def test_objects_without_recycle_bin(client, name: str) -> None:
    """Setup objects have no IsDeleted."""
    fields = client.get(f"/sobjects/{name}/describe").json()["fields"]
    assert "IsDeleted" not in {field["name"] for field in fields}


def test_not_modified(own) -> None:
    """If-Modified-Since and If-None-Match answer 304 until the schema changes."""
    first = own.get("/sobjects/Contact/describe")
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    tagged = {"If-None-Match": f'"other", {first.headers["ETag"]}'}
    for condition in (since, tagged):
        unchanged = own.get("/sobjects/Contact/describe", headers=condition)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    own.sandbox.clock.advance(5)
    own.sandbox.salesforce.hide_field("Contact", "Fax")
    for condition in (since, tagged):
        assert own.get("/sobjects/Contact/describe", headers=condition).status_code == 200


def names_of(own) -> dict[str, str]:
    fields = own.get("/sobjects/Contact/describe").json()["fields"]
    return {field["name"]: field["type"] for field in fields}


def test_renamed_field(own) -> None:
    """Statement 9: a renamed field is gone under its old name and keeps its values."""
    before = own.records("SELECT Score__c FROM Contact ORDER BY Id")
    own.admin(
        "/salesforce/rename_field",
        {"name": "Contact", "field": "Score__c", "new_name": "Rating__c"},
    )
    assert "Score__c" not in names_of(own)
    assert own.query("SELECT Score__c FROM Contact").json()[0]["errorCode"] == "INVALID_FIELD"
    after = own.records("SELECT Rating__c FROM Contact ORDER BY Id")
    assert [row["Rating__c"] for row in after] == [row["Score__c"] for row in before]


def test_hidden_field(own) -> None:
    """Statements 9 and 26: a field hidden by permission is absent, a consent field as well."""
    own.sandbox.salesforce.hide_field("Contact", "HasOptedOutOfEmail")
    assert "HasOptedOutOfEmail" not in names_of(own)
    refused = own.query("SELECT HasOptedOutOfEmail FROM Contact").json()[0]
    assert refused["errorCode"] == "INVALID_FIELD"
    assert "No such column 'HasOptedOutOfEmail' on entity 'Contact'" in refused["message"]
    own.sandbox.salesforce.hide_field("Contact", "HasOptedOutOfEmail", hidden=False)
    values = {
        row["HasOptedOutOfEmail"] for row in own.records("SELECT HasOptedOutOfEmail FROM Contact")
    }
    assert values == {True, False}


def test_retyped_and_added_field(own) -> None:
    """Statement 9: a retyped field has another type and value form; an added one is there."""
    own.sandbox.salesforce.retype_field("Contact", "Visits__c", "string")
    own.sandbox.salesforce.add_field("Contact", "Mood__c", "string", "happy")
    assert names_of(own)["Visits__c"] == "string"
    row = own.records("SELECT Visits__c, Mood__c FROM Contact LIMIT 1")[0]
    assert isinstance(row["Visits__c"], str)
    assert row["Mood__c"] == "happy"


def test_hidden_object(own) -> None:
    """An object without permission is not listed, not described and not queried."""
    own.sandbox.salesforce.hide_object("Invoice__c")
    assert "Invoice__c" not in {one["name"] for one in own.get("/sobjects").json()["sobjects"]}
    assert own.get("/sobjects/Invoice__c/describe").status_code == 404
    assert own.query("SELECT Id FROM Invoice__c").json()[0]["errorCode"] == "INVALID_TYPE"
