"""The page of connections.yaml: every key with type, default and bounds, and every environment variable's place."""

import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from crm_pipeline.settings.auth import KINDS, RETIRED_FIELDS
from crm_pipeline.settings.model import Model
from crm_pipeline.settings.schema import FileModel
from reference.text import page, table

_INTRO = """\
Every key that `connections.yaml` may have. [Connections](../connections.md#every-key) says what they mean and when to set them; a key that is
not here is refused with the closest one that is."""
_ALSO = {"objects": "list of names, or "}  # which is read as a mapping without options


def settings(_root: Path) -> str:
    """Return the page."""
    return page("connections.yaml", _INTRO, [*_sections(), _kinds()])


def models() -> Mapping[str, type[Model]]:
    """Return every model of the file by the path that leads to it, such as `connections.NAME.auth`."""
    return dict(_models("", FileModel))


def keys() -> Mapping[str, FieldInfo]:
    """Return every key by its path; those that are refused with a reason are left out."""
    return {
        f"{path}.{name}".strip("."): field
        for path, model in models().items()
        for name, field in model.model_fields.items()
        if name not in RETIRED_FIELDS
    }


def _models(path: str, model: type[Model]) -> Iterator[tuple[str, type[Model]]]:
    yield path, model
    for name, field in model.model_fields.items():
        where = f"{path}.{name}".strip(".")
        for inner, is_mapping in _inner(field.annotation):
            yield from _models(f"{where}.NAME" if is_mapping else where, inner)


def _inner(annotation: Any, *, is_mapping: bool = False) -> Iterator[tuple[type[Model], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation, is_mapping
    for argument in get_args(annotation):
        yield from _inner(argument, is_mapping=is_mapping or get_origin(annotation) is dict)


def _sections() -> Iterator[str]:
    for path, model in models().items():
        rows = [
            [
                f"`{name}`",
                _ALSO.get(name, "")
                + _type(field.annotation)
                + _bounds(field.annotation, field.metadata),
                _default(field),
            ]
            for name, field in model.model_fields.items()
            if name not in RETIRED_FIELDS
        ]
        head = f"## `{path}`" if path else "## The file"
        yield f"{head}\n\n{table(['key', 'type', 'default'], rows)}"


def _kinds() -> str:
    rows = []
    for kind, rules in KINDS.items():
        one_of = [" or ".join(f"`{name}_env`" for name in rules.one_of)] if rules.one_of else []
        needed = [*(f"`{name}_env`" for name in rules.needed), *one_of]
        optional = [
            *(f"`{name}_env`" for name in rules.optional),
            *(f"`{name}`" for name in rules.options),
        ]
        rows.append([f"`{kind}`", ", ".join(needed), ", ".join(optional)])
    return f"## Kinds of login\n\n{table(['kind', 'needs', 'may have'], rows)}"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("nothing" if kind is type(None) else _type(kind) for kind in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping from {_type(arguments[0])} to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return "keys as below"
    names = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(annotation: Any, metadata: list[Any]) -> str:
    found = [*metadata]
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Annotated:
            found += [
                inner for field in get_args(part)[1:] for inner in getattr(field, "metadata", [])
            ]
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    said = []
    for bound in found:
        for name, word in words.items():
            if getattr(bound, name, None) is not None:
                said.append(f"{word} {getattr(bound, name):,}")
    return f", {', '.join(said)}" if said else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value in (None, {}, [], "") or isinstance(value, Model):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"
