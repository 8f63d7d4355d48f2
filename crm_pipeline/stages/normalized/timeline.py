"""SQL that puts the landed versions of records into their order, with the time in which each of them was valid.

The order is that of folding, see `ranking`: the last version is the one that the table has. A tombstone without a
modification time, and one that a later complete read contradicts, stand where they landed instead: behind all versions
that landed before them. Where nothing stands behind them and the record lives all the same, they are hidden.

A version that has the values of the one before it is no version of its own. It is kept where a version that lands late
may still come between them.
"""

from collections.abc import Iterable

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store.tables.engine import Engine

LANDED, MARK, ABSENT, MERGED = "landed", "mark", "absent", "merged"
STATE = {
    "_kind": "VARCHAR",
    "_stamp": "TIMESTAMPTZ",
    "_is_gone": "BOOLEAN",
    "_seen_at": "TIMESTAMPTZ",
    "_committed_us": "BIGINT",
    "_window_id": "VARCHAR",
    "_sequence": "BIGINT",
    "_row": "BIGINT",
    "_is_whole": "BOOLEAN",
    "_hash": "UBIGINT",
}
"""The columns by which versions are ordered.

`_kind` is `landed`, `mark` (it landed, and says nothing but that the record was deleted), `absent` (a complete read lacks the record) or `merged` (another record names it as merged into
itself); `_stamp` the modification time, `_is_gone` the deletion mark and `_seen_at` the extraction time of the landed
row, and `_committed_us`, `_window_id`, `_sequence` and `_row` its place.
"""
VALIDITY = {
    "valid_from": "TIMESTAMPTZ",
    "valid_to": "TIMESTAMPTZ",
    "changed_fields": "VARCHAR[]",
    "_is_version": "BOOLEAN",
}
"""The columns that `timeline` adds; `_is_version` is false for rows that are kept for later builds only."""
NOT_COMPARED = frozenset({"batch_id", "modified_at"})
"""A version that differs in nothing else from the one before is none."""
_LAST = 1 << 60


def timeline(engine: Engine, name: str, key: str, columns: Iterable[str], versions: str) -> str:
    """Compute which versions of records were valid when, and return the relation's name.

    Args:
        engine: runs the SQL.
        name: prefix of the relations.
        key: the key column.
        columns: the columns of the table.
        versions: table with these columns and those of `STATE`: all versions of some records.
    """
    columns, key = list(columns), quoted(key)
    # The order needs few columns; all of them would make each step three times as expensive.
    numbered = engine.table(f"{name} numbered", _numbered(key, versions))
    slots = engine.table(f"{name} slots", _slots(key, numbered))
    ordered = engine.table(f"{name} ordered", _ordered(key, numbered, slots))
    filled = engine.table(f"{name} filled", _filled(columns, ordered, versions))
    compared = engine.table(f"{name} compared", _compared(columns, ordered, filled))
    valid = engine.table(f"{name} valid", _validity(key, ordered, compared))
    listed = ", ".join(f"f.{column}" for column in (*map(quoted, columns), *STATE))
    return engine.table(
        f"{name} timeline",
        f"SELECT {listed}, {', '.join(f'v.{column}' for column in VALIDITY)} "
        f"FROM {filled} f JOIN {valid} v ON v._id = f._id",
    )


def _numbered(key: str, versions: str) -> str:
    """Return SQL that numbers the versions that have a place by their modification time."""
    place = "struct_pack(at := _seen_at, us := _committed_us, w := _window_id, s := _sequence, r := _row)"
    rows = (
        f"SELECT rowid AS _id, {key}, modified_at, merged_into, _kind, _stamp, _is_gone, _seen_at, _is_whole, "
        f"{place} AS _place FROM {versions}"
    )
    marked = (
        "SELECT *, max(_place) FILTER (NOT _is_gone) OVER p AS _live, "
        "max(_place) FILTER (NOT _is_gone AND _is_whole) OVER p AS _whole "
        f"FROM ({rows}) WINDOW p AS (PARTITION BY {key})"
    )
    slotted = (
        "SELECT *, "
        f"_is_gone AND _kind <> {literal(MERGED)} AND (_stamp IS NULL OR coalesce(_place < _whole, false)) "
        "AS _is_slotted, "
        "_is_gone AND _stamp IS NULL AND coalesce(_place > _live, true) AS _is_end "
        f"FROM ({marked})"
    )
    return (
        f"SELECT *, row_number() OVER (PARTITION BY {key}, _is_slotted ORDER BY _stamp NULLS FIRST, _place) "
        f"AS _n FROM ({slotted})"
    )


def _slots(key: str, numbered: str) -> str:
    """Return SQL for the number of the version that each of the other tombstones stands behind."""
    return (
        f"SELECT d._id, CASE WHEN any_value(d._is_end AND d._kind IN ({literal(LANDED)}, {literal(MARK)})) THEN {_LAST} ELSE "
        "coalesce(max(o._n) FILTER (o._place < d._place), 0) END AS _slot, "
        "coalesce(max(o._n), 0) AS _last "
        f"FROM (FROM {numbered} WHERE _is_slotted) d "
        f"LEFT JOIN (FROM {numbered} WHERE NOT _is_slotted) o ON o.{key} = d.{key} GROUP BY d._id"
    )


def _ordered(key: str, numbered: str, slots: str) -> str:
    """Return SQL for the position of each version, and for what those without values take over.

    `_from` is the version that gives its values, `_winner` the record that this one was merged into by then.
    """
    placed = (
        "SELECT n.*, coalesce(s._slot, n._n) AS _slot, "
        "coalesce(NOT n._is_end AND s._slot >= s._last, false) AS _is_hidden "
        f"FROM {numbered} n LEFT JOIN {slots} s ON s._id = n._id"
    )
    landed, merged = f"_kind = {literal(LANDED)}", f"_kind = {literal(MERGED)}"
    mark = f"_kind = {literal(MARK)}"
    # As in folding: what a complete read contradicts gives values last, and what no time tells when it was never.
    sound, stamped = (
        f"{landed} AND NOT _is_slotted",
        f"{landed} AND NOT (_is_gone AND _stamp IS NULL)",
    )
    last = "last_value(CASE WHEN {} AND NOT _is_hidden THEN _id END IGNORE NULLS) OVER w"
    return (
        "SELECT *, row_number() OVER w AS _position, "
        f"CASE WHEN {landed} THEN _id WHEN {mark} THEN coalesce({last.format(sound)}, {last.format(stamped)}, _id) "
        f"ELSE coalesce({last.format(landed)}, {last.format(mark)}) END AS _from, "
        f"coalesce(bool_or({merged}) OVER w, false) AS _is_merged, "
        f"last_value(CASE WHEN {merged} THEN merged_into END IGNORE NULLS) OVER w AS _winner "
        f"FROM ({placed}) WINDOW w AS (PARTITION BY {key} ORDER BY _slot, _is_slotted, _place "
        "ROWS UNBOUNDED PRECEDING)"
    )


def _filled(columns: list[str], ordered: str, versions: str) -> str:
    """Return SQL that gives versions without values those of the one before, and deletes what was merged."""
    is_mark = f"a._kind = {literal(MARK)}"
    # What lists of deleted records add, such as who deleted it; fields without a value say nothing.
    added = "json_merge_patch('{}', a.custom::JSON)"
    patched = f"json_merge_patch(b.custom::JSON, {added})::VARCHAR"
    values = {
        **{column: f"b.{quoted(column)}" for column in columns},
        "batch_id": "a.batch_id",
        "modified_at": f"CASE WHEN {is_mark} AND a._stamp IS NOT NULL THEN a.modified_at ELSE b.modified_at END",
        "is_deleted": f"(b.is_deleted OR o._is_merged OR {is_mark} OR a._kind = {literal(ABSENT)})",
        "merged_into": f"coalesce(CASE WHEN {is_mark} THEN a.merged_into END, b.merged_into, o._winner)",
    }
    if "custom" in columns:
        is_more = f"{is_mark} AND o._from <> o._id AND CAST({added} AS VARCHAR) <> '{{}}'"
        values["custom"] = f"CASE WHEN {is_more} THEN {patched} ELSE b.custom END"
    listed = ", ".join(f"{sql} AS {quoted(column)}" for column, sql in values.items())
    state = ", ".join(f"a.{column}" for column in STATE)
    return (
        f"SELECT o._id, {listed}, {state} FROM {ordered} o JOIN {versions} a ON a.rowid = o._id "
        f"JOIN {versions} b ON b.rowid = o._from"
    )


def _compared(columns: list[str], ordered: str, filled: str) -> str:
    """Return SQL for the columns in which each version differs from the one before."""
    named = ", ".join(
        f"CASE WHEN a.{quoted(column)} IS DISTINCT FROM p.{quoted(column)} THEN {literal(column)} END"
        for column in columns
        if column not in NOT_COMPARED
    )
    key = quoted(columns[3])
    shown = (
        f"(SELECT _id, lag(_id) OVER (PARTITION BY {key} ORDER BY _position) AS _before "
        f"FROM {ordered} WHERE NOT _is_hidden AND _from IS NOT NULL)"
    )
    changed = f"list_filter([{named}], lambda name: name IS NOT NULL)"
    return (
        f"SELECT n._id, CASE WHEN n._before IS NULL THEN [] ELSE {changed} END::VARCHAR[] AS changed_fields, "
        f"n._before IS NULL AS _is_first FROM {shown} n JOIN {filled} a ON a._id = n._id "
        f"LEFT JOIN {filled} p ON p._id = n._before"
    )


def _validity(key: str, ordered: str, compared: str) -> str:
    """Return SQL for the times of the versions; of equal neighbours only those that may matter later are left."""
    w = f"PARTITION BY {key}, _is_hidden ORDER BY _position"
    before = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    after = "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING"
    # A deletion was when the tombstone says; its values may carry the modification time from before.
    stated = (
        "CASE WHEN _is_first OR (_kind = 'landed' AND NOT _is_gone) THEN coalesce(modified_at, _stamp, _seen_at) "
        "ELSE coalesce(_stamp, _seen_at) END"
    )
    rows = (
        f"SELECT o.*, changed_fields, _is_first, {stated} AS _stated FROM {ordered} o "
        f"LEFT JOIN {compared} c ON c._id = o._id WHERE o._from IS NOT NULL"
    )
    gone = (
        f"SELECT *, max(_stated) FILTER (_is_slotted) OVER ({w} {before}) AS _gone_at FROM ({rows})"
    )
    # What had been read with the same modification time before, and later than in its second, had other values then:
    # those of formulas, lists and associations change without it.
    unmoved = (
        "SELECT *, coalesce(NOT _is_gone AND lag(NOT _is_slotted AND NOT _is_gone) OVER w AND lag(_stamp) OVER w = _stamp "
        "AND lag(_seen_at) OVER w >= _stamp + INTERVAL 1 SECOND, false) AS _is_unmoved, "
        f"NOT _is_slotted AND max(_stamp) FILTER (NOT _is_slotted) OVER ({w} {before}) IS DISTINCT FROM _stamp "
        f"AS _is_moved FROM ({gone}) WINDOW w AS ({w})"
    )
    # A record that came back with its earlier modification time came back when it was seen.
    since = (
        "SELECT *, CASE WHEN NOT _is_slotted AND _stated < _gone_at THEN _seen_at "
        f"WHEN _is_unmoved THEN least(_seen_at, min(_stated) FILTER (_is_moved) OVER ({w} {after})) "
        f"ELSE _stated END AS _since FROM ({unmoved})"
    )
    begun = (
        f"SELECT *, max(_since) OVER ({w} ROWS UNBOUNDED PRECEDING) AS valid_from, "
        f"coalesce(_is_first OR len(changed_fields) > 0, false) AS _is_version FROM ({since})"
    )
    sql = (
        f"SELECT *, lead(valid_from) OVER (PARTITION BY {key}, _is_version ORDER BY _position) AS _until, "
        "NOT _is_version AND NOT coalesce(lead(_is_version) OVER w, true) "
        "AND lag(_stamp) OVER w IS NOT DISTINCT FROM _stamp AND lead(_stamp) OVER w IS NOT DISTINCT FROM _stamp "
        f"AS _is_between FROM ({begun}) WINDOW w AS ({w})"
    )
    return (
        "SELECT _id, CASE WHEN NOT _is_hidden THEN valid_from END AS valid_from, "
        "CASE WHEN _is_version THEN _until END AS valid_to, "
        "CASE WHEN _is_version THEN changed_fields END AS changed_fields, _is_version "
        f"FROM ({sql}) WHERE _is_hidden OR NOT _is_between"
    )
