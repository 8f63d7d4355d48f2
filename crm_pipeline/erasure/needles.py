"""The forms in which a value may stand in bytes: as received, in other cases and encodings."""

import json
import re
import unicodedata
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

_LEAST = 5
"""Shorter values are in many bytes by chance."""
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")
_BEFORE, _AFTER = rb"(?<![\w.+-])", rb"(?![\w-]|\.\w)"
_MODIFIED = 4  # characters of base64 at an end that depend on the neighbouring bytes


class Needles:
    """Finds values in bytes, in any of their forms.

    Args:
        values: by a name that may be shown, such as `e-mail 1`; the values themselves are never shown.
    """

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self._names: dict[bytes, str] = {}
        # Longer addresses, and for each form how many bytes they have before and behind it.
        self._others: set[bytes] = set()
        self._shapes: dict[bytes, set[tuple[int, int]]] = {}
        for name, value in values:
            for form in forms(value):
                self._names.setdefault(form.lower(), name)

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def longest(self) -> int:
        """The number of bytes of the longest form."""
        return max(map(len, (*self._names, *self._others)), default=1)

    def found(self, data: bytes | memoryview) -> set[str]:
        """Return the names of the values that are in some bytes, whatever the case of their letters.

        Nothing is known of where a value begins and ends there, so one that is a part of something else counts as well,
        except for the longer addresses that `in_cell` met.
        """
        folded = bytes(data).lower()
        return {
            name
            for form, name in self._names.items()
            if form in folded and self._is_alone(form, folded)
        }

    def _is_alone(self, form: bytes, folded: bytes) -> bool:
        """Return whether a form stands anywhere but within longer addresses; each place costs the same for any number of them."""
        shapes = self._shapes.get(form)
        if not shapes:
            return True
        at = folded.find(form)
        while at >= 0:
            end = at + len(form)
            if not any(folded[max(at - n, 0) : end + m] in self._others for n, m in shapes):
                return True
            at = folded.find(form, at + 1)
        return False

    def in_cell(self, cell: bytes) -> set[str]:
        """Return the names of the values in one text; an address that is a part of a longer one is another address."""
        folded = cell.lower()
        names = set()
        for form, name in self._names.items():
            if form not in folded:
                continue
            is_address = (b"@" in form or b"%40" in form) and b"\0" not in form
            if not is_address or re.search(_BEFORE + re.escape(form) + _AFTER, folded):
                names.add(name)
            else:
                around = rb"[\w.+-]*" + re.escape(form) + rb"[\w.-]*"
                for match in re.finditer(around, folded):
                    self._others.add(match[0])
                    self._note(form, match[0])
        return names

    def _note(self, form: bytes, other: bytes) -> None:
        at = other.find(form)
        while at >= 0:
            self._shapes.setdefault(form, set()).add((at, len(other) - at - len(form)))
            at = other.find(form, at + 1)


def forms(value: str) -> Iterator[bytes]:
    """Yield the forms of a value; none of one that is too short to mean anything."""
    texts = {
        form
        for text in (value, value.strip(), value.casefold(), value.upper())
        for form in (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFKD", text))
    }
    for text in texts:
        if len(text) < _LEAST:
            continue
        for encoding in _ENCODINGS:
            yield text.encode(encoding, "surrogatepass")
        escaped = json.dumps(text)[1:-1]
        yield from {escaped.encode(), escaped.replace("/", "\\/").encode()}
        yield from {form.encode() for form in (quote(text, safe=""), quote(text), quote_plus(text))}
        yield text.encode("utf-8", "surrogatepass").hex().encode()
        yield from _base64(text.encode("utf-8", "surrogatepass"))


def _base64(plain: bytes) -> Iterator[bytes]:
    """Yield the parts of base64 that a value has wherever it stands in what was encoded."""
    for shift in range(3):
        padded = b"\0" * shift + plain
        for encoded in (b64encode(padded), urlsafe_b64encode(padded)):
            begin = _MODIFIED if shift else 0
            end = len(padded) // 3 * 4
            if end - begin >= 2 * _MODIFIED:
                yield encoded[begin:end]
