"""SQL that divides amounts by rates exactly; DuckDB's own division of decimals returns a float."""


def trillionths(rate: str) -> str:
    """Return SQL for a rate of DECIMAL(38,12) as a HUGEINT of trillionths; NULL outside the allowed range."""
    whole = f"CAST(replace(CAST({rate} AS VARCHAR), '.', '') AS HUGEINT)"
    return f"CASE WHEN {rate} BETWEEN 0.000000000001 AND 100000000000000 THEN {whole} END"


def divided(amount: str, rate: str) -> str:
    """Return SQL for an amount divided by a rate, rounded to millionths, half away from zero.

    Args:
        amount: SQL for a DECIMAL(24,6).
        rate: SQL for the rate in `trillionths`.
    """
    return f"""
        TRY_CAST(
            -- Millionths times a trillion, by the rate in trillionths.
            TRY_CAST(
                sign({amount})::HUGEINT * (
                    (2 * CAST(abs({amount}) * 1000000 AS HUGEINT) * 1000000000000 + {rate}) // (2 * {rate})
                ) AS DECIMAL(30,0)
            ) * 0.000001 AS DECIMAL(24,6)
        )"""
