"""SQL that turns a source field's text into a typed value, never guessing.

Text that does not fit becomes NULL; whoever casts counts that and keeps the text.
"""


def cast(text: str, kind: str) -> str:
    """Return SQL that reads the text as a DuckDB type, or NULL where it does not fit."""
    if kind == "VARCHAR":
        return text
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
