"""Exchange rates to a portal's own currency, as its administrator has set them."""

# In US dollars; deals keep the rate that holds, so the figures need not be those of a real day.
_IN_DOLLARS = {
    "USD": 1.0,
    "EUR": 1.1,
    "GBP": 1.25,
    "JPY": 0.0065,
    "CNY": 0.14,
    "BRL": 0.18,
    "PLN": 0.25,
    "AED": 0.27,
    "TRY": 0.03,
    "UAH": 0.025,
}


def rate(currency: str | None, own: str) -> float:
    """Return what one of a currency is worth in a portal's own; unknown ones count like the own."""
    if currency is None or currency not in _IN_DOLLARS:
        return 1.0
    return _IN_DOLLARS[currency] / _IN_DOLLARS[own]


def rate_sql(column: str, own: str) -> str:
    """Return SQL for the same."""
    cases = " ".join(f"WHEN '{one}' THEN {rate(one, own)!r}" for one in _IN_DOLLARS)
    return f"CASE {column} {cases} ELSE 1.0 END"
