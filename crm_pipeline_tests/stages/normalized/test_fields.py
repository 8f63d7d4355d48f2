"""Return fields from schemas, oldest first, written as `name=path.to.value`."""

import pytest

from crm_pipeline.model.mapping import FieldMap, ObjectMap, beside
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.stages.normalized.fields import Fields


def schema(text: str) -> Schema:
    pairs = (word.partition("=") for word in text.split())
    listed = (Field(name, name, "x", path=tuple(p.split(".")) if p else ()) for name, _, p in pairs)
    return Schema("o", "o", tuple(listed))


def linked(*schemas: str, ignores_case: bool = False) -> dict[str, str]:
    """Return the paths of each field, newest first, and whether it is gone."""
    linked_fields = Fields([schema(text) for text in schemas], ignores_case=ignores_case).all
    return {
        f.name: " ".join(".".join(p) for p in f.paths) + ("" if f.is_live else " gone")
        for f in linked_fields
    }


@pytest.mark.parametrize(
    ("schemas", "expected"),
    [
        (["a b", "b c"], {"b": "b", "c": "c", "a": "a gone"}),
        (["a", "a=below.a"], {"a": "below.a a"}),
        # A text that became an object, with the whole object as a field of its own.
        (["a", "a=a.value a_object=a"], {"a": "a.value a", "a_object": "a"}),
        (["Ab", "aB"], {"aB": "aB", "Ab": "Ab gone"}),
        # Somebody makes a property that is called as a fact beside the properties, and removes it.
        (["a", "a=p.a a2=a"], {"a": "p.a", "a2": "a"}),
        (["a=p.a a2=a", "a"], {"a": "a", "a (p)": "p.a gone"}),
        (["a=p.a a2=a", "a", "a=p.a a2=a"], {"a": "p.a", "a2": "a"}),
    ],
)
def test_a_field_is_known_again(schemas: list[str], expected: dict[str, str]) -> None:
    """A field is recognized by its name when it moves, and not confused with another that takes its name."""
    assert linked(*schemas) == expected


@pytest.mark.parametrize(
    ("schemas", "expected"),
    [
        (["Ext_id", "Ext_Id"], {"Ext_Id": "Ext_Id Ext_id"}),
        (["EXT", "Ext_id EXT", "Ext_Id ext"], {"Ext_Id": "Ext_Id Ext_id", "ext": "ext EXT"}),
        # The vendor contradicts itself: both stay.
        (["A a", "a A"], {"a": "a", "A": "A"}),
    ],
)
def test_spelling_is_nothing_to_some_vendors(schemas: list[str], expected: dict[str, str]) -> None:
    """If the vendor ignores case, a field whose spelling changes is the same field, with both paths."""
    assert linked(*schemas, ignores_case=True) == expected


def test_mappings_mean_fields_as_they_are_spelled() -> None:
    """Sources of mappings are found in any case; keys of elements are not changed."""
    fields = Fields([schema("OLD Abc Def Ghi Jkl Mno")], ignores_case=True)
    entry = FieldMap(
        "abc",
        "x",
        former=("old",),
        fallback=("def",),
        joined=("GHI",),
        when=("jkl", "v"),
        object_in="mno",
    )
    [linked_fields] = fields.resolved(ObjectMap("o", "t", (entry,))).fields
    assert (linked_fields.source, linked_fields.former, linked_fields.fallback) == (
        "Abc",
        ("OLD",),
        ("Def",),
    )
    assert (linked_fields.joined, linked_fields.when, linked_fields.object_in) == (
        ("Ghi",),
        ("Jkl", "v"),
        "Mno",
    )
    each = ObjectMap("o", "t", (FieldMap("abc", "x"), FieldMap("record.abc", "y")), each=("list",))
    assert [f.source for f in fields.resolved(each).fields] == ["abc", "record.Abc"]


@pytest.mark.parametrize(
    ("schemas", "source"),
    [
        ("a=p.b b=p.a id", "id"),
        ("id=p.id id2=id", "id2"),
        # As schemas were before: the property had taken the place of the fact.
        ("id=p.id", "id (record)"),
    ],
)
def test_facts_beside_the_fields_are_found_by_their_place(schemas: str, source: str) -> None:
    """A mapping with a path (`at`) does not use a field of the same name."""
    entry = ObjectMap("o", "t", beside("id=source_id"))
    assert Fields([schema(schemas)]).resolved(entry).fields[0].source == source
