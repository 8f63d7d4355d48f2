"""SQL that reads numbers from texts exactly or not at all, and the formats in which people write numbers.

A number is never rounded on its way into a column: a number that the column cannot hold to the last digit becomes
NULL, and callers keep the text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crm_pipeline.model.names import literal

_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_WITH_EXPONENT = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,3}\s*"
_PLAIN = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*"
_SAFE_DIGITS = 15
"""A double holds this many digits of every number exactly."""
_DOUBLE_DIGITS = 17
"""The shortest text of a double has at most this many significant digits."""


def is_number(kind: str) -> bool:
    """Say whether a DuckDB type of the model holds numbers."""
    return kind in {"BIGINT", "DOUBLE"} or kind.startswith("DECIMAL(")


def is_plain(text: str) -> str:
    """Return SQL for whether a text is a number in the form that programs write."""
    return f"regexp_full_match({text}, '{_PLAIN}')"


def is_short(text: str, kind: str) -> str:
    """Return SQL for whether a text is a number with so few digits that it fits the type, whatever they are."""
    match = _DECIMAL.fullmatch(kind)
    places = 0 if kind == "BIGINT" else min(int(match[2]), 12) if match else 12
    digits = min(int(match[1]) - int(match[2]), 14) if match else 14
    if digits < 1:
        return ""
    point = rf"(\.[0-9]{{1,{places}}})?" if places else ""
    return f"regexp_full_match({text}, '-?[0-9]{{1,{digits}}}{point}')"


def number(text: str, kind: str) -> str:
    """Return SQL that reads a text as BIGINT, DOUBLE or DECIMAL(p,s); NULL where that would change the number.

    For DOUBLE the nearest one counts, because vendors write doubles with up to fifty places. But a whole number that
    a double cannot hold to the last digit is NULL, and so is a number other than zero whose nearest double is zero.
    """
    if kind == "BIGINT":
        # Bulk results may have whole numbers as 7.0; a plain cast would also round 7.5 to 8. With an exponent
        # a double may round as well: 1e-400 becomes zero.
        double = f"TRY_CAST({text} AS DOUBLE)"
        return (
            f"CASE WHEN strlen({text}) <= {_SAFE_DIGITS} AND instr({text}, '_') = 0 "
            f"AND instr({text}, 'e') = 0 AND instr({text}, 'E') = 0 "
            f"THEN CASE WHEN {double} = floor({double}) THEN TRY_CAST({text} AS BIGINT) END "
            f"ELSE TRY_CAST({number(text, 'DECIMAL(38,0)')} AS BIGINT) END"
        )
    if kind == "DOUBLE":
        double = f"TRY_CAST({text} AS DOUBLE)"
        significant = f"strlen(trim({_digits(text)}, '0'))"
        # The shortest text of the double has the digits of a whole number, or it is another number.
        kept = f"trim({_digits(text)}, '0') = trim({_digits(f'{double}::VARCHAR')}, '0')"
        is_whole = f"regexp_full_match({text}, '\\s*[+-]?[0-9]+(\\.0*)?\\s*')"
        return (
            f"CASE WHEN instr({text}, '_') = 0 AND isfinite({double}) "
            f"AND ({double} <> 0 OR trim({_digits(text)}, '0') = '') "
            f"AND (strlen({text}) <= {_SAFE_DIGITS} OR NOT {is_whole} OR {kept}) AND "
            f"(strlen({text}) <= {_DOUBLE_DIGITS} OR {significant} <= {_DOUBLE_DIGITS} OR "
            f"strlen(split_part({_mantissa(text)}, '.', 1)) <= {_SAFE_DIGITS}) THEN {double} END"
        )
    match = _DECIMAL.fullmatch(kind)
    if match is None:
        raise ValueError(f"{kind} is no type of numbers")
    scale = int(match[2])
    plain = rf"\s*[+-]?[0-9]*(\.[0-9]{{0,{scale}}}0*)?\s*"
    return (
        f"CASE WHEN regexp_full_match({text}, '{plain}') THEN TRY_CAST({text} AS {kind}) "
        f"WHEN regexp_full_match({text}, '{_WITH_EXPONENT}') "
        f"AND ({_places(text)} <= {scale} OR rtrim({_digits(text)}, '0') = '') "
        # DuckDB accepts numbers with exponents that are too large for the type.
        f"AND abs(TRY_CAST({text} AS DOUBLE)) < 1e{int(match[1]) - scale} "
        f"THEN TRY_CAST({text} AS {kind}) END"
    )


def _mantissa(text: str) -> str:
    return f"split_part(lower(trim({text})), 'e', 1)"


def _digits(text: str) -> str:
    return f"regexp_replace({_mantissa(text)}, '[^0-9]', '', 'g')"


def _places(text: str) -> str:
    """Return SQL for the number of decimal places that a number with an exponent needs."""
    digits = _digits(text)
    behind = f"strlen(split_part({_mantissa(text)}, '.', 2))"
    zeros = f"(strlen({digits}) - strlen(rtrim({digits}, '0')))"
    exponent = f"TRY_CAST(split_part(lower(trim({text})), 'e', 2) AS INTEGER)"
    return f"{behind} - {zeros} - {exponent}"


@dataclass(frozen=True)
class NumberFormat:
    """A format in which people write numbers.

    Attributes:
        pattern: matches all numbers in the format, including those without separators.
        between: characters between groups of thousands.
        point: the decimal point.
    """

    pattern: str
    between: str
    point: str

    def plain(self, text: str) -> str:
        """Return SQL that writes a text as a plain number; NULL where it does not have the format."""
        bare = f"regexp_replace({text}, {literal(f'[{self.between}]')}, '', 'g')"
        pointed = bare if self.point == "." else f"replace({bare}, ',', '.')"
        return f"CASE WHEN {self.fits(text)} THEN {pointed} END"

    def fits(self, text: str) -> str:
        """Return SQL for whether a text has the format."""
        return f"regexp_full_match({text}, {literal(self.pattern)})"


def _format(between: str, point: str) -> NumberFormat:
    # In India the thousands are followed by groups of two.
    groups = rf"[0-9]{{1,3}}([{between}][0-9]{{2,3}})*[{between}][0-9]{{3}}"
    pattern = rf"\s*[+-]?({groups}|[0-9]+)([{point}][0-9]+)?\s*"
    return NumberFormat(pattern, between, point)


_BLANKS = "'\u2019 \u00a0\u202f\u2009"
NUMBER_FORMATS: Mapping[str, NumberFormat] = {
    "1,234.5": _format(",", "."),
    "1.234,5": _format(".", ","),
    "1'234.5": _format(_BLANKS, "."),
    "1 234,5": _format(_BLANKS, ","),
}
"""By an example; separators between thousands are optional in all of them."""
