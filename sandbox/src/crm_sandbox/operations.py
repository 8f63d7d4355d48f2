"""Tables of operations: which methods and addresses a vendor's part of the sandbox answers.

Each vendor keeps its own; what is not in it leads nowhere. The coverage table is made from them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, order=True)
class Operation:
    """One operation.

    Attributes:
        template: the address with names in braces; versions are left out of it.
    """

    template: str
    method: str

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The template as a regular expression; fixed words are compared without case."""
        parts = re.split(r"(\{\w+\})", self.template)
        text = "".join("[^/]+" if one.startswith("{") else re.escape(one) for one in parts)
        return re.compile(text, re.IGNORECASE)


class OperationTable:
    """The operations of one vendor.

    Args:
        operations: all of them.
        plain: turns the path of a request into one without version, as templates are; None for
            what is no address of the API.
    """

    def __init__(
        self, operations: Iterable[Operation], plain: Callable[[str], str | None] = str
    ) -> None:
        # A fixed word goes before a name in braces at the same place.
        self._operations = sorted(set(operations), key=lambda one: (one.template.count("{"), one))
        self._plain = plain
        every = "|".join(sorted({one.pattern.pattern for one in self._operations}))
        self._any = re.compile(every, re.IGNORECASE)

    def __iter__(self) -> Iterator[Operation]:
        return iter(sorted(self._operations))

    def leads_anywhere(self, path: str) -> bool:
        """Say whether any method is answered at a path."""
        found = self._plain(path)
        return found is not None and self._any.fullmatch(found) is not None

    def find(self, method: str, path: str) -> Operation | None:
        """Return the operation of a request."""
        found = self._plain(path)
        if found is None:
            return None
        for one in self._operations:
            if one.method == method and one.pattern.fullmatch(found):
                return one
        return None


def listed(text: str) -> list[Operation]:
    """Return operations from lines such as `GET|POST /contacts/{id}`; other lines are headings."""
    found = []
    for line in text.splitlines():
        methods, _, template = line.strip().partition(" ")
        if template.startswith("/"):
            found += [Operation(template.strip(), method) for method in methods.split("|")]
    return found
