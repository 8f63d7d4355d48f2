"""Checks a cron expression of five fields, so that a typo is found when the file is read."""

import re

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)
_TERM = re.compile(r"(\*|\d{1,2}(?:-\d{1,2})?)(?:/(\d{1,2}))?\Z")


def cron_problem(expression: str) -> str | None:
    """Return what is wrong with a cron expression, or None."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return f"has {len(fields)} fields where cron wants 5 (minute hour day month weekday)"
    for text, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for term in text.split(","):
            match = _TERM.match(term)
            if match is None:
                return f"has the {name} '{text}', which is no number, range, list or step"
            numbers = [int(number) for number in re.findall(r"\d+", match[1])]
            if numbers != sorted(numbers) or any(not low <= n <= high for n in numbers):
                return f"has the {name} '{text}', which is not within {low}-{high}"
            if match[2] is not None and int(match[2]) == 0:
                return f"has the {name} '{text}', whose step is 0"
    return None
