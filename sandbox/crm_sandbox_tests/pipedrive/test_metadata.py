import pytest

from crm_sandbox.pipedrive.custom_fields import TYPES

FIELDS = ("dealFields", "personFields", "organizationFields", "productFields", "activityFields")


@pytest.mark.parametrize("path", FIELDS)
def test_pages(main, path: str) -> None:
    """Statement 15: v2 fields come page by page, every field once."""
    fields = main.every(f"/{path}", limit=5)
    codes = [one["field_code"] for one in fields]
    assert len(codes) == len(set(codes)) > 10
    assert fields == main.every(f"/{path}")
    one = main.data(f"/api/v2/{path}/{codes[-1]}")
    assert one == fields[-1]
    assert main.v2(f"/{path}/nothing").status_code == 404


def test_custom_fields(main) -> None:
    """Statement 15: custom fields of every type are described, with options and subfields."""
    fields = [one for one in main.every("/personFields") if one["is_custom_field"]]
    assert {one["field_type"] for one in fields} == set(TYPES)
    by_type = {one["field_type"]: one for one in fields}
    assert [one["field_code"] for one in by_type["monetary"]["subfields"]] == ["value", "currency"]
    assert all(isinstance(one["id"], int) for one in by_type["set"]["options"])
    assert by_type["varchar"]["options"] is None
    row = main.data("/api/v2/persons", limit=1)[0]
    assert set(row["custom_fields"]) == {one["field_code"] for one in fields}


def test_system_options(main) -> None:
    """Statement 15: option ids are numbers; those of a system field may be texts."""
    fields = {one["field_code"]: one for one in main.every("/productFields")}
    assert {type(one["id"]) for one in fields["category"]["options"]} == {str}
    labels = {one["field_code"]: one for one in main.every("/personFields")}["label_ids"]
    assert {type(one["id"]) for one in labels["options"]} == {int}


def test_optional_fields(main) -> None:
    """Fields that answers only carry when asked say so."""
    fields = {one["field_code"]: one for one in main.every("/personFields")}
    assert fields["marketing_status"]["is_optional_response_field"]
    assert not fields["name"]["is_optional_response_field"]
    extra = main.data("/api/v2/personFields", include_fields="ui_visibility", limit=1)[0]
    assert extra["ui_visibility"]["add_visible_flag"] is True
    assert main.v2("/personFields", include_fields="shoes").status_code == 400


def test_v1_fields(main) -> None:
    """Statement 15: v1 describes the same fields under its own names."""
    newer = {one["field_code"]: one for one in main.every("/personFields")}
    older = {one["key"]: one for one in main.every_v1("/v1/personFields", limit=9)}
    assert set(older) == set(newer)
    tier = next(one for one in older.values() if one["name"] == "Tier")
    assert [o["label"] for o in tier["options"]] == [
        o["label"] for o in newer[tier["key"]]["options"]
    ]
    assert tier["edit_flag"]
    assert not older["name"]["edit_flag"]
    assert main.data(f"/v1/personFields/{tier['id']}") == tier


def test_lead_fields(main) -> None:
    """Leads inherit the custom fields of deals."""
    keys = {one["key"] for one in main.every_v1("/v1/leadFields")}
    assert {one["code"] for one in main.truth.fields("deals")} < keys
    assert "title" in keys


def test_options_of_records(main) -> None:
    """What records carry in enum and set fields are ids that the metadata know."""
    known = {
        one["field_code"]: {option["id"] for option in one["options"] or []}
        for one in main.every("/personFields")
        if one["field_type"] in {"enum", "set"} and one["is_custom_field"]
    }
    used = set()
    for row in main.every("/persons"):
        for code, ids in known.items():
            value = row["custom_fields"][code]
            values = value if isinstance(value, list) else [value] if value is not None else []
            assert set(values) <= ids
            used |= set(values)
    assert len(used) > 8
