"""From the lines of an uploaded CSV to records that can be written, and back to lines with results."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crm_sandbox.zoho.schema import NUMBERS, Field, Module


@dataclass(frozen=True)
class Mapping:
    """Which column goes into which field.

    Attributes:
        default: what an empty cell becomes.
    """

    field: Field
    index: int
    default: str = ""


@dataclass(frozen=True)
class Lines:
    """A CSV with its header."""

    header: list[str]
    rows: list[list[str]]


def read_lines(content: bytes, encoding: str) -> Lines:
    """Read a CSV.

    Raises:
        ValueError: the encoding is unknown or wrong, or the file is empty.
    """
    try:
        text = content.decode(encoding)
    except LookupError as problem:
        raise ValueError(encoding) from problem
    try:
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    except csv.Error as problem:
        raise ValueError("csv") from problem
    if not rows:
        raise ValueError("empty")
    return Lines(rows[0], [row for row in rows[1:] if row])


def mappings_of(module: Module, asked: Any, header: Sequence[str]) -> list[Mapping]:
    """Return the mappings asked for, or those of the header's names.

    Raises:
        LookupError: a field is unknown; carries its name.
    """
    if not asked:
        found = [(name, place, "") for place, name in enumerate(header)]
    else:
        found = [
            (
                str(one.get("api_name", "")),
                -1 if one.get("index") is None else int(one["index"]),
                str((one.get("default_value") or {}).get("value", "")),
            )
            for one in asked
        ]
    made = []
    for name, place, default in found:
        one = module.find(name)
        if one is None or not one.is_stored:
            raise LookupError(name)
        made.append(Mapping(one, place, default))
    return made


def record_of(
    row: Sequence[str], mappings: Sequence[Mapping], *, ignore_empty: bool
) -> dict[str, Any]:
    """Return the record of one line."""
    record: dict[str, Any] = {}
    for one in mappings:
        cell = row[one.index] if 0 <= one.index < len(row) else ""
        cell = cell or one.default
        if cell or not ignore_empty:
            record[one.field.name] = _value(one.field, cell)
    return record


def _value(one: Field, cell: str) -> Any:
    if cell == "":
        return None
    kind = one.value_type
    if one.is_lookup:
        return {"id": cell}
    if kind == "boolean":
        return {"true": True, "false": False}.get(cell.lower(), cell)
    if kind == "multiselectpicklist":
        return cell.split(";")
    if kind in NUMBERS:
        try:
            return int(cell) if kind in {"integer", "bigint"} else float(cell)
        except ValueError:
            return cell
    return cell


def result_lines(lines: Lines, results: Sequence[tuple[str, str, str]]) -> bytes:
    """Return a CSV with what became of each line before its cells: status, id, errors."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["STATUS", "RECORD_ID", "ERRORS", *lines.header])
    writer.writerows([*result, *row] for result, row in zip(results, lines.rows, strict=True))
    return out.getvalue().encode()
