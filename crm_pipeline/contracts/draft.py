"""Write a first contract from the rows that there are: short, readable, and true of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from crm_pipeline.model.names import quoted
from crm_pipeline.store.tables.engine import Engine

_MOST_COLUMNS = 12
_MOST_VALUES = 8
_ENOUGH_ROWS = 20
_SEEN_OFTEN = 3
_TYPES = (
    (pa.types.is_boolean, "bool"),
    (pa.types.is_integer, "int"),
    (pa.types.is_decimal, "float"),
    (pa.types.is_floating, "float"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "datetime"),
    (pa.types.is_string, "str"),
)
_HEAD = {
    "connection",
    "object",
    "source_id",
    "custom",
    "unconverted",
    "batch_id",
    "merged_into",
    "url",
}


@dataclass(frozen=True)
class _Profile:
    name: str
    type: str
    rows: int
    filled: int
    distinct: int
    least: object
    values: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        facts = []
        if self.filled < self.rows:
            facts.append("nullable=True")
        if self.values:
            facts.append(f"isin={list(self.values)!r}")
        elif (
            self.type in {"int", "float"} and self.least is not None and float(str(self.least)) >= 0
        ):
            facts.append("ge=0")
        given = f" = pa.Field({', '.join(facts)})" if facts else ""
        return f"    {self.name}: {self.type}{given}"


def drafted(
    engine: Engine, relation: str, target: str, types: Mapping[str, pa.DataType], key: str = ""
) -> str:
    """Return a Python file with a contract.

    Args:
        engine: reads the rows.
        relation: SQL for the live rows.
        target: the table or object that the contract is for.
        types: the types of the columns.
        key: the key column; "" for none.
    """
    chosen = _chosen(engine, relation, types, key)
    title = "".join(part.capitalize() for part in target.rpartition(".")[2].split("_"))
    imports = [
        f"from datetime import {', '.join(names)}"
        for names in [sorted({p.type for p in chosen} & {"date", "datetime"})]
        if names
    ]
    keys = [f"    {key}: {_type(types[key])} = pa.Field(unique=True)"] if key else []
    lines = [
        *imports,
        *([""] if imports else []),
        "import pandera.pandas as pa",
        "",
        "",
        f"class {title if title.isidentifier() else 'Rows'}(pa.DataFrameModel):",
        f'    """What every row of {target} has to satisfy; made from the data, to be corrected."""',
        "",
        *keys,
        *(profile.line for profile in chosen),
        "",
        "    class Config:",
        f'        name = "{target}"',
        '        metadata = {"policy": "warn"}  # or block, quarantine, evolve',
    ]
    return "\n".join(lines) + "\n"


def _type(kind: pa.DataType) -> str:
    return next((name for is_kind, name in _TYPES if is_kind(kind)), "")


def _chosen(
    engine: Engine, relation: str, types: Mapping[str, pa.DataType], key: str
) -> list[_Profile]:
    """Return the columns that say most: filled ones first, with what is true of them."""
    names = [
        name
        for name, kind in types.items()
        if _type(kind) and name not in _HEAD and name != key and name.isidentifier()
    ]
    if not names:
        return []
    parts = ", ".join(
        f"count({quoted(n)}), approx_count_distinct({quoted(n)}), min({quoted(n)})" for n in names
    )
    rows, *figures = engine.row(f"SELECT count(*), {parts} FROM {relation}")
    profiles = [
        _Profile(name, _type(types[name]), rows, *figures[3 * n : 3 * n + 3])
        for n, name in enumerate(names)
    ]
    filled = [p for p in profiles if p.filled]
    ordered = sorted(filled, key=lambda p: (p.filled < p.rows, -p.filled))[:_MOST_COLUMNS]
    position = {name: n for n, name in enumerate(names)}
    return [
        _with_values(engine, relation, profile)
        for profile in sorted(ordered, key=lambda p: position[p.name])
    ]


def _with_values(engine: Engine, relation: str, profile: _Profile) -> _Profile:
    """Return a profile with its values if they are those of a pick list: few, and each of many rows.

    Others may be personal data, which no file of ours holds.
    """
    if profile.type != "str" or profile.rows < _ENOUGH_ROWS or profile.distinct > _MOST_VALUES:
        return profile
    column = quoted(profile.name)
    counted: Sequence[tuple[str, int]] = engine.rows(
        f"SELECT {column}, count(*) FROM {relation} WHERE {column} IS NOT NULL GROUP BY ALL "
        f"ORDER BY 1 LIMIT {_MOST_VALUES + 1}"
    )
    is_pick_list = len(counted) <= _MOST_VALUES and all(n >= _SEEN_OFTEN for _, n in counted)
    values = tuple(value for value, _ in counted) if is_pick_list else ()
    return _Profile(
        profile.name,
        profile.type,
        profile.rows,
        profile.filled,
        profile.distinct,
        profile.least,
        values,
    )
