"""Whether a column has the type that a contract asks for.

Tables have Arrow types, and people write `str`, `float` or `datetime`: a Python type stands for every column type
that holds such values. An Arrow type (`pd.ArrowDtype(...)`) has to be the column's own.
"""

from typing import Any

import pyarrow as pa


def is_of_type(wanted: Any, kind: pa.DataType) -> bool:
    """Say whether a column's type is one that a pandera data type stands for.

    Args:
        wanted: the pandera data type.
        kind: the column's type.
    """
    from pandera import dtypes
    from pandera.engines import pandas_engine

    if isinstance(wanted, pandas_engine.ArrowDataType):
        return _same(wanted.type.pyarrow_dtype, kind)
    families = (
        (dtypes.Bool, pa.types.is_boolean),
        (dtypes.Int, pa.types.is_integer),  # UInt is one as well
        (dtypes.Decimal, pa.types.is_decimal),
        (dtypes.Float, lambda t: pa.types.is_floating(t) or pa.types.is_decimal(t)),
        (dtypes.Timestamp, pa.types.is_timestamp),  # to pandera, it is a Date as well
        (dtypes.Date, pa.types.is_date),
        (dtypes.String, pa.types.is_string),
    )
    for family, is_kind in families:
        if isinstance(wanted, family):
            return bool(is_kind(kind))
    native = getattr(wanted, "type", None)
    return bool(native is object or str(wanted) == "object")


def _same(wanted: pa.DataType, kind: pa.DataType) -> bool:
    if pa.types.is_timestamp(wanted) and pa.types.is_timestamp(kind):
        return (wanted.tz is None) == (kind.tz is None)  # all instants are UTC here
    return bool(wanted == kind or (pa.types.is_large_string(wanted) and pa.types.is_string(kind)))
