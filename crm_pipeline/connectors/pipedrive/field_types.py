"""Maps Pipedrive's field types to schema fields: the common type, the value's path, its parts.

Composite values (money, ranges, times, addresses) are objects: `value` is the field, and each other
part is a field of its own. Source: https://pipedrive.readme.io/docs/core-api-concepts-custom-fields
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from crm_pipeline.model.schema import CommonType, Field, Form, Multiple

Options = tuple[tuple[str, str], ...]
_ADDRESS = [
    "country",
    "admin_area_level_1",
    "admin_area_level_2",
    "locality",
    "sublocality",
    "route",
    "street_number",
    "subpremise",
    "postal_code",
    "formatted_address",
]


@dataclass(frozen=True)
class FieldType:
    """The common form of one of the vendor's types.

    Attributes:
        to: the object that an id points to.
        parts: the parts of a composite value besides `value`, with their types.
        composite: the value is an object.
        counted: the vendor recalculates it without changing the record's time of change.
    """

    common: CommonType = "string"
    to: str = ""
    form: Form = ""
    multiple: Multiple = ""
    parts: tuple[tuple[str, CommonType], ...] = ()
    composite: bool = False
    counted: bool = False
    inner: str = "value"


_TEXT = FieldType()
_MONEY = FieldType("decimal", composite=True, parts=(("currency", "string"),))
_TIME_PARTS: tuple[tuple[str, CommonType], ...] = (
    ("timezone_id", "integer"),
    ("timezone_name", "string"),
)
TYPES: Mapping[str, FieldType] = {
    "text": _TEXT,
    "id": FieldType("integer"),
    "integer": FieldType("integer"),
    "double": FieldType("double"),
    "money": FieldType("decimal"),
    # A lead's value is an object whose number is called `amount`.
    "amount": replace(_MONEY, inner="amount"),
    "boolean": FieldType("boolean"),
    "date": FieldType("date"),
    "time": FieldType("time"),
    "clock": FieldType(form="clock"),
    "instant": FieldType("timestamp"),
    "local": FieldType("timestamp", form="local"),
    "json": FieldType("json"),
    "choice": _TEXT,
    "choices": FieldType(multiple="json"),
    "count": FieldType("integer", counted=True),
    "counted_text": FieldType(counted=True),
    "counted_instant": FieldType("timestamp", counted=True),
    "activity": FieldType("integer", to="activities", counted=True),
    "address": FieldType(composite=True, parts=tuple((part, "string") for part in _ADDRESS)),
    "lead": FieldType(to="leads"),
    **{
        name: FieldType("integer", to=f"{name}s")
        for name in ("user", "person", "organization", "deal", "product", "pipeline", "stage")
    },
}
# The types of the metadata: those of custom fields, and more that responses contain.
_OF_METADATA: Mapping[str, FieldType] = {
    "int": FieldType("integer"),
    "double": FieldType("double"),
    "monetary": _MONEY,
    "date": FieldType("date"),
    "daterange": FieldType("date", composite=True, parts=(("until", "date"),)),
    "time": FieldType("time", composite=True, parts=_TIME_PARTS),
    "timerange": FieldType("time", composite=True, parts=(("until", "time"), *_TIME_PARTS)),
    "set": FieldType(multiple="json"),
    "address": TYPES["address"],
    "boolean": FieldType("boolean"),
    "user": TYPES["user"],
    "org": TYPES["organization"],
    "people": TYPES["person"],
    "person": TYPES["person"],
    "deal": TYPES["deal"],
    "product": TYPES["product"],
    "lead": TYPES["lead"],
    "stage": TYPES["stage"],
    "pipeline": TYPES["pipeline"],
    "json": FieldType("json"),
    "participants": FieldType("json"),
    "price_list": FieldType("json"),
}


def of_metadata(name: str) -> FieldType:
    """Return the common form of a type of the metadata; unknown types are text."""
    return _OF_METADATA.get(name, _TEXT)


def fields_of(
    base: Field, kind: FieldType, path: Sequence[str], *, flat: bool = False
) -> Iterator[Field]:
    """Yield a field and those of its parts.

    Args:
        base: its name, label, type and options.
        kind: the common form of its type.
        path: keys from the record's root to the value.
        flat: the form of v1: parts are siblings `<key>_<part>` of the value, several options are one text
            with commas, and a custom field's reference is an object around the id.
    """
    keys = tuple(path)
    # References in system fields of leads are bare ids.
    is_card = flat and base.custom and bool(kind.to)
    inner = "value" if is_card else kind.inner
    whole = replace(
        base,
        common_type=kind.common,
        form=kind.form,
        multiple="," if flat and kind.multiple else kind.multiple,
        calculated=base.calculated or kind.counted,
        reference_to=(kind.to,) if kind.to else (),
        values=tuple(value for value, _ in base.options),
        path=(*keys, inner) if is_card or (kind.composite and not flat) else keys,
    )
    yield replace(whole, path=()) if whole.path == (whole.name,) else whole
    if is_card:
        # Keep the whole object, or the bare id, so that nothing is lost.
        card = replace(base, name=f"{base.name}_object", label=f"{base.label}: object")
        yield replace(card, common_type="json", options=(), path=keys)
    for part, common in kind.parts:
        name = f"{base.name}_{part}"
        yield replace(
            whole,
            name=name,
            label=f"{base.label}: {part.replace('_', ' ')}",
            common_type=common,
            options=(),
            values=(),
            path=() if flat else (*keys, part),
        )
