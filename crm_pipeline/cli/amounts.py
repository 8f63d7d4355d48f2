"""Numbers with their words."""


def amount(number: int, unit: str) -> str:
    """Return a number with its unit, which is given in the plural: `1 call`, `2 calls`."""
    return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}"
