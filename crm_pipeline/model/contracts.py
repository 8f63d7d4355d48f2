"""What contracts need to know of the model's tables: Arrow types, and which rows are live.

The contracts themselves are in `crm_pipeline.contracts`.
"""

import pyarrow as pa

_ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "VARCHAR[]": pa.list_(pa.string()),
}
LIVE = "is_deleted IS NOT TRUE"
_POINTS = pa.list_(
    pa.struct([("value", pa.string()), ("label", pa.string()), ("is_primary", pa.bool_())])
)


def arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of a DuckDB type that the model uses."""
    if kind.startswith("DECIMAL("):
        precision, scale = kind.removeprefix("DECIMAL(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return _POINTS if kind.startswith("STRUCT(") else _ARROW_TYPES[kind]
