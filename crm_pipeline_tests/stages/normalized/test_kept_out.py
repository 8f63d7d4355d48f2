from dataclasses import replace

from crm_pipeline.model.schema import Field, Schema
from crm_pipeline_tests.stages.conftest import Org, schema


def without(before: Schema, *names: str, hashed: str = "") -> Schema:
    out = tuple(Field(n, n, "string", kept_out="excluded") for n in names)
    fields = tuple(
        Field(f.name, f.label, "hmac-sha256 (12345678)", kept_out="hashed")
        if f.name == hashed
        else f
        for f in before.fields
        if f.name not in names
    )
    return replace(before, fields=fields, left_out=out)


def test_a_kept_out_field_feeds_no_column(org: Org) -> None:
    """Its column is NULL, also of records that landed before; nothing calls the field missing; a hash is in `custom`."""
    before = schema("Contact", "LastName", "Phone", "Email", "Birthdate:date")
    row = {"LastName": "Doe", "Phone": "1", "Email": "a@b.example", "Birthdate": "1970-01-01"}
    org.land(before, [{"Id": "1", **row}, {"Id": "2", **row}])
    org.normalize("contacts")
    now = without(before, "Phone", "Birthdate", hashed="Email")
    org.land(now, [{"Id": "2", "LastName": "Doe", "Email": "ab" * 32}])
    org.normalize("contacts")

    shown = "source_id, last_name, phone, email, custom ->> 'Email', custom ->> 'Birthdate'"
    assert org.rows("contacts", shown) == [
        ("1", "Doe", None, None, "a@b.example", None),
        ("2", "Doe", None, None, "ab" * 32, None),
    ]
    version = org.tables.version("normalized/acme/contacts")
    assert version is not None
    assert set(version.meta["objects"][0]["kept_out"]) >= {"phone", "email"}
    org.publish()
    notes = org.query("SELECT field, note FROM ops.fields WHERE note IS NOT NULL ORDER BY field")
    assert notes == [
        (name, "Not read: connections.yaml excludes it.") for name in ("Birthdate", "Phone")
    ]
