import json
from datetime import UTC, datetime
from typing import Any

import pytest

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema

ROOT = (
    Field("id", "Record ID", "id"),
    Field("updatedAt", "Updated", "datetime", "timestamp"),
)
RECORD = (FieldMap("id", "source_id"), FieldMap("updatedAt", "modified_at"))


def prop(name: str, kind: str = "string", common: Any = "string", **more: Any) -> Field:
    """Describe a field below `properties`."""
    return Field(name, more.pop("label", name), kind, common, path=("properties", name), **more)


@pytest.fixture
def nested(org):
    """A CRM whose records keep their fields below `properties`."""
    org.maps = (
        ObjectMap(
            "contacts",
            "contacts",
            (
                *RECORD,
                FieldMap("lastname", "last_name"),
                FieldMap("optout", "email_opt_out"),
                FieldMap("born", "birth_date"),
                FieldMap("seen", "last_activity_on"),
                FieldMap("address.city", "city"),
            ),
        ),
        ObjectMap(
            "users",
            "users",
            (*RECORD, FieldMap("name", "full_name"), FieldMap("at", "last_login_at")),
        ),
        ObjectMap(ANY_OBJECT, "", RECORD),
    )
    return org


def schema(obj: str, *fields: Field) -> Schema:
    return Schema(obj, obj, (*ROOT, *fields))


def record(**properties: Any) -> dict[str, Any]:
    return {"id": "1", "updatedAt": "2026-01-01T00:00:00.000Z", "properties": properties}


def test_values_below_a_key_are_read(nested):
    """Mapped fields become columns, others are in custom, whatever their path in the record."""
    nested.land_records(
        schema("contacts", prop("lastname"), prop("shoe"), prop("optout", "bool", "boolean")),
        [record(lastname="Ng", shoe="42", optout="true")],
    )
    nested.normalize("contacts")
    assert nested.rows("contacts", "source_id, last_name, email_opt_out, custom") == [
        ("1", "Ng", True, '{"shoe":"42"}')
    ]


@pytest.mark.parametrize("value", [None, "", ...])
def test_missing_null_and_empty_are_no_value(nested, value):
    """A key that is missing, null or an empty text is NULL, in columns and in custom."""
    given = {} if value is ... else {"lastname": value, "born": value, "shoe": value}
    fields = (prop("lastname"), prop("born", "date", "date"), prop("shoe"))
    nested.land_records(schema("contacts", *fields), [record(**given)])
    done = nested.normalize("contacts")
    assert done.unconverted == {}
    assert nested.rows("contacts", "last_name, birth_date, custom") == [
        (None, None, '{"shoe":null}')
    ]


@pytest.mark.parametrize("shape", ["csv", "json"])
def test_texts_that_look_like_no_value_are_kept(nested, shape):
    """Replacing empty texts of a whole record at once changes no other text: quotes, colons, JSON in a text."""
    odd = ['":""', 'a":"",b', '{"a":""}', '\\":"", ', ":", '""', " ", '\\"', "[]"]
    names = [f"odd{number}" for number in range(len(odd))]
    texts = dict(zip(names, odd, strict=True))
    described = schema("contacts", *(Field(name, name, "text") for name in (*names, "none")))
    row = {"Id": "1", "id": "1", "updatedAt": "2026-01-01T00:00:00Z", **texts, "none": ""}
    nested.land(described, [row], shape=shape)
    nested.normalize("contacts")
    ((custom,),) = nested.rows("contacts", "custom")
    assert json.loads(custom) == {**texts, "none": None}


def test_a_record_without_the_key_has_no_values(nested):
    """A tombstone that is nothing but an id is a record like others."""
    nested.land_records(
        schema("contacts", prop("lastname")), [{"id": "1"}, {"id": "2", "properties": 3}]
    )
    nested.normalize("contacts")
    assert nested.rows("contacts", "source_id, last_name") == [("1", None), ("2", None)]


def test_part_of_an_object_feeds_a_column(nested):
    """A path in dots reads into an object, which stays whole in custom."""
    address = {"city": "Köln", "lines": ["a", "b"]}
    fields = (Field("address", "Address", "address", "json"),)
    nested.land_records(
        schema("contacts", *fields),
        [
            {**record(), "address": address},
            {**record(), "id": "2", "address": "no object"},
            {**record(), "id": "3", "address": None},
        ],
    )
    nested.normalize("contacts")
    (first, *others) = nested.rows("contacts", "city, custom")
    assert (first[0], json.loads(json.loads(first[1])["address"])) == ("Köln", address)
    assert others == [(None, '{"address":"no object"}'), (None, '{"address":null}')]


def test_a_field_that_moved_is_read_where_it_was(nested):
    """Records that were read from another version of the API keep their values."""
    old = schema("contacts", Field("lastname", "Name", "string"))
    nested.land_records(old, [{"id": "1", "updatedAt": "2026-01-01T00:00:00Z", "lastname": "Ng"}])
    nested.land_records(
        schema("contacts", prop("lastname")), [{**record(lastname="Li"), "id": "2"}]
    )
    nested.normalize("contacts")
    assert nested.rows("contacts", "source_id, last_name") == [("1", "Ng"), ("2", "Li")]


def test_forms_are_read_and_what_does_not_fit_is_kept(nested):
    """One field may mix milliseconds and ISO; other text is listed in `unconverted` and kept."""
    fields = (
        prop("born", "date", "date", form="date_epoch_ms"),
        prop("seen", "datetime", "timestamp", form="epoch_ms"),
    )
    rows = [
        {**record(born="1767225600000", seen="1767225600123"), "id": "1"},
        {**record(born="2026-01-01", seen="2026-01-01T00:00:00Z"), "id": "2"},
        {**record(born="soon", seen="later"), "id": "3"},
    ]
    nested.land_records(schema("contacts", *fields), rows)
    done = nested.normalize("contacts")
    day = datetime(2026, 1, 1, tzinfo=UTC).date()
    columns = "birth_date, last_activity_on, custom, unconverted"
    assert nested.rows("contacts", columns) == [
        (day, day, '{"seen":"1767225600123"}', None),
        (day, day, '{"seen":"2026-01-01T00:00:00Z"}', None),
        (None, None, '{"seen":"later","born":"soon"}', ["born", "seen"]),
    ]
    assert done.unconverted == {"contacts.born": 1, "contacts.seen": 1}


def test_zoneless_instants_are_utc(nested):
    """An instant without a zone is UTC; one with a zone is in that zone."""
    at = Field("at", "At", "datetime", "timestamp", form="local")
    rows = [
        {"id": "1", "at": "2026-01-01 00:00:00"},
        {"id": "2", "at": "2026-01-01T05:30:00+05:30"},
    ]
    nested.land_records(schema("users", at), rows)
    nested.normalize("users")
    assert nested.rows("users", "epoch_ms(last_login_at)") == [(1767225600000,), (1767225600000,)]


def test_a_custom_object_is_typed_below_a_key(nested):
    """An object without a mapping gets its columns from fields at any path, parts included."""
    fields = (
        prop("since", "date", "date", form="date_epoch_ms"),
        Field("price", "Price", "monetary", "decimal", path=("custom_fields", "ab", "value")),
        Field("price_currency", "Currency", "varchar", path=("custom_fields", "ab", "currency")),
    )
    car = {"id": "1", "properties": {"since": "1767225600000"}}
    money = {"custom_fields": {"ab": {"value": 12.5, "currency": "EUR"}}}
    nested.land_records(schema("p1_car", *fields), [{**car, **money}])
    nested.normalize("p1_car")
    assert nested.rows("p1_car", "since::VARCHAR, price::VARCHAR, price_currency") == [
        ("2026-01-01", "12.500000", "EUR")
    ]


def test_ids_stay_exact(nested):
    """Numbers of 19 digits are not rounded, as numbers or as text."""
    nested.land_records(
        schema("contacts", prop("number")),
        [record(number=1234567890123456789), {**record(number="9223372036854775808"), "id": "2"}],
    )
    nested.normalize("contacts")
    assert nested.rows("contacts", "custom ->> 'number'") == [
        ("1234567890123456789",),
        ("9223372036854775808",),
    ]


def test_a_vanished_field_below_a_key_is_refused(nested):
    """Drift is noticed at any path."""
    nested.land_records(schema("contacts", prop("lastname")), [record(lastname="Ng")])
    nested.land_records(schema("contacts", prop("surname")), [record(surname="Ng")])
    with pytest.raises(ContractError, match=r"contacts\.lastname"):
        nested.normalize("contacts")


def test_both_shapes_give_equal_rows(nested):
    """An object in JSON and a bare id in CSV, a list and its semicolons, are the same row."""
    fields = (
        Field("lastname", "Name", "text"),
        Field("Owner", "Owner", "ownerlookup", path=("Owner", "id")),
        Field("Kinds", "Kinds", "multiselectpicklist", multiple="json"),
    )
    described = schema("contacts", *fields)
    plain = {"Id": "1", "id": "1", "lastname": "Zoë", "updatedAt": "2026-01-01T05:30:00+05:30"}
    found = []
    for name, shape, cells in (
        ("acme", "csv", {"Owner": "4876876000000225001", "Kinds": "a;b"}),
        ("other", "json", {"Owner": {"id": "4876876000000225001"}, "Kinds": ["a", "b"]}),
        ("third", "csv", {"Owner": "", "Kinds": ""}),
        ("fourth", "json", {"Owner": None, "Kinds": []}),
    ):
        nested.land(described, [plain | cells], shape=shape, connection=name)
        nested.normalize("contacts", name)
        found.append(nested.rows("contacts", "last_name, modified_at, custom", name))
    assert found[0] == found[1] != found[2] == found[3]
    assert json.loads(found[0][0][2]) == {"Owner": "4876876000000225001", "Kinds": '["a","b"]'}
    assert json.loads(found[2][0][2]) == {"Owner": None, "Kinds": None}
