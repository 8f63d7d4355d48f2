"""`history`: what has changed in one record, version by version."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.names import literal, quoted

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = "crm_history"
_HEAD = ("connection", "object", "source_id")
_CUSTOM = "custom"
_LEFT_OUT = frozenset({"batch_id", "changed_fields", "valid_from", "valid_to"})
Version = Mapping[str, Any]
Change = tuple[datetime | None, str, Any, Any]
"""Since when, the column or `custom.<field>`, its value before and after."""


def history(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="The record's key, such as acme:Contact:003A1; or its id in the CRM.",
        ),
    ],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="All versions as JSON objects, with all columns.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="The changes as CSV with a header; formulas become text.")
    ] = False,
) -> None:
    """Show what has changed in one record, and when, from data/crm.duckdb.

    One line per changed field, oldest first; times are UTC. Versions are known since the record was read
    first; crm_history has them all. Values are shown as they are, also personal ones.

    For instance:

      crm-pipeline history acme:Opportunity:006A1
      crm-pipeline history 006A1 --json
    """
    from crm_pipeline.cli.query import show, write_csv
    from crm_pipeline.cli.workspace import load_settings

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other.", cure="Choose one.")
    table, versions = record_versions(load_settings().data, key)
    if as_json:
        from crm_pipeline.cli.console import emit_json

        emit_json([{"table": table, **version} for version in versions])
        return
    columns = ("since", "field", "before", "after")
    rows = [*changes(versions)]
    if as_csv:
        write_csv(columns, [rows])
    else:
        show(columns, rows, at_most=len(rows))


def record_versions(data: "Path", key: str) -> tuple[str, list[Version]]:
    """Return the table of a record and all its versions, oldest first.

    Args:
        data: the data folder.
        key: the record's key, or its id in the CRM.

    Raises:
        ConfigError: nothing is published, or it has no such record, or several.
    """
    from crm_pipeline.cli.query_result import run

    _, listed = run(
        data,
        "SELECT table_name, column_name FROM information_schema.columns "
        f"WHERE table_schema = {literal(_SCHEMA)} AND ordinal_position = {len(_HEAD) + 1} "
        f"AND table_name IN (SELECT table_name FROM information_schema.views WHERE table_schema = {literal(_SCHEMA)}) "
        "AND table_name NOT LIKE '%\\_daily' ESCAPE '\\' ORDER BY ALL",
    )
    if not listed:
        raise ConfigError(
            "data/crm.duckdb has no histories of records.",
            cure="Run `crm-pipeline refresh`, which builds and publishes them.",
        )
    found = " UNION ALL ".join(
        f"SELECT DISTINCT {literal(table)}, {quoted(column)} FROM {_SCHEMA}.{quoted(table)} "
        f"WHERE {quoted(column)} = {literal(key)} OR source_id = {literal(key)}"
        for table, column in listed
    )
    _, records = run(data, f"{found} ORDER BY ALL")
    if not records:
        raise ConfigError(
            f"no table of data/crm.duckdb has a record '{key}'.",
            cure="A key is <connection>:<object>:<id>, such as `contact_key` of crm.contacts.",
        )
    if len(records) > 1:
        raise ConfigError(
            f"{len(records)} records have the id '{key}': {', '.join(own for _, own in records)}.",
            cure="Give one of these keys instead.",
        )
    [(table, own)] = records
    column = dict(listed)[table]
    names, rows = run(
        data,
        f"SELECT * FROM {_SCHEMA}.{quoted(table)} WHERE {quoted(column)} = {literal(own)} "
        "ORDER BY valid_from, valid_to NULLS LAST",
    )
    return table, [dict(zip(names, row, strict=True)) for row in rows]


def changes(versions: Sequence[Version]) -> Iterator[Change]:
    """Yield what each version changed; of the first one, what it has."""
    before: Version = {}
    for version in versions:
        for field, old, new in _differences(before, version):
            yield version["valid_from"], field, old, new
        before = version


def _differences(before: Version, after: Version) -> Iterator[tuple[str, Any, Any]]:
    for name, value in after.items():
        old = before.get(name)
        if name in _LEFT_OUT or old == value:
            continue
        if name == _CUSTOM:
            yield from _of_custom(old, value)
        elif before or (value not in (None, [], False) and name not in _HEAD):
            yield name, old, value


def _of_custom(before: str | None, after: str | None) -> Iterator[tuple[str, Any, Any]]:
    """Yield the fields in which two objects of fields without a column differ."""
    old, new = (json.loads(text) if text else {} for text in (before, after))
    for name in sorted({**old, **new}):
        if old.get(name) != new.get(name):
            yield f"{_CUSTOM}.{name}", old.get(name), new.get(name)
