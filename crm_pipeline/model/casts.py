"""SQL that turns a source field's text into a typed value without guessing.

Text that does not fit becomes NULL; callers count that and keep the text.
"""

from collections.abc import Sequence

from crm_pipeline.model.names import literal
from crm_pipeline.model.numbers import is_number, is_short, number
from crm_pipeline.model.schema import Form

_MILLISECONDS = r"-?[0-9]{1,15}"
_ZONELESS = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:]{5,8}(\.[0-9]+)?)?"

_CLOCK = "[0-9]{1,4}:[0-5][0-9](:[0-5][0-9])?"
_NO_DAYS = ("0000-00-00", "-0001-11-30")
"""Values for "no day" of databases without NULL; the second is what PHP makes of the first."""


def cast(text: str, kind: str, form: Form = "", zone: str = "") -> str:
    """Return SQL that reads the text as a DuckDB type, or NULL where it does not fit.

    Args:
        text: SQL for the text.
        kind: the type.
        form: as `Field.form`.
        zone: the zone in which an instant becomes a day; "" takes the day as written. A day that is written
            without a time is not converted.
    """
    if kind == "VARCHAR":
        return text
    if kind in {"TIMESTAMPTZ", "DATE"}:
        return _of_our_era(text, kind, _moment(text, kind, form, zone))
    if kind == "BIGINT" and form == "clock":
        parts = f"split_part({text}, ':', 1)::BIGINT * 60 + split_part({text}, ':', 2)::BIGINT"
        return f"CASE WHEN regexp_full_match({text}, '{_CLOCK}') THEN {parts} END"
    if is_number(kind):
        return number(text, kind)
    if kind == "BOOLEAN":
        return (
            f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false "
            f"WHEN '1' THEN true WHEN '0' THEN false END"
        )
    return f"TRY_CAST({text} AS {kind})"


def is_plain_value(text: str, kind: str, form: Form = "") -> str:
    """Return short SQL that is true only for texts that `cast` can read, and for nearly all of them; "" for no test.

    Args:
        text: SQL for the text.
        kind: the type.
        form: as `Field.form`.
    """
    if form:
        return ""
    if kind == "BOOLEAN":
        return f"{text} IN ('true', 'false', '1', '0')"
    if is_number(kind):
        return is_short(text, kind)
    if kind in {"TIMESTAMPTZ", "DATE"}:
        return f"TRY_CAST({text} AS {kind}) IS NOT NULL AND {_is_usual(text)}"
    return ""


def is_nothing(text: str, kind: str, nothing: Sequence[str] = ()) -> str:
    """Return SQL for whether a text means that there is no value, though it is not empty.

    Args:
        text: SQL for the text.
        kind: the type that it is cast to.
        nothing: the texts that mean no value in this field.
    """
    listed = f"{text} IN ({', '.join(map(literal, nothing))})" if nothing else ""
    no_day = _is_no_day(text) if kind in {"TIMESTAMPTZ", "DATE"} else ""
    return " OR ".join(part for part in (listed, no_day) if part) or "false"


def _is_no_day(text: str) -> str:
    return " OR ".join(f"starts_with({text}, '{day}')" for day in _NO_DAYS)


def _of_our_era(text: str, kind: str, value: str) -> str:
    """Return SQL for a day or an instant, NULL for words and for years before year 1.

    DuckDB accepts the words `inf` and `epoch`, and years before year 1, into which a zone may shift a day.
    """
    # Texts in the usual form are not checked further, because evaluating the value is expensive.
    # A year of fewer digits is a day or a month in a text such as 5/12/25, or a year whose century nobody knows.
    is_counted = rf"regexp_matches({text}, '^\s*[+-]?([0-9]{{4,}}[-/ \\]|[0-9]+\s*$)')"
    first = "TIMESTAMPTZ '0001-01-01 00:00:00+00'" if kind == "TIMESTAMPTZ" else "DATE '0001-01-01'"
    return (
        f"CASE WHEN {_is_usual(text)} THEN {value} "
        f"WHEN {is_counted} THEN CASE WHEN {value} >= {first} THEN {value} END END"
    )


def _is_usual(text: str) -> str:
    return (
        f"left({text}, 1) BETWEEN '1' AND '9' AND instr({text}, '(') = 0 "
        f"AND (instr({text}, '-') = 5 OR TRY_CAST({text} AS BIGINT) IS NOT NULL)"
    )


def _moment(text: str, kind: str, form: Form, zone: str) -> str:
    """Return SQL for a day or an instant."""
    if kind == "DATE" and zone and form not in {"date_epoch_ms", "clock"}:
        instant = f"CAST(timezone({literal(zone)}, {_read(text, 'TIMESTAMPTZ', form)}) AS DATE)"
        return f"CASE WHEN {_is_day(text, form)} THEN {_read(text, 'DATE', '')} ELSE {instant} END"
    return _read(text, kind, form)


def _read(text: str, kind: str, form: Form) -> str:
    return _counted(text, kind) if form in {"epoch_ms", "date_epoch_ms"} else _written(text, kind)


def _written(text: str, kind: str) -> str:
    plain = f"TRY_CAST({text} AS {kind})"
    if kind == "DATE":
        return plain
    # UTC is explicit, because analysts' sessions have time zones of their own.
    # Cheap tests come first: most texts name a zone, and the regular expression is expensive.
    zoneless = (
        f"NOT ends_with({text}, 'Z') AND instr({text}, '+') = 0 "
        f"AND regexp_full_match({text}, '{_ZONELESS}')"
    )
    utc = f"TRY_CAST({text} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    return f"CASE WHEN {zoneless} THEN {utc} ELSE {plain} END"


def _counted(text: str, kind: str) -> str:
    """Return SQL for a text of milliseconds since 1970, or in ISO form."""
    # make_timestamp_ms would be shorter, but exists only since DuckDB 1.4.
    at = f"make_timestamp(TRY_CAST({text} AS BIGINT) * 1000)"
    counted = f"{at} AT TIME ZONE 'UTC'" if kind == "TIMESTAMPTZ" else f"CAST({at} AS DATE)"
    return (
        f"CASE WHEN regexp_full_match({text}, '{_MILLISECONDS}') THEN {counted} "
        f"ELSE {_written(text, kind)} END"
    )


def _is_day(text: str, form: Form) -> str:
    """Return SQL for whether a text is a day without a time."""
    is_short = f"length({text}) <= {len('2026-01-31')}"
    return f"{is_short} AND instr({text}, '-') > 1" if form == "epoch_ms" else is_short
