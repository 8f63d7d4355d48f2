"""SQL that turns a source field's text into a typed value, never guessing.

Text that does not fit becomes NULL; whoever casts counts that and keeps the text.
"""

from crm_pipeline.model.names import literal
from crm_pipeline.model.schema import Form

_MILLISECONDS = r"-?[0-9]{1,15}"
_ZONELESS = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:]{5,8}(\.[0-9]+)?)?"

_CLOCK = "[0-9]{1,4}:[0-5][0-9](:[0-5][0-9])?"


def cast(text: str, kind: str, form: Form = "", zone: str = "") -> str:
    """Return SQL that reads the text as a DuckDB type, or NULL where it does not fit.

    Args:
        text: SQL for the text.
        kind: the type.
        form: that of `Field.form`.
        zone: the zone in which an instant becomes a day; "" takes the day as written. Days that are written
            without a time are the same everywhere.
    """
    if kind == "VARCHAR":
        return text
    if kind == "DATE" and zone and form not in {"date_epoch_ms", "clock"}:
        instant = f"CAST(timezone({literal(zone)}, {cast(text, 'TIMESTAMPTZ', form)}) AS DATE)"
        return f"CASE WHEN {_is_day(text, form)} THEN {cast(text, 'DATE')} ELSE {instant} END"
    if kind in {"TIMESTAMPTZ", "DATE"}:
        plain = f"TRY_CAST({text} AS {kind})"
        read = _formed(text, kind, form) if form not in {"", "clock"} else plain
        # To DuckDB the word 'infinity' is a day.
        return f"nullif(nullif({read}, 'infinity'::{kind}), '-infinity'::{kind})"
    if kind == "BIGINT" and form == "clock":
        parts = f"split_part({text}, ':', 1)::BIGINT * 60 + split_part({text}, ':', 2)::BIGINT"
        return f"CASE WHEN regexp_full_match({text}, '{_CLOCK}') THEN {parts} END"
    if kind == "BIGINT":
        # Bulk answers may print whole numbers as 7.0; a plain cast would also round 7.5 to 8.
        return (
            f"CASE WHEN TRY_CAST({text} AS DOUBLE) = floor(TRY_CAST({text} AS DOUBLE)) "
            f"THEN TRY_CAST({text} AS BIGINT) END"
        )
    if kind == "BOOLEAN":
        return (
            f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false "
            f"WHEN '1' THEN true WHEN '0' THEN false END"
        )
    if kind == "DOUBLE":
        return f"CASE WHEN isfinite(TRY_CAST({text} AS DOUBLE)) THEN TRY_CAST({text} AS DOUBLE) END"
    return f"TRY_CAST({text} AS {kind})"


def _is_day(text: str, form: Form) -> str:
    """Return SQL for whether a text is a day without a time."""
    is_short = f"length({text}) <= {len('2026-01-31')}"
    return f"{is_short} AND instr({text}, '-') > 1" if form == "epoch_ms" else is_short


def _formed(text: str, kind: str, form: Form) -> str:
    if form == "local":
        # Said in full, because analysts' sessions have time zones of their own.
        if kind == "DATE":
            return f"TRY_CAST({text} AS DATE)"
        return (
            f"CASE WHEN regexp_full_match({text}, '{_ZONELESS}') "
            f"THEN TRY_CAST({text} AS TIMESTAMP) AT TIME ZONE 'UTC' "
            f"ELSE TRY_CAST({text} AS TIMESTAMPTZ) END"
        )
    at = f"make_timestamp_ms(TRY_CAST({text} AS BIGINT))"
    counted = f"{at} AT TIME ZONE 'UTC'" if kind == "TIMESTAMPTZ" else f"CAST({at} AS DATE)"
    return (
        f"CASE WHEN regexp_full_match({text}, '{_MILLISECONDS}') THEN {counted} "
        f"ELSE TRY_CAST({text} AS {kind}) END"
    )
