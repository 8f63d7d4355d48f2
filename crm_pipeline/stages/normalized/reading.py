"""SQL that reads texts from landed records: by path from JSON, by name from CSV columns.

An empty text counts as null: CSV cannot distinguish them, and in HubSpot and Pipedrive an empty text clears
a field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.model.json_paths import Layout, Path
from crm_pipeline.model.names import inner, literal, quoted
from crm_pipeline.model.schema import Multiple

RAW = "src."
"""Prefix of raw columns, so that a source field does not clash with a common column."""
_IDS = r"\s*[0-9]{1,18}\s*(,\s*[0-9]{1,18}\s*)*"


def raw(source: str) -> str:
    """Return the quoted column with a source's text."""
    return quoted(RAW + inner(source))


@dataclass(frozen=True)
class Source:
    """One text that rows are made of, and where it is in landed records.

    Attributes:
        name: its name in mappings.
        columns: present and earlier names of its CSV column, newest first; empty where CSV has none.
        paths: keys from the root of JSON records, newest first.
        multiple: as `Field.multiple`.
        is_mapped: whether columns use it. Other sources only go to `custom`, where empty texts are replaced
            once for the whole record, because one by one that took most of the time.
    """

    name: str
    columns: tuple[str, ...]
    paths: tuple[Path, ...]
    multiple: Multiple = ""
    is_mapped: bool = True


def json_columns(layout: Layout, parsed: str, sources: Sequence[Source]) -> list[str]:
    """Return the raw columns of sources in a parsed document, "" as NULL where they are mapped."""
    columns = []
    for source in sources:
        text = _first([layout.text(parsed, path) for path in source.paths])
        value = f"nullif({text}, '')" if source.is_mapped else text
        if source.multiple == ",":
            value = _array(value, ",")
        if source.multiple in {",", "json"}:
            value = f"nullif({value}, '[]')"
        columns.append(f"{value} AS {raw(source.name)}")
    return columns


def csv_columns(present: Mapping[str, str], sources: Sequence[Source]) -> list[str]:
    """Return the raw columns of sources in a CSV batch, "" as NULL where they are mapped.

    Args:
        present: the column of the relation for each of the vendor's names.
        sources: the sources.
    """
    columns = []
    for source in sources:
        names = list(dict.fromkeys(present[name] for name in source.columns if name in present))
        value = quoted(names[0]) if names else "NULL::VARCHAR"
        if len(names) > 1:
            value = _first([f"nullif({quoted(column)}, '')" for column in names])
        elif names and (source.is_mapped or source.multiple):
            value = f"nullif({value}, '')"
        if names and source.multiple in {",", "json"}:
            separator = ";" if source.multiple == "json" else ","
            value = f"nullif({_array(value, separator)}, '[]')"
        columns.append(f"{value} AS {raw(source.name)}")
    return columns


def _first(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"


def _array(text: str, separator: str) -> str:
    """Return SQL that writes a text of several values as a JSON array; a JSON array stays as it is."""
    parts = f"list_transform(string_split({text}, {literal(separator)}), lambda p: trim(p))"
    kept = f"list_filter({parts}, lambda p: p <> '')"
    written = f"CAST(to_json({kept}) AS VARCHAR)"
    if separator == ",":
        # Ids of options are numbers where the vendor writes the array itself.
        numbers = f"CAST(to_json(CAST({kept} AS BIGINT[])) AS VARCHAR)"
        written = f"CASE WHEN regexp_full_match({text}, '{_IDS}') THEN {numbers} ELSE {written} END"
    return f"CASE WHEN starts_with({text}, '[') THEN {text} ELSE {written} END"
