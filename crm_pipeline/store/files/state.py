"""Small files of state that are written again where they are lost: damaged ones are moved aside, and rows have their types."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import structlog

from crm_pipeline.store.files.atomic import explained

SUFFIX = ".damaged"
_PLAIN = frozenset({bool, int, str, NoneType})
_log = structlog.get_logger(__name__)


def set_aside(path: Path) -> None:
    """Move a damaged file aside before another one takes its place; an earlier one of the same name goes.

    Raises:
        StoreError: the folder is not writable.
    """
    if not path.exists():
        return
    aside = path.with_name(f"{path.name}{SUFFIX}")
    with explained(path):
        path.replace(aside)
    _log.warning("a damaged file was moved aside", path=str(path), to=aside.name)


def row_values(kind: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a stored row for the fields of a dataclass; keys of another version are ignored.

    Raises:
        TypeError: a number, text or flag is of another type than its field.
        AttributeError: the row is no mapping.
    """
    stored = dict(row.items())
    values = {each.name: stored[each.name] for each in fields(kind) if each.name in stored}
    for name, types in _plain_types(kind).items():
        if name in values and type(values[name]) not in types:
            raise TypeError(f"{name} is of another type")
    return values


def _plain_types(kind: type[Any]) -> dict[str, frozenset[type]]:
    hints = get_type_hints(kind)
    found = {name: frozenset(_alternatives(hint)) for name, hint in hints.items()}
    return {name: types for name, types in found.items() if types and types <= _PLAIN}


def _alternatives(hint: Any) -> tuple[type, ...]:
    if isinstance(hint, UnionType):
        return get_args(hint)
    # What else a later version allows in the place of a word is a text as well.
    return (str,) if get_origin(hint) is not None and _is_words(hint) else (hint,)


def _is_words(hint: Any) -> bool:
    return all(isinstance(each, str) for each in get_args(hint))
