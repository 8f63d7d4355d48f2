"""The criteria of Search Records: `((Last_Name:equals:Burns)and(First_Name:starts_with:M))`.

https://www.zoho.com/crm/developer/docs/api/v8/search-records.html. Parentheses, commas and colons of
a value are escaped with a backslash.
"""

import re

from crm_sandbox.zoho.conditions import Comparison, Condition, Junction
from crm_sandbox.zoho.errors import ZohoError, invalid_data

COMPARATORS = {
    "equals": "=",
    "equal": "=",
    "not_equal": "!=",
    "starts_with": "starts_with",
    "ends_with": "ends_with",
    "contains": "contains",
    "not_contains": "not_contains",
    "in": "in",
    "not_in": "not in",
    "between": "between",
    "not_between": "not between",
    "greater_equal": ">=",
    "greater_than": ">",
    "less_equal": "<=",
    "less_than": "<",
}
_SINGLE = re.compile(r"\(?\s*([\w.$]+):(\w+):((?:\\.|[^\\()])*)\)?", re.DOTALL)


def refuse(path: str, reason: str) -> ZohoError:
    """Return the error for a criterion that does not fit its field."""
    return ZohoError(
        400, "INVALID_QUERY", "Invalid query formed", {"reason": reason, "api_name": path}
    )


def parse_criteria(text: str) -> Condition:
    """Read criteria.

    Raises:
        ZohoError: they cannot be read.
    """
    reader = _Reader(text.strip())
    found = reader.either()
    if reader.rest:
        raise _unreadable()
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def rest(self) -> str:
        return self._text[self._at :].strip()

    def either(self) -> Condition:
        parts, words = [self._part()], list[str]()
        while (word := self._word()) is not None:
            words.append(word)
            parts.append(self._part())
        if len(set(words)) > 1:
            raise _unreadable()
        return parts[0] if len(parts) == 1 else Junction(words[0], tuple(parts))

    def _word(self) -> str | None:
        match = re.compile(r"\s*(and|or)\s*", re.IGNORECASE).match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return match[1].upper()

    def _part(self) -> Condition:
        if self._text.startswith("((", self._at):
            self._at += 1
            inner = self.either()
            if not self._text.startswith(")", self._at):
                raise _unreadable()
            self._at += 1
            return inner
        match = _SINGLE.match(self._text, self._at)
        if match is None or match[2].lower() not in COMPARATORS:
            raise _unreadable()
        self._at = match.end()
        operator = COMPARATORS[match[2].lower()]
        return Comparison(match[1], operator, _values(match[3], operator))


def _values(text: str, operator: str) -> tuple[str, ...]:
    several = operator in {"in", "not in", "between", "not between"}
    parts = re.split(r"(?<!\\),", text) if several else [text]
    return tuple(re.sub(r"\\(.)", r"\1", part) for part in parts)


def _unreadable() -> ZohoError:
    return invalid_data("the criteria given seems to be invalid", param_name="criteria")
