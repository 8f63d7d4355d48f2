"""Which fields can be kept out, and how records are cut; `connectors/test_conformance_kept_out.py` has the reads."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.hubspot.keys import HubSpotKeys
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.zoho.keys import ZohoKeys
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.schema_changes import changes
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.description import lost_fields
from crm_pipeline.stages.raw.kept_out import NOT_KEPT, Cutter, kept_out
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.tokens.hash_key import HashKey

KEY = HashKey(b"k" * 32)
SCHEMA = Schema(
    "contacts",
    "Contacts",
    (
        Field("id", "Id", "string"),
        Field("email", "E-mail", "string", path=("properties", "email")),
        Field("born", "Born", "date", "date", path=("properties", "born")),
        Field("ssn", "SSN", "number", "decimal", path=("properties", "ssn"), length=9),
        Field("value", "Value", "money", path=("custom_fields", "value")),
        Field("value_currency", "Currency", "text", path=("custom_fields", "value", "currency")),
        Field("Owner", "Owner", "lookup", reference_to=("Users",), path=("Owner", "id")),
        Field("tags", "Tags", "list", "json"),
    ),
)


def kept(ignores_case: bool = False, **options: Any) -> Schema:
    obj = ObjectSettings("contacts", **options)
    return kept_out(SCHEMA, obj, frozenset({"id"}), KEY, where="acme", ignores_case=ignores_case)


def cut(schema: Schema, record: Any, keys: Any = None) -> Any:
    text = record if isinstance(record, str) else json.dumps(record)
    batch = batch_of(ids=["1"], modified_at=[None], texts=[text], owner="x")
    rejects: list[Reject] = []
    done = Cutter(schema, keys or HubSpotKeys(), KEY).cut(batch, rejects)
    return rejects or json.loads(done.column("record")[0].as_py())


def test_what_becomes_of_a_schema() -> None:
    """An excluded field is left out by name, with its parts; a hashed one is a text; neither counts as lost."""
    schema = kept(exclude=("born", "value", "Owner"), hash=("ssn",))

    assert schema.names == ("id", "email", "ssn", "tags")
    assert schema.excluded == {"born", "value", "value_currency", "Owner"}
    assert schema.hashed == {"ssn"}
    assert (schema.by_name["ssn"].common_type, schema.by_name["ssn"].length) == ("string", 64)
    assert Schema.from_dict(schema.to_dict()).fingerprint == schema.fingerprint
    assert lost_fields(SCHEMA, schema) == []
    texts = map(str, changes(SCHEMA, schema))
    assert "contacts.born is not read any more: connections.yaml excludes it" in texts


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exclude": ("emial",)}, "Did you mean 'email'?"),
        ({"exclude": ("EMAIL",)}, "unknown field 'EMAIL'"),
        ({"exclude": ("id",)}, "id cannot be excluded: ids"),
        ({"hash": ("id",)}, "id cannot be hashed: ids"),
        ({"exclude": ("properties",)}, "is no field, but a group of fields"),
        ({"exclude": ("tags.first",)}, "is a part of tags; only whole fields"),
        ({"exclude": ("value_currency",)}, "is a part of value, which would still hold it"),
        ({"hash": ("value",)}, "cannot be hashed: it holds no single value"),
        ({"hash": ("tags",)}, "cannot be hashed"),
        ({"hash": ("Owner",)}, "cannot be hashed"),
    ],
)
def test_fields_that_cannot_be_kept_out(options: dict[str, Any], expected: str) -> None:
    """Each is refused by name, with a cure."""
    with pytest.raises(ConfigError) as caught:
        kept(**options)
    assert expected in str(caught.value)
    assert "contacts" in str(caught.value)
    assert caught.value.cure


def test_case_counts_where_it_counts_for_the_vendor() -> None:
    """A vendor that ignores case in names of fields has them found in any."""
    assert kept(ignores_case=True, exclude=("EMAIL",)).excluded == {"email"}


def test_records_are_cut_by_path() -> None:
    """Values go with all that is below them, doubled keys and earlier values too; other values stay as they were."""
    schema = kept(exclude=("born", "value", "Owner"), hash=("ssn", "email"))
    record = {
        "id": "1",
        "properties": {"born": "1970-01-01", "ssn": 123456789, "email": "", "x": 1e5},
        "propertiesWithHistory": {"ssn": [{"value": "123456789"}], "x": [1]},
        "custom_fields": {"value": {"value": 3, "currency": "EUR"}, "other": 1},
        "Owner": {"id": "7", "name": "Jane"},
        "born": "another field of that name",
    }
    assert cut(schema, record) == {
        "id": "1",
        "properties": {"ssn": KEY.digest("123456789"), "email": "", "x": 100000.0},
        "propertiesWithHistory": {"x": [1]},
        "custom_fields": {"other": 1},
        "born": "another field of that name",
    }
    twice = '{"properties": {"born": "1970", "b\\u006frn": "1971", "ssn": null}, "id": 1.50}'
    assert cut(schema, twice) == {"properties": {"ssn": None}, "id": 1.5}


def test_names_of_deleted_records_go_with_the_name() -> None:
    """Zoho's lists of deleted records repeat the name under another key."""
    schema = Schema("Contacts", "", (), (Field("Full_Name", "", "text", kept_out="excluded"),))
    assert cut(schema, {"id": "1", "display_name": "Jane"}, ZohoKeys()) == {"id": "1"}


def test_what_cannot_be_cut_is_not_kept() -> None:
    """A record that cannot be taken apart is rejected by its id without its bytes; so are torn ones."""
    schema = kept(exclude=("born",))
    [reject] = cut(schema, '{"id": "1", "\\ud83d": "Jane", "properties": {"born": "Jane"}}')
    assert (reject.source_id, b"Jane" in reject.raw, NOT_KEPT in reject.reason) == (
        "1",
        False,
        True,
    )

    def batches() -> Iterator[pa.RecordBatch]:
        yield from ()

    raws = [b'{"id": 1, "properties": {"born": "Jane", "x": ', b'{"properties": {"born": "Jane"}}']
    received = [Reject("broken", raw, "1") for raw in raws]
    page = Page("json", "list", batches, datetime(2026, 1, 1, tzinfo=UTC), rejected=received)
    done = Cutter(schema, HubSpotKeys(), KEY).of_page(page)
    assert list(done.batches()) == []
    torn, whole = done.rejected
    assert (torn.source_id, b"Jane" in torn.raw, NOT_KEPT in torn.reason) == ("1", False, True)
    assert (whole.raw, whole.reason) == (b'{"properties":{}}', "broken")
