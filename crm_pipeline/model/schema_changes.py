"""What changed between two descriptions of an object: one `FieldChange` for each fact about a field."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from crm_pipeline.kernel.change_kinds import ChangeKind
from crm_pipeline.model.schema import Field, Schema

_NAMED = 5


@dataclass(frozen=True)
class FieldChange:
    """One fact about a field that has changed.

    Attributes:
        field: the field's name in the newer description; of a removed field its last name.
        old, new: the fact before and after, in words; "" where there is none.
        text: the fact as one sentence. It never holds values of records.
        is_loss: values or choices may be lost by the change; of a change of values: the field feeds a column.
    """

    object: str
    field: str
    kind: ChangeKind
    old: str
    new: str
    text: str
    is_loss: bool = False

    def __str__(self) -> str:
        return self.text


def changes(old: Schema, new: Schema) -> list[FieldChange]:
    """Return the changes of the fields: those that are gone first, then in the order of the newer description."""
    return list(_changes(old, new))


def _changes(old: Schema, new: Schema) -> Iterator[FieldChange]:
    respelled = _respelled(old, new)
    for field in old.fields:
        if field.name not in new.by_name and field.name not in respelled.values():
            yield _gone(new, field)
    for field in new.fields:
        before = old.by_name.get(respelled.get(field.name, field.name))
        where = f"{new.object}.{field.name}"
        if before is None:
            shown = _shown(field)
            yield FieldChange(
                new.object, field.name, "added", "", shown, f"{where} is new ({shown})"
            )
            continue
        if field.name in respelled:
            text = f"{new.object}.{before.name} is now spelled {field.name}"
            yield FieldChange(new.object, field.name, "respelled", before.name, field.name, text)
        for fact in _FACTS:
            yield from fact(where, new.object, before, field)


def _gone(new: Schema, field: Field) -> FieldChange:
    where, shown = f"{new.object}.{field.name}", _shown(field)
    if field.name in new.excluded:
        text = f"{where} is not read any more: connections.yaml excludes it"
        return FieldChange(new.object, field.name, "excluded", shown, "", text)
    text = f"{where} is gone ({shown})"
    return FieldChange(new.object, field.name, "removed", shown, "", text, is_loss=True)


def _shown(field: Field) -> str:
    return f"'{field.label}', {field.type}"


def _type(where: str, obj: str, before: Field, now: Field) -> Iterator[FieldChange]:
    if before.type != now.type:
        text = f"{where} was {before.type} and is now {now.type}"
        # Text holds whatever the values of another type were.
        is_loss = now.common_type != "string" or before.common_type != "string"
        yield FieldChange(obj, now.name, "retyped", before.type, now.type, text, is_loss)


def _label(where: str, obj: str, before: Field, now: Field) -> Iterator[FieldChange]:
    if before.label != now.label:
        text = f"{where} is now called '{now.label}'"
        yield FieldChange(obj, now.name, "relabelled", before.label, now.label, text)


def _choices(where: str, obj: str, before: Field, now: Field) -> Iterator[FieldChange]:
    """Compare the entries of pick lists; a list that appears or vanishes is a matter of type or permission."""
    old, new = _entries(before), _entries(now)
    if not old or not new:
        if old and before.type == now.type and not now.kept_out:
            text = f"{where} lists no choices any more"
            yield FieldChange(
                obj, now.name, "choices_removed", _listed(old), "", text, is_loss=True
            )
        return
    added = [value for value in new if value not in old]
    gone = [value for value in old if value not in new]
    if added:
        text = f"{where} has the new choices {_listed(added)}"
        yield FieldChange(obj, now.name, "choices_added", "", _listed(added), text)
    if gone:
        text = f"{where} has lost the choices {_listed(gone)}"
        yield FieldChange(obj, now.name, "choices_removed", _listed(gone), "", text, is_loss=True)
    other = [value for value, label in new.items() if old.get(value, label) != label]
    if other:
        was, is_now = (_listed([entries[value] for value in other]) for entries in (old, new))
        text = f"{where} has new labels for its choices: {was} became {is_now}"
        yield FieldChange(obj, now.name, "choices_relabelled", was, is_now, text)


def _entries(field: Field) -> dict[str, str]:
    """Return the choices of a pick list with their labels."""
    return {**{value: value for value in field.values}, **dict(field.options)}


def _listed(names: Mapping[str, str] | list[str]) -> str:
    shown = [f"'{name}'" for name in list(names)[:_NAMED]]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shown) + more


def _size(
    kind: Literal["length", "precision"], of: Callable[[Field], tuple[int, ...]], noun: str
) -> Callable[[str, str, Field, Field], Iterator[FieldChange]]:
    def compared(where: str, obj: str, before: Field, now: Field) -> Iterator[FieldChange]:
        old, new = of(before), of(now)
        # 0 is a size that the vendor does not state.
        if old == new or before.type != now.type or not any(old) or not any(new):
            return
        was, is_now = (".".join(map(str, size)) for size in (old, new))
        text = f"{where} had {noun} {was} and has now {is_now}"
        is_loss = any(n < o for o, n in zip(old, new, strict=True))
        yield FieldChange(obj, now.name, kind, was, is_now, text, is_loss)

    return compared


def _nullable(where: str, obj: str, before: Field, now: Field) -> Iterator[FieldChange]:
    if before.nullable != now.nullable:
        old, new = ("optional", "required") if before.nullable else ("required", "optional")
        text = f"{where} was {old} and is now {new}"
        yield FieldChange(obj, now.name, "nullability", old, new, text)


def _formula(where: str, obj: str, before: Field, now: Field) -> Iterator[FieldChange]:
    if before.calculated != now.calculated:
        old, new = ("entered", "calculated") if now.calculated else ("calculated", "entered")
        text = f"{where} was {old} and is now {new}"
        yield FieldChange(obj, now.name, "calculated", old, new, text, is_loss=now.calculated)


_FACTS = (
    _type,
    _label,
    _choices,
    _size("length", lambda field: (field.length,), "the length"),
    _size("precision", lambda field: (field.precision, field.scale), "the precision"),
    _nullable,
    _formula,
)


def _respelled(old: Schema, new: Schema) -> dict[str, str]:
    """Return the fields whose names changed in case only, each with its former name."""
    gone = {name.lower(): name for name in old.names if name not in new.by_name}
    return {
        name: gone[name.lower()]
        for name in new.names
        if name not in old.by_name and name.lower() in gone
    }
