"""Make names and texts of vendors safe and unique in SQL; no other module does.

A vendor's name is data: it may be any text of any length, and two names may differ in case only, which DuckDB
ignores. So our SQL holds it as a text (`literal`), or as an identifier that no other name gets (`inner`). A name
is used as an identifier itself only where people read it: `shown` replaces characters that no identifier may
have, and `Taken` avoids names that are in use.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain, count

_HALF = re.compile("[\ud800-\udfff]")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_REPLACEMENT = "\ufffd"


def quoted(identifier: str) -> str:
    """Return an identifier in quotes; a vendor's name has to go through `inner` or `shown` before."""
    return '"' + encodable(identifier).replace('"', '""') + '"'


def literal(text: str | None) -> str:
    """Return a text as an SQL expression; NUL is written as `chr(0)`, because older DuckDB ends SQL there."""
    if text is None:
        return "NULL"
    parts = ["'" + part.replace("'", "''") + "'" for part in encodable(text).split("\0")]
    return parts[0] if len(parts) == 1 else f"({' || chr(0) || '.join(parts)})"


@lru_cache(maxsize=16_384)
def inner(name: str) -> str:
    """Return an identifier for a name, unique even for names that differ in case only.

    Lower-case letters, digits and _ stay, a capital is marked (`Ext_Id` is `^ext_^id`), other characters
    are written as bytes (`%20`).
    """
    return "".join(map(_marked, name))


def encodable(text: str) -> str:
    """Return a text that UTF-8 can encode: half a surrogate pair is replaced."""
    return text if text.isascii() else _HALF.sub(_REPLACEMENT, text)


def shown(name: str) -> str:
    """Return a name for people: control characters, which terminals would execute, are replaced.

    Tabs and line ends become blanks. For a name of blanks alone "" is returned.
    """
    cleaned = _UNSEEN.sub(_replaced, encodable(name))
    return cleaned if cleaned.strip() else ""


class Taken:
    """The names that columns have already, whatever their case.

    `owners` has the owner of each name, in lower case, present or former: no other owner gets the name.
    """

    def __init__(self, names: Iterable[str] = (), owners: Mapping[str, str] | None = None) -> None:
        self._folded = {name.lower() for name in names}
        self._owners = owners or {}

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._folded

    def is_free(self, name: str, owner: str) -> bool:
        """Say whether an owner may have a name."""
        return name not in self and self._owners.get(name.lower(), owner) == owner

    def take(self, *choices: str, owner: str = "") -> str:
        """Take and return the first of the choices that is free, or the last one with a number appended."""
        numbered = (f"{choices[-1]} {number}" for number in count(2))
        free = (name for name in chain(choices, numbered) if name and self.is_free(name, owner))
        name = next(free)
        self.add(name)
        return name

    def add(self, *names: str) -> None:
        """Take names, free or not."""
        self._folded.update(name.lower() for name in names)


def _marked(character: str) -> str:
    if character in _PLAIN:
        return character
    if character.isascii() and character.isupper():
        return f"^{character.lower()}"
    return "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _replaced(control: re.Match[str]) -> str:
    return " " if control[0].isspace() else _REPLACEMENT
